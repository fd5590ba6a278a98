"""The rights that the chart gives, as a real API server's authorizer tells them, are those that the operator needs."""

import json
from typing import Any

import yaml

from embedding_operator import cli
from tests.chart import container, only, render
from tests.cluster.controlplane import ControlPlane


def can(control_plane: ControlPlane, account: str, verb: str, resource: str, namespace: str, name: str = "") -> bool:
    """What the API server's authorizer says of a ServiceAccount."""
    kind, _, subresource = resource.partition("/")
    plural, _, group = kind.partition(".")
    attributes = {"verb": verb, "resource": plural, "group": group, "namespace": namespace, "name": name}
    attributes["subresource"] = subresource
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": f"system:serviceaccount:{account}", "resourceAttributes": attributes},
    }
    answer = control_plane.kubectl("create", "-f", "-", "-o", "json", input=json.dumps(review))
    return bool(json.loads(answer)["status"]["allowed"])


NEEDED = [
    ("list", "embeddingservices.embedding-operator.io"),
    ("patch", "embeddingservices.embedding-operator.io/status"),
    ("create", "modelcaches.embedding-operator.io"),
    ("patch", "modelcaches.embedding-operator.io/status"),
    ("patch", "deployments.apps"),
    ("create", "controllerrevisions.apps"),
    ("delete", "jobs.batch"),
    ("patch", "poddisruptionbudgets.policy"),
    ("patch", "services"),
    ("delete", "configmaps"),
    ("create", "persistentvolumeclaims"),
    ("watch", "pods"),
    ("create", "events.events.k8s.io"),
]
FORBIDDEN = [
    ("get", "secrets"),
    ("list", "nodes"),
    ("patch", "embeddingservices.embedding-operator.io"),
    ("delete", "embeddingservices.embedding-operator.io"),
    ("delete", "persistentvolumeclaims"),
    ("create", "pods"),
    ("create", "pods/exec"),
    ("create", "rolebindings.rbac.authorization.k8s.io"),
    ("get", "customresourcedefinitions.apiextensions.k8s.io"),
]


def install_rights(control_plane: ControlPlane, objects: list[dict[str, Any]]) -> None:
    wanted = [item for item in objects if "Role" in item["kind"] or item["kind"] == "ServiceAccount"]
    control_plane.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(wanted))


def test_its_rights_reach_all_namespaces_and_no_secret(control_plane: ControlPlane) -> None:
    objects = render("wide", crds={"install": False})
    install_rights(control_plane, objects)
    account = f"default:{only(objects, 'ServiceAccount')['metadata']['name']}"
    missing = [right for right in NEEDED if not can(control_plane, account, *right, namespace="kube-system")]
    excess = [right for right in FORBIDDEN if can(control_plane, account, *right, namespace="kube-system")]
    assert (missing, excess) == ([], [])


def test_a_release_has_a_lease_of_its_own_and_reaches_no_other(control_plane: ControlPlane) -> None:
    objects = render("second", crds={"install": False})
    install_rights(control_plane, objects)
    name = cli.parsed(container(objects)["args"]).lease_name
    assert name == "second-embedding-operator"
    account = f"default:{only(objects, 'ServiceAccount')['metadata']['name']}"
    lease = "leases.coordination.k8s.io"
    for verb in ("get", "update"):
        assert can(control_plane, account, verb, lease, "default", name)
        assert not can(control_plane, account, verb, lease, "default", "embedding-operator")
        assert not can(control_plane, account, verb, lease, "kube-system", name)
    assert can(control_plane, account, "create", lease, "default")
    assert not can(control_plane, account, "delete", lease, "default", name)


def test_with_named_namespaces_its_rights_end_there(control_plane: ControlPlane) -> None:
    for namespace in ("watched-a", "watched-b"):
        control_plane.kubectl("create", "namespace", namespace)
    objects = render("narrow", crds={"install": False}, watchNamespaces=["watched-a", "watched-b"])
    install_rights(control_plane, objects)
    account = f"default:{only(objects, 'ServiceAccount')['metadata']['name']}"
    for namespace in ("watched-a", "watched-b"):
        assert [right for right in NEEDED if not can(control_plane, account, *right, namespace=namespace)] == []
        assert [right for right in FORBIDDEN if can(control_plane, account, *right, namespace=namespace)] == []
    assert [right for right in NEEDED if can(control_plane, account, *right, namespace="kube-system")] == []
    in_its_own = [right for right in NEEDED if can(control_plane, account, *right, namespace="default")]
    assert in_its_own == [("create", "events.events.k8s.io")]  # about its own pod
    assert can(control_plane, account, "update", "runtimeprofiles.embedding-operator.io", "")
