"""The control plane that all integration tests stand on is a real and strict one."""

from __future__ import annotations

import json

import pytest

from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.cluster.sources import chosen_version

RESTRICTED = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "strict", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
}
PRIVILEGED_POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "privileged", "namespace": "strict"},
    "spec": {"containers": [{"name": "main", "image": "x", "securityContext": {"privileged": True}}]},
}


def test_serves_the_version_that_was_asked_for(control_plane: ControlPlane) -> None:
    version = json.loads(control_plane.kubectl("version", "-o", "json"))
    assert version["serverVersion"]["gitVersion"] == f"v{chosen_version()}"


def test_pod_security_refuses_a_privileged_pod(control_plane: ControlPlane) -> None:
    control_plane.kubectl("apply", "-f", "-", input=json.dumps(RESTRICTED))
    with pytest.raises(ClusterError, match='violates PodSecurity "restricted'):
        control_plane.kubectl("create", "-f", "-", input=json.dumps(PRIVILEGED_POD))


def test_service_accounts_have_no_rights_of_their_own(control_plane: ControlPlane) -> None:
    with pytest.raises(ClusterError, match="Forbidden"):
        control_plane.kubectl("get", "secrets", "--as=system:serviceaccount:default:default")


def test_the_audit_log_tells_who_did_what(control_plane: ControlPlane) -> None:
    control_plane.kubectl("create", "configmap", "audited")
    events = [json.loads(line) for line in control_plane.audit_log.read_text().splitlines()]
    created = [
        (event["user"]["username"], event["verb"])
        for event in events
        if event.get("objectRef", {}).get("resource") == "configmaps"
        and event["objectRef"].get("namespace") == "default"
        and event["verb"] == "create"
        and event["user"]["username"] == "admin"
    ]
    assert created == [("admin", "create")]


def test_controllers_run(control_plane: ControlPlane) -> None:
    """Deleting an owner deletes what it owns: the garbage collector works."""
    control_plane.kubectl("create", "deployment", "collected", "--image=x", "--replicas=1")
    control_plane.kubectl("wait", "--for=create", "replicaset", "-l", "app=collected", "--timeout=30s")
    control_plane.kubectl("delete", "deployment", "collected", "--cascade=foreground", "--timeout=30s")
    assert control_plane.kubectl("get", "replicasets", "-l", "app=collected", "-o", "name") == ""


def test_data_survives_a_restart_of_the_api_server(control_plane: ControlPlane) -> None:
    control_plane.kubectl("create", "configmap", "kept")
    control_plane.stop_apiserver()
    with pytest.raises(ClusterError, match="refused"):
        control_plane.kubectl("get", "configmap", "kept")
    control_plane.start_apiserver()
    assert control_plane.kubectl("get", "configmap", "kept", "-o", "name") == "configmap/kept\n"
