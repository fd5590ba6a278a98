"""The dashboard of the servers, and alerts if any ask for the same, against what a server tells of itself."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import pytest

from tests.contract.client import Client
from tests.integration.operating import until
from tests.panels import panels
from tests.prometheus import Prometheus, Series
from tests.prometheus_rules import alerts
from tests.standins.vllm.process import ServerProcess

OTHERS = re.compile(r"\b(?:npu_|embedding_operator_)")  # what npu-exporter and the operator tell
QUERIES = [(title, query) for title, query in panels("embedding-servers") if not OTHERS.search(query)]
ENCODERS_LACK = {"embedding-servers: Prefix cache"}  # the model of the real one is an encoder


@pytest.fixture(scope="module")
def prometheus(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """It scrapes the server with the labels of a PodMonitor, and one request is answered."""
    labels = {"namespace": "search", "service": "qwen", "pod": "qwen-5c6f7d8b9-abcde"}
    targets = {"servers": {"targets": [f"127.0.0.1:{server.port}"], "labels": labels}}
    with Prometheus(tmp_path_factory.mktemp("prometheus"), targets) as running:
        until(lambda: running.query("vllm:prompt_tokens_total") != [])
        Client(server.port).vectors("hello")  # between two scrapes, so that it counts in rates
        yield running


def without_a_number(prometheus: Prometheus) -> set[str]:
    """Panels with a query that finds no series, or one that divides nothing by nothing."""
    return {title for title, query in QUERIES if not numbers(prometheus.query(query))}


def numbers(found: list[Series]) -> list[str]:
    return [one["value"][1] for one in found if one["value"][1] != "NaN"]


def test_every_metric_that_is_asked_for_is_told(client: Client) -> None:
    queries = [*(query for _, query in QUERIES), *(rule["expr"] for rule in alerts())]
    asked = {name for query in queries for name in re.findall(r"\bvllm:\w+|\bhttp_\w+", query)}
    assert len(asked) > 10
    client.vectors("hello")
    told = client.get("/metrics").body.decode()
    assert {name for name in asked if not re.search(rf"^{name}{{", told, re.M)} == set()


def test_every_query_has_a_number_after_one_request(prometheus: Prometheus) -> None:
    assert len(QUERIES) > 15
    with contextlib.suppress(AssertionError):  # which ones is said below
        until(lambda: without_a_number(prometheus) <= ENCODERS_LACK, 60)
    assert prometheus.down() == []
    assert without_a_number(prometheus) <= ENCODERS_LACK
