"""What the operator tells of itself, scraped by a real Prometheus while it works, and its log for machines."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Iterator

import pytest

from embedding_operator.controllers.telling import METRICS
from tests.cluster.controlplane import ControlPlane
from tests.exposition import told
from tests.integration.kinds import benchmark, install_kinds, job
from tests.integration.operating import Namespace, settle, until
from tests.operator_process import OperatorProcess
from tests.panels import panels
from tests.prometheus import Prometheus, promtool
from tests.prometheus_rules import RULES
from tests.standins import npu_exporter
from tests.standins.vllm.process import ServerProcess, write_model

POD = "served-5c6f7d8b9-abcde"


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
    (cache,) = namespace.items("modelcache")
    namespace.write_status("modelcache", cache["metadata"]["name"], {"verifiedAt": "2026-01-02T00:00:00Z"})
    namespace.service("refused", runtime={"profile": "nobodys"})
    until(lambda: namespace.condition("emb", "refused", "Stalled")["reason"] == "ProfileNotFound")
    namespace.apply(job())
    namespace.apply(benchmark(serviceRef={"name": "served"}))
    until(lambda: all(namespace.condition(kind, "base")["reason"] for kind in ("embjob", "embbench")))
    return namespace


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A double of vLLM, as a pod of the service has it."""
    directory = tmp_path_factory.mktemp("vllm")
    model = write_model(directory / "model")
    with ServerProcess(
        directory / "server", model, ["qwen"], environment={"VLLM_DOUBLE_START_SECONDS": "0"}
    ) as running:
        yield running


@pytest.fixture(scope="module")
def npus(namespace: Namespace) -> Iterator[int]:
    """The port of a stand-in for npu-exporter: the pod of the service has one NPU."""
    with told(npu_exporter.text(POD, namespace.name)) as port:
        yield port


@pytest.fixture(scope="module")
def prometheus(
    operator: OperatorProcess,
    namespace: Namespace,
    server: ServerProcess,
    npus: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Prometheus]:
    """It has scraped all of them often enough for a rate, while something happened."""
    served = {"namespace": namespace.name, "service": "served", "pod": POD}
    targets = {
        "embedding-operator": {"targets": [f"127.0.0.1:{operator.port}"], "labels": {"pod": "operator-0"}},
        "servers": {"targets": [f"127.0.0.1:{server.port}"], "labels": served},
        "npu-exporter": {"targets": [f"127.0.0.1:{npus}"]},
    }
    with Prometheus(tmp_path_factory.mktemp("prometheus"), targets, [RULES]) as running:
        until(lambda: len(running.query("increase(process_cpu_seconds_total[1m])")) > 0)
        embed(server)
        begin_staging(namespace)
        namespace.kubectl("scale", "emb/served", "--replicas=3")
        yield running


def embed(server: ServerProcess) -> None:
    body = json.dumps({"model": "qwen", "input": ["a", "b"]}).encode()
    request = urllib.request.Request(f"{server.url}/v1/embeddings", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


def begin_staging(namespace: Namespace) -> None:
    """Another model, of which half is there, as a stager would tell."""
    namespace.service("staging", model={"source": {"modelScope": {"repo": "Qwen/Qwen3-Embedding-4B"}}})
    until(lambda: len(namespace.items("modelcache")) == 2)
    (cache,) = [one["metadata"]["name"] for one in namespace.items("modelcache") if "4b" in one["metadata"]["name"]]
    progress = {"phase": "Downloading", "percent": 50, "bytes": 5, "totalBytes": 10, "bytesPerSecond": 2}
    namespace.write_status("modelcache", cache, {"progress": progress})


def without_series(prometheus: Prometheus) -> list[str]:
    return [title for title, asked in panels() if not prometheus.query(asked)]


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


def test_every_query_of_every_panel_finds_series(prometheus: Prometheus) -> None:
    with contextlib.suppress(AssertionError):  # which ones is said below
        until(lambda: without_series(prometheus) == [], 60)
    assert without_series(prometheus) == []


def test_of_the_npus_those_of_our_pods_are_shown(prometheus: Prometheus) -> None:
    asked = [query for title, query in panels("embedding-servers") if "npu_chip" in query and "sum(" not in query]
    counted = [query for query in asked if query.startswith("count(")]
    assert len(asked) == len(counted) + 4 == 5
    for query in set(asked) - set(counted):
        assert [one["metric"]["pod_name"] for one in prometheus.query(query)] == [POD], query
    (spent,) = [query for title, query in panels("embedding-servers") if title.endswith("Inputs per watt")]
    assert value(prometheus, spent.partition(" / ")[2]) == 240.5  # watts


def test_no_alert_is_pending_but_those_of_the_service_that_is_ill(prometheus: Prometheus, namespace: Namespace) -> None:
    """Of what waits for its time in a healthy system nothing may be there: it would fire in the end."""
    labels = [alert["labels"] for alert in prometheus.alerts()]
    ours = [one for one in labels if one.get("namespace", namespace.name) == namespace.name]  # others have their own
    pending = {(one["alertname"], one.get("service")) for one in ours}
    assert {alert for alert, service in pending if service != "refused"} <= {
        "EmbeddingWeightsNotReady",  # the second model is being staged
        "EmbeddingStagingStuck",  # a minute old, in a test that moves nothing
        "EmbeddingServiceReplicasMissing",  # the third replica, just now
        "EmbeddingServiceNotReady",
        "EmbeddingOperatorReplicaMissing",  # one operator is enough here
    }
    assert ("EmbeddingServiceStalled", "refused") in pending


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
    assert value(prometheus, 'sum(embedding_operator_reconciles_total{result="defect"})') == 0
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
