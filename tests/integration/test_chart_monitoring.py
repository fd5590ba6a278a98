"""What the chart makes for Prometheus and Grafana, taken by a real API server with the Prometheus Operator's kinds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts.manifests import dashboards
from tests.chart import render
from tests.cluster.controlplane import ControlPlane
from tests.integration.kinds import install_crd
from tests.prometheus import promtool
from tests.prometheus_operator import crd
from tests.prometheus_rules import RULES, series

Object = dict[str, Any]
ALL = {
    "monitoring": {
        "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "runbooks": "https://example.com/monitoring.html"},
    },
    "dashboards": {"enabled": True, "annotations": {"grafana_folder": "Embeddings"}},
    "crds": {"install": False},
}
BY_SERVICE = {"monitoring": {"serviceMonitor": {"enabled": True, "interval": "1m"}}, "crds": {"install": False}}


@pytest.fixture(scope="module")
def objects() -> dict[tuple[str, str], Object]:
    """Of two releases, as one has a monitor of pods or one of a Service."""
    return {(one["kind"], one["metadata"]["name"]): one for one in render(**BY_SERVICE) + render(**ALL)}


def test_two_monitors_of_the_same_pods_are_refused() -> None:
    both = {kind: {"enabled": True} for kind in ("podMonitor", "serviceMonitor")}
    with pytest.raises(ValueError, match="would count every replica twice: enable one"):
        render(monitoring=both)


def test_nothing_of_it_is_there_by_default() -> None:
    kinds = {one["kind"] for one in render(crds={"install": False})}
    assert kinds & {"PodMonitor", "ServiceMonitor", "PrometheusRule", "ConfigMap", "Service"} == set()


def test_an_api_server_takes_all_of_it(control_plane: ControlPlane, objects: dict[tuple[str, str], Object]) -> None:
    for plural in ("podmonitors", "servicemonitors", "prometheusrules"):
        install_crd(control_plane.kubectl, crd(plural))
    wanted = [one for one in objects.values() if one["kind"] in ("PodMonitor", "ServiceMonitor", "PrometheusRule")]
    wanted += [one for one in objects.values() if one["kind"] in ("ConfigMap", "Service")]
    assert len(wanted) == 6
    manifest = yaml.safe_dump_all(wanted)
    said = control_plane.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", input=manifest)
    assert said.count("serverside-applied") == 6
    for plural in ("podmonitors", "servicemonitors", "prometheusrules"):
        control_plane.kubectl("delete", "-f", str(crd(plural)))


def test_monitors_find_the_pods_and_the_port(objects: dict[tuple[str, str], Object]) -> None:
    template = objects["Deployment", "embedding-operator"]["spec"]["template"]
    labels, (container,) = template["metadata"]["labels"], template["spec"]["containers"]
    monitor = objects["PodMonitor", "embedding-operator"]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] in [port["name"] for port in container["ports"]]
    service = objects["Service", "embedding-operator-metrics"]
    by_service = objects["ServiceMonitor", "embedding-operator"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert by_service["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert (by_service["spec"]["endpoints"][0]["port"], endpoint["honorLabels"]) == ("metrics", True)


def test_a_label_that_is_said_of_all_objects_and_of_one_is_there_once_as_of_the_one() -> None:
    of_one = {"enabled": True, "labels": {"team": "one", "app.kubernetes.io/part-of": "prometheus"}}
    said = []
    for kind in ("podMonitor", "serviceMonitor"):
        monitoring = {kind: of_one, "prometheusRule": of_one}
        said += render(labels={"team": "all"}, monitoring=monitoring, dashboards=of_one, crds={"install": False})
    for one in said:
        labels = one["metadata"]["labels"]
        is_one = one["kind"] in ("PodMonitor", "ServiceMonitor", "PrometheusRule", "ConfigMap")
        assert labels["team"] == ("one" if is_one else "all"), one["kind"]
        assert labels["app.kubernetes.io/component"] == ("metrics" if one["kind"] == "Service" else "operator")


def test_the_rules_are_those_of_the_file_but_for_where_they_are_explained_and_whose_pods_are_counted(
    objects: dict[tuple[str, str], Object],
) -> None:
    spec = objects["PrometheusRule", "embedding-operator"]["spec"]
    text = RULES.read_text().replace("url: docs/monitoring.md", "url: https://example.com/monitoring.html")
    ours = '{namespace="default",pod=~"embedding-operator-[a-z0-9]+(-[a-z0-9]+)?"}'
    text = text.replace("(embedding_operator_build_info)", f"(embedding_operator_build_info{ours})")
    assert spec == yaml.safe_load(text)


def test_another_release_does_not_hide_that_replicas_of_this_one_are_gone(tmp_path: Path) -> None:
    rules = {"enabled": True}
    (rule,) = [
        one
        for one in render("a", "here", replicas=3, monitoring={"prometheusRule": rules})
        if one["kind"] == "PrometheusRule"
    ]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule["spec"]))

    def replicas(release: str, *pods: str) -> list[Object]:
        name = f"{release}-embedding-operator-5c6f7d8b9"
        labels = [f'{{namespace="here",job="x",pod="{name}-{pod}"}}' for pod in pods]
        return [series("build_info", "1x100", one) for one in labels]

    def firing(alert: str, seen: list[Object], fires: bool) -> Object:
        expected = [{"labels": "{}", "value": 1}] if fires else []
        asked = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
        tests = [{"expr": asked, "eval_time": "30m", "exp_samples": expected}]
        return {"interval": "1m", "input_series": seen, "promql_expr_test": tests}

    other = replicas("b", "aaaaa", "bbbbb", "ccccc")
    tests = [
        firing("EmbeddingOperatorDown", other, True),
        firing("EmbeddingOperatorDown", other + replicas("a", "aaaaa"), False),
        firing("EmbeddingOperatorReplicaMissing", other + replicas("a", "aaaaa", "bbbbb"), True),
        firing("EmbeddingOperatorReplicaMissing", other + replicas("a", "aaaaa", "bbbbb", "ccccc"), False),
    ]
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests}))
    promtool("test", "rules", str(file))


def test_the_pods_of_a_release_with_a_long_name_are_its_own_too() -> None:
    """The API server cuts the name that a pod's is made from to 58 characters (names.SimpleNameGenerator)."""
    name = f"{'a' * 33}-embedding-operator"
    objects = render("a" * 33, "here", monitoring={"prometheusRule": {"enabled": True}}, crds={"install": False})
    (rule,) = [one for one in objects if one["kind"] == "PrometheusRule"]
    (pods,) = re.findall(r'pod=~"([^"]+)"', rule["spec"]["groups"][0]["rules"][0]["expr"])
    assert name in {one["metadata"]["name"] for one in objects if one["kind"] == "Deployment"}
    assert re.fullmatch(pods, f"{name}-5c6f7d8b99-"[:58] + "abcde")
    assert not re.fullmatch(pods, f"{name}-b-5c6f7d8b99-abcde")


def test_dashboards_come_as_grafanas_sidecar_looks_for_them(objects: dict[tuple[str, str], Object]) -> None:
    maps = [one for (kind, _), one in objects.items() if kind == "ConfigMap"]
    held = {name: text for one in maps for name, text in one["data"].items()}
    assert held == dashboards()
    for one in maps:
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert one["metadata"]["annotations"] == {"grafana_folder": "Embeddings"}


def test_a_release_whose_name_no_service_can_have_is_told_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"begins with a letter: set fullnameOverride.*than 1234"):
        render("1234", monitoring={"serviceMonitor": {"enabled": True}})
