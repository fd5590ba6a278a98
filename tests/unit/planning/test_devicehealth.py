"""A pod on an unhealthy device is replaced where a healthy one is free, and never before another one serves."""

from typing import Any

import pytest

from embedding_operator.planning.devicehealth import replacing
from embedding_operator.planning.plan import Plan
from tests.unit.planning import given

DEVICE = "huawei.com/Ascend910"


def pod(name: str, health: str = "Healthy", *, node: str = "n1", ready: bool = True) -> dict[str, Any]:
    device = {"name": DEVICE, "resources": [{"resourceID": f"Ascend910-{name}", "health": health}]}
    return given.pod(name, node=node, ready=ready, containerStatuses=[{"allocatedResourcesStatus": [device]}])


def pending(name: str) -> dict[str, Any]:
    words = "0/2 nodes are available: 2 Insufficient huawei.com/Ascend910."
    unscheduled = {"type": "PodScheduled", "status": "False", "message": words}
    return given.pod(name, node=None, phase="Pending", conditions=[unscheduled])


def planned(pods: list[dict[str, Any]], replicas: int = 2, **spec: Any) -> Plan:
    """Of a service of two replicas, whose Deployment counts these pods."""
    ready = sum(one["status"]["conditions"][0] == {"type": "Ready", "status": "True"} for one in pods)
    counted = given.deployment(replicas=len(pods), ready=ready)
    kept = given.stored(given.plan(given.service(replicas=replicas), given.seen(cache=given.cache())))
    seen = given.seen(cache=given.cache(), revisions=kept, deployment=counted, pods=pods)
    return given.plan(given.service(replicas=replicas, **spec), seen)


def asked(plan: Plan) -> int:
    number: int = given.child(plan, "Deployment")["spec"]["replicas"]
    return number


@pytest.mark.parametrize("health", ["Healthy", "Unknown"])
def test_a_device_that_is_not_known_as_unhealthy_changes_nothing(health: str) -> None:
    plan = planned([pod("a"), pod("b", health)])
    assert (asked(plan), plan.evict) == (2, None)
    assert "Degraded" not in given.conditions(plan)


def test_another_pod_is_asked_for_before_the_one_on_an_unhealthy_device_goes() -> None:
    plan = planned([pod("a"), pod("b", "Unhealthy")])
    assert (asked(plan), plan.evict) == (3, None)
    status, reason, message = given.conditions(plan)["Degraded"]
    assert (status, reason) == ("True", "DeviceUnhealthy")
    assert message.startswith(f"pod b on node n1: Ascend910-b of {DEVICE} is unhealthy; another pod is made")
    assert given.conditions(plan)["Ready"][:2] == ("True", "Serving")  # it does, for now


def test_where_no_healthy_device_is_free_it_waits_for_one_and_says_so() -> None:
    plan = planned([pod("a"), pod("b", "Unhealthy"), pending("c")])
    assert (asked(plan), plan.evict) == (3, None)
    assert given.conditions(plan)["Degraded"][2].endswith("no healthy device is free: pod c waits for one")
    assert given.conditions(plan)["Ready"][0] == "True"


def test_once_another_serves_the_one_on_an_unhealthy_device_is_evicted() -> None:
    plan = planned([pod("a"), pod("b", "Unhealthy"), pod("c", node="n2")])
    assert plan.evict is not None
    assert plan.evict.pod == "b"
    assert asked(plan) == 3  # fewer, and any of the three might go
    leaving = pod("b", "Unhealthy")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    after = planned([pod("a"), leaving, pod("c", node="n2")])
    assert (asked(after), after.evict) == (2, None)
    assert "Degraded" not in given.conditions(after)


def test_the_disruption_budget_counts_replicas_and_not_the_pod_more_or_the_eviction_is_refused_for_ever() -> None:
    plan = planned([pod("a"), pod("b", "Unhealthy"), pod("c", node="n2")], rollout={"minAvailable": "100%"})
    assert plan.evict is not None
    assert given.child(plan, "PodDisruptionBudget")["spec"]["minAvailable"] == 2


def test_one_that_serves_no_more_goes_as_soon_as_all_others_serve() -> None:
    ended = pod("b", "Unhealthy", ready=False)
    assert planned([pod("a"), ended, pod("c", ready=False)]).evict is None
    gone = planned([pod("a"), ended, pod("c")]).evict
    assert gone is not None
    assert gone.pod == "b"


def test_one_that_ended_for_good_holds_no_device_and_is_replaced_anyway() -> None:
    ended = pod("b", "Unhealthy", ready=False)
    ended["status"]["phase"] = "Failed"
    assert replacing([pod("a"), ended], 2, given.deployment(replicas=2, ready=1)).extra == 0


def test_several_are_replaced_one_after_the_other() -> None:
    ill = [pod("a", "Unhealthy"), pod("b", "Unhealthy")]
    assert asked(planned(ill)) == 3
    first = planned([*ill, pod("c")]).evict
    assert first is not None
    assert first.pod == "a"


def test_a_single_replica_has_another_beside_it_first() -> None:
    assert asked(planned([pod("a", "Unhealthy")], replicas=1)) == 2
    gone = planned([pod("a", "Unhealthy"), pod("b")], replicas=1).evict
    assert gone is not None
    assert gone.pod == "a"


def test_a_rollout_that_goes_on_replaces_it_anyway() -> None:
    counted = given.deployment(replicas=2, ready=2, updated=1)
    found = replacing([pod("a"), pod("b", "Unhealthy")], 2, counted)
    assert (found.extra, found.evict) == (0, None)
    assert found.message.endswith("a rollout is replacing all pods")


def test_a_claim_of_one_pod_admits_none_beside_it() -> None:
    found = replacing([pod("a", "Unhealthy")], 1, given.deployment(replicas=1, ready=1), one_pod=True)
    assert (found.extra, found.evict) == (0, None)
    assert "delete that where another device is free" in found.message


def test_a_quota_that_admits_no_other_pod_is_told() -> None:
    refused = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: npus"}
    counted = given.deployment(replicas=2, ready=2, conditions=[refused])
    found = replacing([pod("a"), pod("b", "Unhealthy")], 2, counted)
    assert found.message.endswith("no other pod can be made: exceeded quota: npus")


def test_a_service_without_pods_wants_none() -> None:
    assert replacing([pod("a", "Unhealthy")], 0, given.deployment(replicas=1, ready=1)) == replacing([], 1, None)
    assert asked(planned([pod("a", "Unhealthy")], suspend=True)) == 0
