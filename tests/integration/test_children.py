"""Each child of a service: what somebody changes in it by hand is put back, and one that is deleted is made again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cluster.controlplane import ControlPlane
from tests.integration.operating import Namespace, until
from tests.operator_process import OperatorProcess

Object = dict[str, Any]
LABEL = "app.kubernetes.io/managed-by=embedding-operator"
KINDS = (
    "configmap",
    "controllerrevision",
    "deployment",
    "networkpolicy",
    "poddisruptionbudget",
    "service",
)
IMAGE = "/spec/template/spec/containers/0/image"
EDITS: dict[str, tuple[str, str, Any]] = {
    "another number of replicas": ("deployment", "/spec/replicas", 7),
    "another image": ("deployment", IMAGE, "example.com/evil:1"),
    "another drain": ("deployment", "/spec/template/spec/terminationGracePeriodSeconds", 1),
    "a capability": ("deployment", "/spec/template/spec/containers/0/securityContext/allowPrivilegeEscalation", True),
    "a label of its pods": ("deployment", "/spec/template/metadata/labels/app.kubernetes.io~1name", "other"),
    "its label": ("deployment", "/metadata/labels/app.kubernetes.io~1name", "other"),
    "its owner": ("deployment", "/metadata/ownerReferences/0/controller", False),
    "where clients are sent": ("service", "/spec/selector", {"embedding-operator.io/service": "other"}),
    "a port": ("service", "/spec/ports/0/port", 81),
    "how many pods may be evicted": ("poddisruptionbudget", "/spec/maxUnavailable", 2),
    "who is let in": ("networkpolicy", "/spec/podSelector", {}),
    "a label of a revision": ("controllerrevision", "/metadata/labels/app.kubernetes.io~1name", "other"),
    "a label of the scripts": ("configmap", "/metadata/labels/app.kubernetes.io~1managed-by", "other"),
}


@pytest.fixture(scope="module")
def namespace(control_plane: ControlPlane, operator: OperatorProcess) -> Namespace:
    """One with a service that has every child."""
    namespace = Namespace(control_plane.kubectl)
    namespace.claim()
    namespace.service(exposure={"networkPolicy": {"from": [{"podSelector": {}}]}})
    namespace.stage()
    until(lambda: all(of(namespace, kind) for kind in KINDS))
    return namespace


def of(namespace: Namespace, kind: str) -> Object | None:
    """The one child of a kind, or None."""
    selector = f"{LABEL},embedding-operator.io/scripts" if kind == "configmap" else LABEL
    found = namespace.items(kind, selector)
    return found[0] if found else None


def wanted(child: Object) -> Object:
    """What of a child is not the API server's own, nor our note of what was applied."""
    metadata = {key: child["metadata"].get(key) for key in ("name", "labels", "ownerReferences")}
    spec = dict(child.get("spec") or {})
    for given in ("clusterIP", "clusterIPs"):
        spec.pop(given, None)
    return {"metadata": metadata, "spec": spec, "data": child.get("data")}


@pytest.mark.parametrize("kind", KINDS)
def test_a_child_that_is_deleted_is_made_again_as_it_was(namespace: Namespace, kind: str) -> None:
    before = of(namespace, kind)
    assert before is not None
    namespace.kubectl("delete", kind, before["metadata"]["name"], "--wait=false")

    def is_back() -> bool:
        now = of(namespace, kind)
        return now is not None and now["metadata"]["uid"] != before["metadata"]["uid"]

    until(is_back)
    until(lambda: wanted(of(namespace, kind) or {"metadata": {}}) == wanted(before))


@pytest.mark.parametrize("edit", EDITS)
def test_what_somebody_changes_by_hand_is_put_back(namespace: Namespace, edit: str) -> None:
    kind, path, value = EDITS[edit]
    before = of(namespace, kind)
    assert before is not None
    name = before["metadata"]["name"]
    patch = json.dumps([{"op": "replace", "path": path, "value": value}])
    edited = json.loads(namespace.kubectl("patch", kind, name, "--type=json", "-p", patch, "-o", "json"))
    assert wanted(edited) != wanted(before)
    until(lambda: wanted(namespace.get(kind, name) or {"metadata": {}}) == wanted(before))


def test_all_children_deleted_at_once_are_made_again(namespace: Namespace) -> None:
    before = {kind: of(namespace, kind) for kind in KINDS}
    for kind in KINDS:
        namespace.kubectl("delete", kind, "-l", LABEL, "--wait=false")

    def are_back() -> bool:
        now = {kind: of(namespace, kind) for kind in KINDS}
        return all(
            one is not None and one["metadata"]["uid"] != (before[kind] or {})["metadata"]["uid"]
            for kind, one in now.items()
        )

    until(are_back)
    for kind in KINDS:
        assert wanted(of(namespace, kind) or {}) == wanted(before[kind] or {}), kind
