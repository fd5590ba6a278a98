"""The admission policies: the API server finds no fault in them, they cost little, and hinder no machinery."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest

from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.installed import RIGHTS, install
from tests.integration.kinds import Manifest, cache, changed, service
from tests.integration.operating import until
from tests.integration.people import AUTHOR, WRITE, People
from tests.rights import OPERATOR, objects

SECRET = {"name": "token", "key": "t"}


def status_of(control_plane: ControlPlane, policy: str) -> dict[str, Any]:
    text = control_plane.kubectl("get", "validatingadmissionpolicy", policy, "-o", "json")
    status: dict[str, Any] = json.loads(text).get("status") or {}
    return status


POLICIES = {policy["metadata"]["name"].rpartition("-")[2]: policy for policy in objects("ValidatingAdmissionPolicy")}


def warnings(control_plane: ControlPlane, policy: Manifest) -> list[str]:
    """What the type checker has against a policy, and against its variables, which it does not look at by itself."""
    spec = policy["spec"]
    inlined = [{"expression": f"[{variable['expression']}].size() == 1"} for variable in spec["variables"]]
    tried = policy | {"metadata": {"name": f"tried-{secrets.token_hex(4)}"}}  # without a binding it refuses nobody
    tried["spec"] = spec | {"validations": spec["validations"] + inlined}
    control_plane.kubectl("apply", "-f", "-", input=json.dumps(tried))
    until(lambda: "typeChecking" in status_of(control_plane, tried["metadata"]["name"]))
    found = status_of(control_plane, tried["metadata"]["name"])["typeChecking"].get("expressionWarnings") or []
    return [warning["warning"] for warning in found]


@pytest.mark.parametrize("name", POLICIES)
def test_the_api_server_finds_no_fault_in_a_policy(control_plane: ControlPlane, people: People, name: str) -> None:
    assert warnings(control_plane, POLICIES[name]) == []


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("embeddingservices", "exposure.?apiKeySecretRef"),  # of a validation
        ("embeddingservices", "runtime.?podTemplate"),  # of a variable
        ("modelcaches", "stager.?serviceAccountName"),
    ],
)
def test_a_field_that_does_not_exist_would_be_found(
    control_plane: ControlPlane, people: People, name: str, field: str
) -> None:
    misspelt = json.loads(json.dumps(POLICIES[name]).replace(f"object.spec.?{field}", f"object.spec.?{field}s"))
    assert any("undefined field" in warning for warning in warnings(control_plane, misspelt))


def everything() -> Manifest:
    """A service for which every look at rights is taken, with a template as large as a request may be."""
    sidecar = {"name": "sidecar", "image": "a", "env": [{"name": f"A{n}", "value": "x" * 1000} for n in range(1000)]}
    return service(
        model__source={"modelScope": {"repo": "a/b", "secretRef": SECRET}},
        cache={"claimTemplate": {"size": "1Gi"}},
        runtime={
            "profile": "cpu",
            "image": "example.com/a:v0.23.0",
            "podTemplate": {"spec": {"containers": [sidecar]}},
        },
        exposure={
            "apiKeySecretRef": {"name": "keys"},
            "tls": {"secretRef": {"name": "tls"}},
            "service": {"type": "NodePort"},
            "gateway": {"parentRefs": [{"name": "public"}]},
            "networkPolicy": {"from": []},
        },
        monitoring={"podMonitor": True},
    )


def test_the_budget_of_cel_is_enough_for_all_looks_at_once(control_plane: ControlPlane, people: People) -> None:
    administrator = people.bind(f"administrator-{secrets.token_hex(4)}", "--clusterrole=cluster-admin")
    until(lambda: people.create(administrator, service()).allowed)
    assert people.create(administrator, everything()).allowed
    written = everything()
    object_ = people.keep(written | {"metadata": {"name": "everything"}})
    assert people.update(AUTHOR, object_, changed(written, {"replicas": 3})).allowed
    written["spec"]["runtime"]["podTemplate"]["spec"]["containers"][0]["env"][999]["value"] = "y"
    assert "spec.runtime.podTemplate: to change this" in people.update(AUTHOR, object_, written).message
    assert people.update(administrator, object_, written).allowed


def test_the_operator_makes_the_caches_of_services_whose_author_was_checked(
    control_plane: ControlPlane, people: People
) -> None:
    install(control_plane.kubectl, *RIGHTS)
    made = cache(
        source={"modelScope": {"repo": "a/b", "secretRef": SECRET}}, stager={"securityContext": {"runAsUser": 0}}
    )
    until(lambda: people.create(OPERATOR, made).allowed)
    stranger = people.may(f"system:serviceaccount:{people.namespace}:operator", WRITE)
    until(lambda: people.create(stranger, cache()).allowed)
    assert "spec.source names Secret token" in people.create(stranger, made).message


def test_statuses_and_numbers_of_replicas_are_not_looked_at(control_plane: ControlPlane, people: People) -> None:
    """A scale, or a controller that takes off a finalizer, is no matter of what the spec asks for."""
    scaler = people.may(
        f"scaler-{secrets.token_hex(4)}",
        {"apiGroups": ["embedding-operator.io"], "resources": ["*/scale", "embeddingservices"], "verbs": ["*"]},
    )
    people.keep(everything() | {"metadata": {"name": "scaled", "finalizers": ["example.com/wait"]}})
    there = ["-n", people.namespace, f"--as={scaler}"]
    until(lambda: succeeds(control_plane, *there, "get", "emb", "scaled"))
    control_plane.kubectl(*there, "scale", "emb/scaled", "--replicas=3")
    control_plane.kubectl(*there, "delete", "emb/scaled", "--wait=false")
    control_plane.kubectl(*there, "patch", "emb/scaled", "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
    assert not succeeds(control_plane, *there, "get", "emb", "scaled")


def succeeds(control_plane: ControlPlane, *arguments: str) -> bool:
    try:
        control_plane.kubectl(*arguments)
    except ClusterError:
        return False
    return True
