"""The HTTPRoute of a service, and what is told of it; and who may connect."""

from typing import Any

import pytest

from tests.unit.planning import given

PARENTS = [{"name": "public", "namespace": "infra"}, {"name": "inner", "sectionName": "https"}]
GATEWAY = {"parentRefs": PARENTS, "hostnames": ["embeddings.example.com"]}


def plan(gateway: Any = GATEWAY, exposure: Any = None, **seen: Any) -> Any:
    ways = {"gateway": gateway} if gateway else {}
    spec = given.service(exposure=ways | (exposure or {}))
    return given.plan(spec, given.seen(cache=given.cache(), **seen))


def condition(kind: str, status: str, reason: str = "R", message: str = "words", generation: int = 2) -> Any:
    return {"type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": generation}


def route(*answers: tuple[Any, list[Any]], generation: int = 2) -> Any:
    parents = [{"parentRef": parent, "conditions": conditions} for parent, conditions in answers]
    metadata = {"name": "qwen", "namespace": "search", "generation": generation}
    return {"kind": "HTTPRoute", "metadata": metadata, "status": {"parents": parents}}


ACCEPTED = [condition("Accepted", "True"), condition("ResolvedRefs", "True")]
OUTER, INNER = PARENTS[0], PARENTS[1] | {"namespace": "search"}


def test_the_route_leads_to_the_service_and_only_by_the_paths_of_the_api() -> None:
    spec = given.child(plan(exposure={"service": {"port": 80}}), "HTTPRoute")["spec"]
    (rule,) = spec["rules"]
    assert (spec["parentRefs"], spec["hostnames"]) == (PARENTS, GATEWAY["hostnames"])
    assert rule["backendRefs"] == [{"name": "qwen", "port": 80}]
    paths = [match["path"]["value"] for match in rule["matches"]]
    assert {"/v1", "/score"} <= set(paths)
    inner = ("/metrics", "/-/space", "/health")
    assert [path for path in paths if any(f"{one}/".startswith(f"{path}/") for one in inner)] == []
    assert "timeouts" not in rule


@pytest.mark.parametrize(
    ("seen", "status", "reason", "words"),
    [
        ({"absent": frozenset({"HTTPRoute"})}, "False", "GatewayApiNotInstalled", "install the Gateway API"),
        ({}, "False", "WaitingForGateway", "Gateway infra/public and Gateway inner have not answered yet"),
        ({"route": route((OUTER, ACCEPTED))}, "False", "WaitingForGateway", "Gateway inner has not answered yet"),
        (
            {"route": route((OUTER, ACCEPTED), (INNER, [condition("Accepted", "True", generation=1)]))},
            "False",
            "WaitingForGateway",
            "Gateway inner has not",
        ),
        (
            {"route": route((OUTER, [condition("Accepted", "False", "NotAllowedByListeners")]), (INNER, ACCEPTED))},
            "False",
            "RouteRefused",
            "Gateway infra/public: Accepted is False, NotAllowedByListeners: words",
        ),
        (
            {"route": route((OUTER, [ACCEPTED[0], condition("ResolvedRefs", "False", "BackendNotFound")]))},
            "False",
            "RouteRefused",
            "ResolvedRefs is False, BackendNotFound",
        ),
        (
            {"route": route((OUTER, ACCEPTED), (INNER, ACCEPTED))},
            "True",
            "RouteAccepted",
            "for embeddings.example.com",
        ),
    ],
)
def test_what_gateways_say_is_told_and_changes_nothing_else(seen: Any, status: str, reason: str, words: str) -> None:
    planned, without = plan(**seen), plan(gateway=None)
    told = given.conditions(planned)["Routed"]
    assert told[:2] == (status, reason)
    assert words in told[2]
    others = {name: said for name, said in given.conditions(planned).items() if name != "Routed"}
    assert others == given.conditions(without)
    assert [one for one in planned.apply if one["kind"] != "HTTPRoute"] == list(without.apply)


def test_no_route_is_applied_where_the_cluster_has_none() -> None:
    assert "HTTPRoute" not in given.kinds(plan(absent=frozenset({"HTTPRoute"})))
    assert given.kinds(plan())[-1] == "HTTPRoute"  # so that nothing waits for it


DOUBLED = [
    ([{"name": "public"}, {"name": "public"}], "Gateway public 2 times"),
    ([{"name": "public"}, {"name": "public", "sectionName": "https"}], "Gateway public 2 times"),
    ([{"name": "public", "sectionName": "a"}] * 3, "Gateway public 3 times"),
    ([*PARENTS, PARENTS[0]], "Gateway infra/public 2 times"),
]
"""Refused by the Gateway API, too: tests/integration/test_gateway.py."""
APART = [
    [{"name": "public"}, {"name": "public", "namespace": "infra"}],
    [{"name": "public", "sectionName": "http"}, {"name": "public", "sectionName": "https"}],
]


@pytest.mark.parametrize(("parents", "words"), DOUBLED)
def test_a_gateway_that_is_named_twice_is_refused_and_all_but_the_route_goes_on(parents: Any, words: str) -> None:
    planned = plan({"parentRefs": parents}, route=route())
    status, reason, message = given.conditions(planned)["Stalled"][:3]
    assert (status, reason) == ("True", "InvalidSpec")
    assert f"spec.exposure.gateway.parentRefs names {words}: write it once" in message
    assert planned.apply == plan(gateway=None).apply
    assert planned.delete == ()


@pytest.mark.parametrize("parents", APART)
def test_listeners_of_one_gateway_and_namesakes_are_no_doubles(parents: Any) -> None:
    planned = plan({"parentRefs": parents})
    assert given.child(planned, "HTTPRoute")["spec"]["parentRefs"] == parents
    assert "Stalled" not in given.conditions(planned)


@pytest.mark.parametrize(
    ("exposure", "seen", "gone"),
    [
        ({}, {"route": route(), "has_network_policy": True}, [("NetworkPolicy", "qwen"), ("HTTPRoute", "qwen")]),
        ({"networkPolicy": {"from": []}}, {"route": route(), "has_network_policy": True}, [("HTTPRoute", "qwen")]),
        ({"gateway": GATEWAY}, {"route": route(), "has_network_policy": True}, [("NetworkPolicy", "qwen")]),
        ({}, {}, []),
    ],
)
def test_what_is_not_wanted_any_more_is_deleted(exposure: Any, seen: Any, gone: list[tuple[str, str]]) -> None:
    assert list(plan(gateway=None, exposure=exposure, **seen).delete) == gone


def test_only_the_given_peers_and_the_operator_may_connect() -> None:
    block = {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}
    peers = [{"namespaceSelector": {}, "podSelector": {}}, {"ipBlock": block}]
    planned = plan(None, {"networkPolicy": {"from": peers}}, operator_namespace="ours")
    spec = given.child(planned, "NetworkPolicy")["spec"]
    operator = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ours"}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "embedding-operator"}},
    }
    assert spec == {
        "podSelector": {"matchLabels": {"embedding-operator.io/service": "qwen"}},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [*peers, operator], "ports": [{"protocol": "TCP", "port": 8000}]}],
    }


def test_a_list_of_nobody_lets_nobody_in_but_the_operator() -> None:
    """An empty `from` of Kubernetes lets everybody in."""
    planned = plan(None, {"networkPolicy": {"from": []}})
    assert len(given.child(planned, "NetworkPolicy")["spec"]["ingress"][0]["from"]) == 1
