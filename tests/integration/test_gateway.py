"""The Gateway API, with its own CRDs: a cluster without it, one that gets it, and one that loses it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.cluster.kubectl import Kubectl
from tests.gateway import crd
from tests.installed import operator_of
from tests.integration.kinds import install_crd, install_kinds
from tests.integration.operating import Namespace, until
from tests.unit.planning.test_gateway import APART, DOUBLED

GATEWAY = {
    "parentRefs": [{"name": "public", "namespace": "infra", "sectionName": "https"}],
    "hostnames": ["embeddings.example.com", "*.search.example.com"],
    "requestTimeout": "120s",
}


@pytest.fixture
def without(control_plane: ControlPlane) -> Iterator[Kubectl]:
    """A cluster without the Gateway API, also afterwards."""
    install_kinds(control_plane.kubectl)
    yield control_plane.kubectl
    control_plane.kubectl("delete", "--ignore-not-found", "-f", str(crd("httproutes")))


def serve(kubectl: Kubectl, **exposure: Any) -> Namespace:
    namespace = Namespace(kubectl)
    namespace.claim()
    namespace.service(exposure=exposure)
    namespace.stage()
    return namespace


def routed(namespace: Namespace) -> tuple[str, str]:
    condition = namespace.condition("emb", "qwen", "Routed")
    return condition["status"], condition["reason"]


def asked_for_routes(control_plane: ControlPlane, name: str = "") -> int:
    """How often: with a name, for that one."""
    lines = control_plane.audit_log.read_text().splitlines()
    return sum('"userAgent":"embedding-operator"' in line and f"/httproutes{name}" in line for line in lines)


def test_what_is_refused_of_gateways_named_twice_is_what_an_api_server_refuses(without: Kubectl) -> None:
    install_crd(without, crd("httproutes"))

    def create(parents: Any) -> str:
        spec = {"parentRefs": parents}
        route = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "x"}}
        return without("create", "--dry-run=server", "-f", "-", input=json.dumps(route | {"spec": spec}))

    for parents, _ in DOUBLED:
        with pytest.raises(ClusterError, match="sectionName must be"):
            create(parents)
    for parents in APART:
        assert "created" in create(parents)


def test_where_it_is_not_installed_only_a_condition_says_so(
    without: Kubectl, control_plane: ControlPlane, tmp_path: Any
) -> None:
    with operator_of(control_plane, tmp_path) as operator:
        namespace = serve(without, gateway=GATEWAY)
        until(lambda: routed(namespace) == ("False", "GatewayApiNotInstalled"))
        until(lambda: namespace.condition("emb", "qwen")["reason"] == "Starting")
        assert namespace.condition("emb", "qwen", "Stalled")["reason"] == ""
        assert len(namespace.children()) == 5
        assert asked_for_routes(control_plane) > 0, "it looks whether they are installed"
        before = asked_for_routes(control_plane, "/qwen")
        namespace.kubectl("scale", "emb/qwen", "--replicas=3")
        time.sleep(5)
        assert asked_for_routes(control_plane, "/qwen") == before, "a change of the service asks for none"
    assert "Traceback" not in operator.log.read_text()


def test_once_it_is_installed_routes_are_made_and_gateways_heard_and_all_goes_with_it(
    without: Kubectl, control_plane: ControlPlane, tmp_path: Any
) -> None:
    with operator_of(control_plane, tmp_path, "--resync-seconds=3") as operator:
        namespace = serve(without, gateway=GATEWAY)
        until(lambda: routed(namespace) == ("False", "GatewayApiNotInstalled"))

        without("apply", "--server-side", "-f", str(crd("httproutes")))
        until(lambda: routed(namespace) == ("False", "WaitingForGateway"))
        (route,) = namespace.items("httproute")
        assert route["spec"]["hostnames"] == GATEWAY["hostnames"]
        assert route["metadata"]["ownerReferences"][0]["kind"] == "EmbeddingService"
        namespace.kubectl("label", "httproute", "qwen", "app.kubernetes.io/name=other", "--overwrite")
        until(lambda: namespace.items("httproute")[0]["metadata"]["labels"]["app.kubernetes.io/name"] == "vllm")

        answer(namespace, "False", "NotAllowedByListeners")
        until(lambda: routed(namespace) == ("False", "RouteRefused"))
        assert "NotAllowedByListeners" in namespace.condition("emb", "qwen", "Routed")["message"]
        answer(namespace, "True", "Accepted")
        until(lambda: routed(namespace) == ("True", "RouteAccepted"))
        namespace.kubectl("delete", "httproute", "qwen")
        until(lambda: len(namespace.items("httproute")) == 1)

        namespace.service()
        until(lambda: namespace.items("httproute") == [])
        until(lambda: routed(namespace) == ("", ""))

        namespace.service(exposure={"gateway": GATEWAY})
        until(lambda: len(namespace.items("httproute")) == 1)
        without("delete", "-f", str(crd("httproutes")))
        until(lambda: routed(namespace) == ("False", "GatewayApiNotInstalled"))
        assert namespace.condition("emb", "qwen", "Stalled")["reason"] == ""
    assert "Traceback" not in operator.log.read_text()


def answer(namespace: Namespace, status: str, reason: str) -> None:
    """What the controller of a Gateway writes."""
    (route,) = namespace.items("httproute")
    condition = {"type": "Accepted", "status": status, "reason": reason, "message": "in its words"}
    condition |= {"observedGeneration": route["metadata"]["generation"], "lastTransitionTime": "2026-01-02T03:04:05Z"}
    parent = {"parentRef": GATEWAY["parentRefs"][0], "controllerName": "example.com/it", "conditions": [condition]}
    namespace.write_status("httproute", "qwen", {"parents": [parent]})


def test_a_network_policy_is_made_and_goes_when_it_is_not_wanted(
    without: Kubectl, control_plane: ControlPlane, tmp_path: Any
) -> None:
    peers = [{"podSelector": {}}, {"namespaceSelector": {"matchLabels": {"team": "search"}}}]
    peers += [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]
    with operator_of(control_plane, tmp_path) as operator:
        namespace = serve(without, networkPolicy={"from": peers})
        until(lambda: len(namespace.items("networkpolicy")) == 1)
        (policy,) = namespace.items("networkpolicy")
        assert policy["spec"]["ingress"][0]["from"][:3] == peers
        namespace.kubectl("delete", "networkpolicy", "qwen")
        until(lambda: len(namespace.items("networkpolicy")) == 1)
        namespace.service()
        until(lambda: namespace.items("networkpolicy") == [])
    assert "Traceback" not in operator.log.read_text()
