"""The dashboard of the servers, and alerts if any ask for the same, against what a server tells of itself."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.contract.client import Client
from tests.integration.operating import until
from tests.panels import panels
from tests.prometheus import Prometheus
from tests.prometheus_rules import alerts
from tests.standins.vllm.process import ServerProcess

OTHERS = re.compile(r"\b(?:npu_|embedding_operator_)")  # what npu-exporter and the operator tell
ASKED = [*panels("embedding-servers"), *((rule["alert"], rule["expr"]) for rule in alerts())]
OF_SERVERS = [(title, query) for title, query in ASKED if not OTHERS.search(query)]


@pytest.fixture(scope="module")
def prometheus(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """It scrapes the server with the labels of a PodMonitor, and one request was answered."""
    labels = {"namespace": "search", "service": "qwen", "pod": "qwen-5c6f7d8b9-abcde"}
    targets = {"servers": {"targets": [f"127.0.0.1:{server.port}"], "labels": labels}}
    Client(server.port).vectors("hello")
    with Prometheus(tmp_path_factory.mktemp("prometheus"), targets) as running:
        yield running


def without_series(prometheus: Prometheus) -> list[str]:
    return [title for title, query in OF_SERVERS if not prometheus.query(query)]


def test_every_metric_that_is_asked_for_is_told(client: Client) -> None:
    asked = {name for _, query in ASKED for name in re.findall(r"\bvllm:\w+|\bhttp_\w+", query)}
    assert len(asked) > 10
    client.vectors("hello")
    told = client.get("/metrics").body.decode()
    assert {name for name in asked if not re.search(rf"^{name}{{", told, re.M)} == set()


def test_every_query_finds_series_after_one_request(prometheus: Prometheus) -> None:
    assert len(OF_SERVERS) > 15
    until(lambda: prometheus.query("rate(vllm:prompt_tokens_total[1m])") != [])  # two scrapes
    assert prometheus.down() == []
    assert without_series(prometheus) == []
