"""What the operator tells of itself, scraped by a real Prometheus while it works, and its log for machines."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest

from embedding_operator.controllers.telling import METRICS
from tests.cluster.controlplane import ControlPlane
from tests.integration.kinds import install_kinds
from tests.integration.operating import Namespace, settle, until
from tests.operator_process import OperatorProcess
from tests.prometheus import Prometheus, promtool


@pytest.fixture(scope="module")
def operator(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """The operator as the chart starts it, after it has served a service and failed at another."""
    install_kinds(control_plane.kubectl)
    directory = tmp_path_factory.mktemp("operator")
    with OperatorProcess(control_plane.kubeconfig, directory, "--log-format=json") as running:
        yield running


@pytest.fixture(scope="module")
def namespace(control_plane: ControlPlane, operator: OperatorProcess) -> Namespace:
    """With a service that is served, and one that nobody can serve."""
    namespace = Namespace(control_plane.kubectl)
    namespace.claim()
    namespace.service("served")
    namespace.stage()
    settle(namespace, "served")
    namespace.service("refused", runtime={"profile": "nobodys"})
    until(lambda: namespace.condition("emb", "refused", "Stalled")["reason"] == "ProfileNotFound")
    return namespace


@pytest.fixture(scope="module")
def prometheus(
    operator: OperatorProcess, namespace: Namespace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """It has scraped often enough for a rate."""
    targets = {"embedding-operator": {"targets": [f"127.0.0.1:{operator.port}"], "labels": {"pod": "operator-0"}}}
    with Prometheus(tmp_path_factory.mktemp("prometheus"), targets) as running:
        until(lambda: bool(running.query("increase(process_cpu_seconds_total[10s])")))
        yield running


def exposition(operator: OperatorProcess) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{operator.port}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text: str = answer.read().decode()
        return text


def test_promtool_finds_no_fault(operator: OperatorProcess, namespace: Namespace) -> None:
    assert promtool("check", "metrics", stdin=exposition(operator)) == ""


def test_every_metric_is_scraped_with_its_type_and_what_it_is(prometheus: Prometheus) -> None:
    assert prometheus.down() == []
    known = prometheus.metadata()
    assert {metric.name: (metric.type, metric.help) for metric in METRICS} == {
        metric.name: (known[metric.name][0]["type"], known[metric.name][0]["help"]) for metric in METRICS
    }


def value(prometheus: Prometheus, expression: str) -> float:
    (series,) = prometheus.query(expression)
    return float(series["value"][1])


def test_what_happened_is_counted(prometheus: Prometheus, namespace: Namespace) -> None:
    of = f'namespace="{namespace.name}"'
    assert value(prometheus, "embedding_operator_leader") == 1
    assert value(prometheus, "embedding_operator_synced") == 1
    assert value(prometheus, f'embedding_operator_service_ready_replicas{{{of},service="served"}}') == 2
    stalled = f'embedding_operator_service_condition{{{of},condition="Stalled"}}'
    (series,) = prometheus.query(stalled)
    assert (series["metric"]["service"], series["metric"]["reason"]) == ("refused", "ProfileNotFound")
    assert value(prometheus, f"embedding_operator_cache_bytes{{{of}}}") == 100
    assert value(prometheus, 'sum(embedding_operator_reconciles_total{kind="EmbeddingService"})') > 0
    assert value(prometheus, 'embedding_operator_reconciles_total{result="defect"} or vector(0)') == 0
    applied = 'embedding_operator_api_requests_total{verb="apply",resource="deployments",code=~"2.."}'
    assert value(prometheus, f"sum({applied})") > 0
    assert value(prometheus, "embedding_operator_rollouts_total") >= 1
    assert value(prometheus, "min(time() - embedding_operator_watch_heard_timestamp_seconds)") < 150
    heard = {one["metric"]["resource"] for one in prometheus.query("embedding_operator_watch_starts_total > 0")}
    assert heard >= {"embeddingservices", "modelcaches", "runtimeprofiles", "deployments", "pods", "jobs"}
    assert value(prometheus, "process_resident_memory_bytes") > 2e7


def test_the_log_is_one_object_a_line_and_a_reconcile_is_found_in_the_audit_log(
    operator: OperatorProcess, namespace: Namespace, control_plane: ControlPlane
) -> None:
    lines = [json.loads(line) for line in operator.log.read_text().splitlines()]
    assert {"ts", "level", "logger", "msg", "replica", "leader"} <= set(lines[-1])
    assert any(line["logger"].startswith("kopf") for line in lines)
    audited = [json.loads(line) for line in control_plane.audit_log.read_text().splitlines()]
    named = f"/apis/apps/v1/namespaces/{namespace.name}/deployments/served"
    (first, *_) = [one["auditID"] for one in audited if one["requestURI"].startswith(named) and one["verb"] == "patch"]
    reconcile, _, number = first.rpartition("-")
    assert len(reconcile) == 16
    assert int(number) > 0
    of_it = {one["requestURI"].partition("?")[0] for one in audited if one["auditID"].startswith(f"{reconcile}-")}
    assert named in of_it
    assert len(of_it) > 2
