"""A profile that is followed is rolled out by the operator, some services at a time; a pinned one is not."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.cluster.controlplane import ControlPlane
from tests.integration.operating import Namespace, Object, own_profile, settle, until
from tests.operator_process import OperatorProcess

NAMES = ("a", "b", "c")


@pytest.fixture
def namespace(control_plane: ControlPlane, operator: OperatorProcess) -> Namespace:
    namespace = Namespace(control_plane.kubectl)
    namespace.claim()
    return namespace


def profile(namespace: Namespace, value: str, **rollout: Any) -> str:
    return own_profile(namespace, env=[{"name": "SITE", "value": value}], rollout=rollout)


def site(pod_spec: Object) -> str:
    (container,) = pod_spec["containers"]
    (value,) = [variable["value"] for variable in container["env"] if variable["name"] == "SITE"]
    return str(value)


def sites(namespace: Namespace) -> dict[str, str]:
    """What the profile said when each service's pods were asked for."""
    return {one["metadata"]["name"]: site(one["spec"]["template"]["spec"]) for one in namespace.items("deployment")}


def served(namespace: Namespace, **rollout: Any) -> None:
    """Three services of one profile, all ready."""
    name = profile(namespace, "first", **rollout)
    for service in NAMES:
        namespace.service(service, runtime={"profile": name}, replicas=1)
    namespace.stage()
    for service in NAMES:
        until(lambda service=service: namespace.get("deployment", service) is not None)  # type: ignore[misc]
        settle(namespace, service)


def test_a_pinned_profile_rolls_nothing_until_it_is_followed_and_then_one_after_the_other(
    namespace: Namespace, operator: OperatorProcess
) -> None:
    served(namespace)
    profile(namespace, "second")
    for service in NAMES:
        until(lambda service=service: namespace.condition("emb", service, "UpdateAvailable")["status"] == "True")  # type: ignore[misc]
    assert set(sites(namespace).values()) == {"first"}

    profile(namespace, "second", policy="Follow")
    until(lambda: sites(namespace)["a"] == "second")
    until(lambda: "waits for its turn" in namespace.condition("emb", "b", "UpdateAvailable")["message"])
    operator.kill()  # who comes after it knows who is rolling, too
    operator.start()
    namespace.kubectl("delete", "service", "c")
    until(lambda: namespace.get("service", "c") is not None)  # so it has looked
    time.sleep(2)
    assert sites(namespace) == {"a": "second", "b": "first", "c": "first"}
    for service, then in (("a", {"a", "b"}), ("b", {"a", "b", "c"})):
        settle(namespace, service)
        until(lambda then=then: {one for one, value in sites(namespace).items() if value == "second"} == then)  # type: ignore[misc]
    settle(namespace, "c")
    until(lambda: namespace.condition("emb", "c", "UpdateAvailable")["status"] == "")


def test_one_that_does_not_become_ready_keeps_the_others_as_they_are_until_it_is_gone(namespace: Namespace) -> None:
    served(namespace, policy="Follow", maxConcurrent=2)
    profile(namespace, "second", policy="Follow", maxConcurrent=2)
    until(lambda: sites(namespace) == {"a": "second", "b": "second", "c": "first"})
    until(lambda: "2 at a time" in namespace.condition("emb", "c", "UpdateAvailable")["message"])
    namespace.kubectl("delete", "emb", "a")
    until(lambda: sites(namespace).get("c") == "second")
