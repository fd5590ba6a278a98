"""The PodMonitor of a service: whom it finds, what series are called, and what is told where there can be none."""

import re
from typing import Any

import pytest
import yaml

from tests.unit.planning import given
from tests.unit.test_monitoring import jobs

ABSENT = {"absent": frozenset({"PodMonitor"})}


def plan(monitoring: Any = None, exposure: Any = None, **seen: Any) -> Any:
    asked = {"podMonitor": True} if monitoring is None else monitoring
    service = given.service(monitoring=asked or None, exposure=exposure)
    return given.plan(service, given.seen(cache=given.cache(), **seen))


def spec() -> Any:
    return given.child(plan(), "PodMonitor")["spec"]


def meta(kind: str, name: str) -> str:
    """What Prometheus calls a label or annotation of a pod."""
    return f"__meta_kubernetes_pod_{kind}_{re.sub('[^a-zA-Z0-9_]', '_', name)}"


def test_it_finds_the_pods_and_the_port_of_their_server() -> None:
    template = given.child(plan(), "Deployment")["spec"]["template"]
    assert spec()["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    (endpoint,) = spec()["podMetricsEndpoints"]
    ports = [port["name"] for container in template["spec"]["containers"] for port in container["ports"]]
    assert (ports, endpoint["path"]) == ([endpoint["port"]], "/metrics")


@pytest.mark.parametrize(("tls", "scheme"), [({}, None), ({"tls": {"secretRef": {"name": "embedding-tls"}}}, "https")])
def test_each_pod_says_what_it_speaks_and_whose_it_is(tls: Any, scheme: str | None) -> None:
    """Also while TLS is turned on or off, when some of them speak this and some that."""
    metadata = given.child(plan(exposure=tls), "Deployment")["spec"]["template"]["metadata"]
    known = {meta(kind, name): said for kind in ("label", "annotation") for name, said in metadata[f"{kind}s"].items()}
    told = {}
    for one in spec()["podMetricsEndpoints"][0]["relabelings"]:
        (source,) = one["sourceLabels"]
        if found := re.fullmatch(one.get("regex", "(.*)"), known.get(source, "")):
            told[one["targetLabel"]] = one.get("replacement", found[0])
    assert told == {"service": "qwen"} | ({"__scheme__": scheme} if scheme else {})


def test_what_somebody_without_that_operator_writes_by_hand_is_the_same() -> None:
    """docs/monitoring.md; the Prometheus Operator adds the namespace, the pod and the port by itself."""
    job = jobs()["embedding-servers"]
    (endpoint,) = spec()["podMetricsEndpoints"]
    by_itself = [
        {"source_labels": ["__meta_kubernetes_pod_container_port_name"], "regex": endpoint["port"], "action": "keep"},
        {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
    ]
    ours = [
        {re.sub("([A-Z])", r"_\1", name).lower(): value for name, value in one.items() if name != "action"}
        for one in endpoint["relabelings"]
    ]
    assert job["relabel_configs"] == by_itself + ours
    assert job["tls_config"] == {"insecure_skip_verify": endpoint["tlsConfig"]["insecureSkipVerify"]}
    assert job.get("metrics_path", "/metrics") == endpoint["path"]


def test_labels_are_the_users_and_those_of_all_children() -> None:
    labels = given.child(plan({"podMonitor": True, "labels": {"release": "prometheus"}}), "PodMonitor")["metadata"]
    service = given.child(plan(), "Service")["metadata"]
    assert labels == service | {"labels": service["labels"] | {"release": "prometheus"}}


def test_no_label_of_a_user_takes_the_place_of_ours() -> None:
    """The schema refuses it; what is stored from a time without it must not hide the object from the operator."""
    labels = {"app.kubernetes.io/managed-by": "me"}
    monitor = given.child(plan({"podMonitor": True, "labels": labels}), "PodMonitor")
    assert monitor["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "embedding-operator"


@pytest.mark.parametrize(
    ("seen", "status", "reason", "words"),
    [
        (ABSENT, "False", "PrometheusOperatorNotInstalled", "install the Prometheus Operator"),
        ({}, "False", "Pending", "not made yet"),
        ({"has_pod_monitor": True}, "True", "PodMonitorMade", "podMonitorSelector"),
    ],
)
def test_what_is_told_of_it_changes_nothing_else(seen: Any, status: str, reason: str, words: str) -> None:
    planned, without = plan(**seen), plan({})
    told = given.conditions(planned)["Monitored"]
    assert told[:2] == (status, reason)
    assert words in told[2]
    others = {name: said for name, said in given.conditions(planned).items() if name != "Monitored"}
    assert others == given.conditions(without)
    assert [one for one in planned.apply if one["kind"] != "PodMonitor"] == list(without.apply)


def test_none_is_applied_where_the_cluster_has_none_and_nothing_waits_for_it_elsewhere() -> None:
    assert "PodMonitor" not in given.kinds(plan(**ABSENT))
    assert given.kinds(plan())[-1] == "PodMonitor"


@pytest.mark.parametrize("monitoring", [{}, {"podMonitor": False}])
def test_it_goes_when_it_is_not_wanted_any_more(monitoring: Any) -> None:
    planned = plan(monitoring, has_pod_monitor=True)
    assert planned.delete == (("PodMonitor", "qwen"),)
    assert "Monitored" not in given.conditions(planned)
    assert plan(monitoring).delete == plan(has_pod_monitor=True).delete == ()


def test_no_secret_is_named() -> None:
    text = yaml.safe_dump(given.child(plan(exposure={"tls": {"secretRef": {"name": "embedding-tls"}}}), "PodMonitor"))
    assert "embedding-tls" not in text
