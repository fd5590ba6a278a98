"""What is read out of an audit log: which rights were used, and who overstepped his."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rights import OPERATOR, Right, granted, trespasses, used


def asked(verb: str, resource: str, group: str = "", *, user: str = OPERATOR, code: int = 200, **more: Any) -> Any:
    name, _, subresource = resource.partition("/")
    decision = "forbid" if code == 403 else "allow"
    return {
        "verb": verb,
        "user": {"username": user},
        "requestURI": f"/{resource}",
        "objectRef": {"resource": name, "apiGroup": group} | ({"subresource": subresource} if subresource else {}),
        "responseStatus": {"code": code},
        "annotations": {"authorization.k8s.io/decision": decision},
    } | more


def test_an_apply_that_makes_its_object_uses_two_rights() -> None:
    assert used([asked("patch", "services", code=201), asked("patch", "deployments", "apps")]) == {
        Right("", "services", "patch"),
        Right("", "services", "create"),
        Right("apps", "deployments", "patch"),
    }


def test_a_subresource_is_a_right_of_its_own_and_what_others_ask_is_none_of_ours() -> None:
    log = [asked("create", "pods/eviction"), asked("get", "secrets", user="admin")]
    log += [asked("get", "pods", impersonatedUser={"username": "x"}), asked("get", "", "")]
    assert used(log) == {Right("", "pods/eviction", "create")}


@pytest.mark.parametrize(
    "request_",
    [
        asked("get", "nodes", code=403),
        asked("update", "deployments", "apps", code=403),
        asked("get", "secrets", code=403),
        asked("get", "secrets"),
        asked("get", "pods", user="system:serviceaccount:search:default"),
        asked("get", "pods", user="system:serviceaccount:search:stager", code=403),
    ],
    ids=lambda event: f"{event['user']['username']} {event['verb']} {event['requestURI']}",
)
def test_an_overstep_is_told(request_: Any) -> None:
    assert trespasses([request_]) == [f"{request_['user']['username']}: {request_['verb']} {request_['requestURI']}"]


@pytest.mark.parametrize(
    "request_",
    [
        asked("list", "pods"),
        asked("list", "pods", code=403),  # it has the right, and the API server has not heard of it yet
        asked("create", "pods", code=403) | {"annotations": {"authorization.k8s.io/decision": "allow"}},  # a quota
        asked("get", "secrets", user="admin"),
        asked("get", "secrets", user="system:serviceaccount:kube-system:token-cleaner", code=403),
        asked("get", "nodes", user="system:serviceaccount:a:b", code=403, impersonatedUser={"username": "c"}),
    ],
    ids=lambda event: f"{event['user']['username']} {event['verb']} {event['requestURI']}",
)
def test_what_is_in_order_is_not(request_: Any) -> None:
    assert trespasses([request_]) == []


def test_the_operator_is_granted_what_install_yaml_binds_to_it_and_not_what_it_gives_to_users() -> None:
    assert Right("apps", "deployments", "patch") in granted()
    assert Right("coordination.k8s.io", "leases", "update") in granted()
    assert not [right for right in granted() if right.verb == "use" or right.resource.endswith("/scale")]
