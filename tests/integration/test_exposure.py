"""The Service in front of a service: of each type, changed from one to another, and what the schema refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.cluster.kubectl import Kubectl
from tests.integration import kinds
from tests.integration.kinds import as_yaml, install_kinds
from tests.integration.operating import Namespace, until
from tests.operator_process import OperatorProcess

INTERNAL = {"service.beta.kubernetes.io/aws-load-balancer-internal": "true"}


@pytest.fixture(scope="module")
def kubectl(control_plane: ControlPlane) -> Kubectl:
    install_kinds(control_plane.kubectl)
    control_plane.kubectl("create", "namespace", "exposure")
    return control_plane.kubectl


def apply(kubectl: Kubectl, *, dry_run: bool = True, **service: Any) -> str:
    arguments = ("apply", "-n", "exposure", *(["--dry-run=server"] if dry_run else ()), "-f", "-")
    return kubectl(*arguments, input=as_yaml(kinds.service(exposure={"service": service})))


@pytest.mark.parametrize(
    ("service", "message"),
    [
        ({"clusterIP": "None", "type": "NodePort"}, "a headless Service is of type ClusterIP"),
        ({"clusterIP": "None", "port": 80}, "a headless Service leads straight to the pods, which listen on 8000"),
        ({"clusterIP": "10.96.0.7"}, 'Unsupported value: "10.96.0.7"'),
        ({"nodePort": 30080}, "nodePort needs type: NodePort or LoadBalancer"),
        ({"type": "NodePort", "loadBalancerClass": "a/b"}, "loadBalancerClass needs type: LoadBalancer"),
        ({"loadBalancerSourceRanges": ["10.0.0.0/8"]}, "loadBalancerSourceRanges need type: LoadBalancer"),
        ({"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.1"]}, "write a network with its length"),
        ({"annotations": {"embedding-operator.io/applied": "x"}}, "are the operator's own, remove them here"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_write(kubectl: Kubectl, service: Any, message: str) -> None:
    with pytest.raises(ClusterError) as refused:
        apply(kubectl, **service)
    assert message in str(refused.value)


def test_what_a_service_cannot_change_is_refused_before_anything_breaks(kubectl: Kubectl) -> None:
    apply(kubectl, dry_run=False, type="LoadBalancer", loadBalancerClass="a/b")
    with pytest.raises(ClusterError, match="a Service cannot become headless, or stop being so, under its clients"):
        apply(kubectl, clusterIP="None")
    with pytest.raises(ClusterError, match="the class of a load balancer cannot be changed"):
        apply(kubectl, type="LoadBalancer", loadBalancerClass="c/d")
    with pytest.raises(ClusterError, match="the class of a load balancer cannot be changed"):
        apply(kubectl, type="LoadBalancer")
    apply(kubectl, dry_run=False, type="ClusterIP")
    apply(kubectl, dry_run=False, type="LoadBalancer", loadBalancerClass="c/d")
    kubectl("delete", "-n", "exposure", "emb", "--all")
    apply(kubectl, dry_run=False, clusterIP="None")
    with pytest.raises(ClusterError, match="a Service cannot become headless, or stop being so, under its clients"):
        kubectl("patch", "-n", "exposure", "emb/base", "--type=merge", "-p", '{"spec": {"exposure": null}}')
    kubectl("delete", "-n", "exposure", "emb", "--all")


def made(namespace: Namespace) -> dict[str, Any]:
    spec: dict[str, Any] = (namespace.get("service", "qwen") or {}).get("spec", {})
    return spec


def test_a_service_changes_its_type_and_keeps_its_address(operator: OperatorProcess, kubectl: Kubectl) -> None:
    namespace = Namespace(kubectl)
    namespace.claim()
    namespace.service()
    namespace.stage()
    until(lambda: made(namespace).get("type") == "ClusterIP")
    address = made(namespace)["clusterIP"]

    namespace.service(exposure={"service": {"type": "NodePort", "nodePort": 31987, "port": 80}})
    until(lambda: made(namespace)["type"] == "NodePort")
    assert [(port["port"], port["nodePort"]) for port in made(namespace)["ports"]] == [(80, 31987)]

    balanced = {"type": "LoadBalancer", "annotations": INTERNAL, "loadBalancerClass": "service.k8s.aws/nlb"}
    namespace.service(exposure={"service": balanced | {"loadBalancerSourceRanges": ["10.0.0.0/8"]}})
    until(lambda: made(namespace)["type"] == "LoadBalancer")
    assert made(namespace)["loadBalancerClass"] == "service.k8s.aws/nlb"
    assert made(namespace)["loadBalancerSourceRanges"] == ["10.0.0.0/8"]
    assert (namespace.get("service", "qwen") or {})["metadata"]["annotations"].items() >= INTERNAL.items()

    namespace.service()
    until(lambda: made(namespace)["type"] == "ClusterIP")
    told = json.dumps(made(namespace))
    assert [field for field in ("nodePort", "loadBalancerClass", "loadBalancerSourceRanges") if field in told] == []
    assert made(namespace)["clusterIP"] == address
    assert INTERNAL.keys() & (namespace.get("service", "qwen") or {})["metadata"]["annotations"].keys() == set()
    assert namespace.condition("emb", "qwen", "Stalled")["reason"] == ""


def test_a_headless_service_has_no_address_of_its_own(operator: OperatorProcess, kubectl: Kubectl) -> None:
    namespace = Namespace(kubectl)
    namespace.claim()
    namespace.service(exposure={"service": {"clusterIP": "None"}})
    namespace.stage()
    until(lambda: made(namespace).get("clusterIP") == "None")
    until(lambda: namespace.condition("emb", "qwen")["reason"] == "Starting")
    assert namespace.condition("emb", "qwen", "Stalled")["reason"] == ""
