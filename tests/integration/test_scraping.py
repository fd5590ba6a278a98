"""How a real Prometheus takes what docs/monitoring.md shows for it: pods of the planner and of the chart are asked as
they speak, and called what the dashboards ask for.

Debian's Prometheus is built without the discovery of pods; what that would tell of them is told it here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.chart import only, render
from tests.cluster.certificates import Authority
from tests.exposition import told
from tests.integration.operating import until
from tests.prometheus import Prometheus
from tests.standins.vllm.process import ServerProcess, write_model
from tests.unit.planning import given
from tests.unit.test_monitoring import jobs

Object = dict[str, Any]
TLS = {"tls": {"secretRef": {"name": "embedding-tls"}}}
OPERATOR = 'embedding_operator_leader 1\nembedding_operator_service_replicas{namespace="search",service="qwen"} 4\n'


def discovered(template: Object, namespace: str, name: str, ports: dict[str, int]) -> list[Object]:
    """What Prometheus' role `pod` tells of a pod: a target for each port, with labels to relabel by."""
    known = {"__meta_kubernetes_namespace": namespace, "__meta_kubernetes_pod_name": name}
    for kind in ("label", "annotation"):
        for key, said in (template["metadata"].get(f"{kind}s") or {}).items():
            known[f"__meta_kubernetes_pod_{kind}_{re.sub('[^a-zA-Z0-9_]', '_', key)}"] = said
    named = [port["name"] for one in template["spec"]["containers"] for port in one["ports"]]
    return [
        {
            "targets": [f"127.0.0.1:{ports[port]}"],
            "labels": known | {"__meta_kubernetes_pod_container_port_name": port},
        }
        for port in named
    ]


def of_service(server: ServerProcess, pod: str, exposure: Object) -> list[Object]:
    planned = given.plan(given.service(exposure=exposure), given.seen(cache=given.cache()))
    template = given.child(planned, "Deployment")["spec"]["template"]
    template["spec"]["containers"].append({"ports": [{"name": "sidecar"}]})  # with a port of its own, which nobody asks
    return discovered(template, "search", pod, {"http": server.port, "sidecar": 1})


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServerProcess]]:
    """A double of vLLM for each of two pods of one service, of which the first speaks HTTPS already."""
    directory = tmp_path_factory.mktemp("vllm")
    model = write_model(directory / "model")
    certificate = Authority(directory / "authority").issue("server", "embedding", hosts=["qwen.search.svc"])
    quick = {"VLLM_DOUBLE_START_SECONDS": "0"}
    with ExitStack() as running:
        yield [
            running.enter_context(
                ServerProcess(directory / name, model, ["qwen"], environment=quick, certificate=shown)
            )
            for name, shown in (("guarded", certificate), ("open", None))
        ]


@pytest.fixture(scope="module")
def operator() -> Iterator[int]:
    """The port of somebody who tells what the operator does: of itself, and of a service in another namespace."""
    with told(OPERATOR) as port:
        yield port


@pytest.fixture(scope="module")
def prometheus(
    servers: list[ServerProcess], operator: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    guarded, plain = servers
    template = only(render(), "Deployment")["spec"]["template"]
    found = {
        "embedding-servers": [*of_service(guarded, "qwen-new", TLS), *of_service(plain, "qwen-old", {})],
        "embedding-operator": discovered(template, "embedding-operator-system", "operator-0", {"health": operator}),
    }
    shown = [{key: value for key, value in job.items() if key != "kubernetes_sd_configs"} for job in jobs().values()]
    scraped = [job | {"static_configs": found[job["job_name"]]} for job in shown]
    with Prometheus(tmp_path_factory.mktemp("prometheus"), jobs=scraped) as running:
        yield running


def test_only_pods_with_our_labels_are_asked_for_by_jobs_and_only_where_they_are() -> None:
    selected = {
        name: selector["label"]
        for name, job in jobs().items()
        for found in job["kubernetes_sd_configs"]
        for selector in found["selectors"]
    }
    template = only(render(), "Deployment")["spec"]["template"]
    name, _, value = selected["embedding-operator"].partition("=")
    assert template["metadata"]["labels"][name] == value
    planned = given.plan(given.service(), given.seen(cache=given.cache()))
    assert selected["embedding-servers"] in given.child(planned, "Deployment")["spec"]["template"]["metadata"]["labels"]


def test_servers_are_asked_as_each_speaks_and_have_the_labels_that_the_dashboard_asks_for(
    prometheus: Prometheus,
) -> None:
    until(lambda: len(prometheus.query("vllm:num_requests_running")) == 2)
    assert prometheus.down() == []
    labels = ("namespace", "service", "pod")
    found = {tuple(one["metric"][label] for label in labels) for one in prometheus.query("vllm:num_requests_running")}
    assert found == {("search", "qwen", "qwen-new"), ("search", "qwen", "qwen-old")}
    assert len(prometheus.query('up{job="embedding-servers"}')) == 2  # nobody else is asked


def test_the_operator_is_found_and_services_keep_their_own_namespace(prometheus: Prometheus) -> None:
    until(lambda: prometheus.query("embedding_operator_leader") != [])
    (leader,) = prometheus.query("embedding_operator_leader")
    assert (leader["metric"]["namespace"], leader["metric"]["pod"]) == ("embedding-operator-system", "operator-0")
    (replicas,) = prometheus.query("embedding_operator_service_replicas")
    assert replicas["metric"]["namespace"] == "search"
