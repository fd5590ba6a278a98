"""How pods are replaced: a surge while a device is free, else one by one, and never below minAvailable."""

from typing import Any

import pytest

from embedding_operator.planning.plan import Plan
from embedding_operator.planning.revision import ANNOTATION
from embedding_operator.planning.rolling import is_replacing, is_under_way
from tests.unit.planning import given

Object = dict[str, Any]
SURGE = {"maxSurge": 1, "maxUnavailable": 0}
ONE_BY_ONE = {"maxSurge": 0, "maxUnavailable": 1}
NPU = "huawei.com/Ascend910"
FULL = f"0/2 nodes are available: 2 Insufficient {NPU}. preemption: 0/2 nodes are available: 2 No preemption victims."


def first(**spec: Any) -> Plan:
    return given.plan(given.service(**spec), given.seen(cache=given.cache()))


def numbers(planned: Plan) -> Object:
    found: Object = given.child(planned, "Deployment")["spec"]["strategy"]["rollingUpdate"]
    return found


class Rollout:
    """A service in the middle of a rollout: one pod of the newest revision, and what the test says of it."""

    def __init__(self, replicas: int = 4, **spec: Any) -> None:
        self.service = given.service(replicas=replicas, **spec)
        seen = given.seen(cache=given.cache())
        self.revisions = given.stored(given.plan(self.service, seen))
        self.replicas = replicas
        self.pods = [given.pod(f"old-{index}") for index in range(replicas)]
        self.strategy = SURGE
        self.counts = {"replicas": replicas + 1, "ready": replicas, "updated": 1}
        self.settled = True

    def newest(self, message: str = FULL, **metadata: Any) -> "Rollout":
        """A pod of the newest revision for which the scheduler found no node."""
        waiting = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        pod = given.pod("new", node=None, phase="Pending", conditions=[waiting])
        pod["metadata"] |= {"annotations": {ANNOTATION: self.revisions[0].name}} | metadata
        self.pods.append(pod)
        return self

    def replacing(self, **counts: int) -> "Rollout":
        self.strategy = ONE_BY_ONE
        self.counts |= counts
        return self

    def plan(self, *, waited: bool = True, stuck: frozenset[str] = frozenset()) -> Plan:
        deployment = given.deployment(**self.counts)
        deployment["spec"] = {"strategy": {"type": "RollingUpdate", "rollingUpdate": self.strategy}}
        deployment["metadata"]["generation"] += 0 if self.settled else 1
        seen = given.seen(
            cache=given.cache(),
            revisions=self.revisions,
            deployment=deployment,
            pods=self.pods,
            is_replacing=is_under_way(deployment, self.replicas) and is_replacing(deployment),
            has_waited=waited,
            stuck=stuck,
        )
        return given.plan(self.service, seen)


@pytest.mark.parametrize(
    ("rollout", "profile", "replicas", "expected"),
    [
        ({}, "ascend-910b", 4, SURGE),
        ({}, "ascend-910b", 1, SURGE),
        ({}, "ascend-910b", 0, SURGE),
        ({}, "cpu", 4, SURGE),
        ({"strategy": "Auto", "minAvailable": 0}, "cpu", 1, SURGE),
        ({"strategy": "Surge", "minAvailable": 0}, "ascend-910b", 4, SURGE),
        ({"strategy": "Replace"}, "cpu", 4, ONE_BY_ONE),
        ({"strategy": "Replace"}, "ascend-910b", 1, ONE_BY_ONE),
        ({"strategy": "Replace"}, "ascend-910b", 0, ONE_BY_ONE),
        ({"strategy": "Replace", "minAvailable": 2}, "ascend-910b", 4, {"maxSurge": 0, "maxUnavailable": 2}),
        ({"strategy": "Replace", "minAvailable": "70%"}, "ascend-910b", 8, {"maxSurge": 0, "maxUnavailable": 2}),
        ({"strategy": "Replace", "minAvailable": "75%"}, "ascend-910b", 2, SURGE),
        ({"strategy": "Replace", "minAvailable": 4}, "ascend-910b", 4, SURGE),
        ({"strategy": "Replace", "minAvailable": 9}, "ascend-910b", 4, SURGE),
    ],
)
def test_a_rollout_begins_as_strategy_and_min_available_say(
    rollout: Object, profile: str, replicas: int, expected: Object
) -> None:
    assert numbers(first(rollout=rollout, runtime={"profile": profile}, replicas=replicas)) == expected


@pytest.mark.parametrize(
    ("replicas", "rollout", "expected"),
    [
        (4, {}, ONE_BY_ONE),
        (4, {"minAvailable": 0}, ONE_BY_ONE),
        (4, {"minAvailable": "75%"}, ONE_BY_ONE),
        (2, {"minAvailable": "75%"}, SURGE),
        (4, {"minAvailable": 4}, SURGE),
        (1, {}, SURGE),
        (1, {"minAvailable": 0}, ONE_BY_ONE),
        (1, {"minAvailable": "0%"}, ONE_BY_ONE),
        (4, {"strategy": "Surge"}, SURGE),
    ],
)
def test_without_a_free_device_pods_are_replaced_one_by_one_and_never_below_min_available(
    replicas: int, rollout: Object, expected: Object
) -> None:
    assert numbers(Rollout(replicas, rollout=rollout).newest().plan()) == expected


@pytest.mark.parametrize(
    "message",
    [
        f"0/2 nodes are available: 2 Insufficient {NPU}.",
        f"0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient {NPU}, 2 Insufficient cpu.",
        f"0/1 nodes are unavailable: 1 Insufficient {NPU}",
    ],
)
def test_it_is_the_scheduler_that_tells_of_a_lack(message: str) -> None:
    planned = Rollout().newest(message).plan(waited=False)
    assert planned.lacks_device
    assert numbers(planned) == SURGE, "not before it has lacked one for a while"
    assert numbers(Rollout().newest(message).plan()) == ONE_BY_ONE


@pytest.mark.parametrize(
    "message",
    [
        "0/2 nodes are available: 2 Insufficient cpu.",
        f"0/2 nodes are available: 2 Insufficient {NPU}B.",
        f"0/2 nodes are available: 2 Insufficient {NPU}.example.com/x.",
        "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
        "",
    ],
)
def test_other_reasons_to_wait_give_no_replica_up(message: str) -> None:
    planned = Rollout().newest(message).plan()
    assert (planned.lacks_device, numbers(planned)) == (False, SURGE)


def test_a_device_that_one_of_our_own_pods_is_about_to_give_back_is_waited_for() -> None:
    rollout = Rollout().newest()
    rollout.pods[0]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    planned = rollout.plan()
    assert (planned.lacks_device, numbers(planned)) == (False, SURGE)
    assert numbers(rollout.plan(stuck=frozenset({"old-0"}))) == ONE_BY_ONE  # its node is lost, and the device with it
    rollout.pods[0]["spec"]["nodeName"] = None  # it never had one
    assert numbers(rollout.plan()) == ONE_BY_ONE


def test_only_the_newest_pods_tell_and_only_while_old_ones_are_left() -> None:
    former = Rollout().newest(annotations={ANNOTATION: "qwen-former"})
    assert not former.plan().lacks_device
    leaving = Rollout().newest(deletionTimestamp="2026-01-01T00:00:00Z")
    assert not leaving.plan().lacks_device
    scaled = Rollout().newest()
    scaled.counts |= {"updated": 5}
    assert not scaled.plan().lacks_device
    unseen = Rollout().newest()
    unseen.settled = False
    assert not unseen.plan().lacks_device


def test_it_goes_on_replacing_until_the_rollout_is_over_and_then_surges_again() -> None:
    under_way = Rollout().replacing(replicas=4, ready=3, updated=2)
    assert numbers(under_way.plan(waited=False)) == ONE_BY_ONE
    last = Rollout().replacing(replicas=4, ready=3, updated=4)
    assert numbers(last.plan(waited=False)) == ONE_BY_ONE
    over = Rollout().replacing(replicas=4, ready=4, updated=4)
    over.settled = False
    assert numbers(over.plan(waited=False)) == ONE_BY_ONE
    over.settled = True
    assert numbers(over.plan(waited=False)) == SURGE


def test_a_raised_min_available_stops_the_replacing_at_once() -> None:
    rollout = Rollout(rollout={"minAvailable": "100%"}).replacing(replicas=4, ready=3, updated=2)
    assert numbers(rollout.plan()) == SURGE


def test_what_was_replaced_by_an_earlier_operator_surges_without_an_accelerator() -> None:
    rollout = Rollout(runtime={"profile": "cpu"}).replacing(replicas=4, ready=3, updated=2)
    assert numbers(rollout.plan()) == SURGE


def test_a_pod_whose_device_is_on_its_way_is_no_trouble() -> None:
    """A drain takes minutes, and the scheduler some seconds more: nobody need do anything."""
    ending = Rollout().newest()
    ending.pods[0]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    for rollout in (Rollout().newest(), ending):
        reason, message = given.conditions(rollout.plan(waited=False))["Ready"][1:]
        assert reason == "RollingOut"
        assert message.startswith("4 of 4 replicas serving, 1 of the newest revision")
    assert message.endswith("; a pod waits for the device of one that ends")
    last = Rollout().newest().replacing(replicas=4, ready=3, updated=4)
    assert given.conditions(last.plan(waited=False))["Ready"][1] != "Unschedulable"


def test_the_status_says_how_many_serve_while_pods_are_replaced() -> None:
    reason, message = given.conditions(Rollout().newest().plan())["Ready"][1:]
    assert reason == "RollingOut", "the operator sees to it"
    assert message.endswith(f"; no {NPU} is free for a pod more: one at a time, while 3 of 4 serve")
    last = Rollout().replacing(replicas=4, ready=3, updated=4).plan()
    assert "no huawei" not in given.conditions(last)["Ready"][2], "nothing is given up any more"


def test_a_device_that_somebody_else_took_is_told_after_a_while() -> None:
    taken = Rollout().newest().replacing(replicas=4, ready=3, updated=1)
    assert given.conditions(taken.plan(waited=False))["Ready"][1] == "RollingOut"
    reason, message = given.conditions(taken.plan())["Ready"][1:]
    assert reason == "Unschedulable"
    assert "one at a time, while 3 of 4 serve" in message


@pytest.mark.parametrize("strategy", ["Surge", "Replace"])
def test_what_is_written_is_done_and_a_lack_is_told(strategy: str) -> None:
    rollout = Rollout(rollout={"strategy": strategy}).newest()
    assert given.conditions(rollout.plan(waited=False))["Ready"][1] == "RollingOut"
    assert given.conditions(rollout.plan())["Ready"][1] == "Unschedulable"
    assert numbers(rollout.plan()) == (SURGE if strategy == "Surge" else ONE_BY_ONE)


def test_a_single_replica_waits_and_says_what_to_write_to_have_it_recreated() -> None:
    message = given.conditions(Rollout(1).newest().plan())["Ready"][2]
    assert message.endswith(
        f"; no {NPU} is free for a pod more, and rollout.minAvailable keeps 1 of 1 serving: the rollout waits; write "
        "rollout.minAvailable: 0 to have an old pod go first, which fails requests for about the time that a start "
        "takes"
    )
    assert "rollout.minAvailable" not in given.conditions(Rollout(1).newest().plan(waited=False))["Ready"][2]


@pytest.mark.parametrize("rollout", [{"minAvailable": 0}, {"strategy": "Replace"}])
def test_a_single_replica_that_is_recreated_says_what_is_lost(rollout: Object) -> None:
    gone = Rollout(1, rollout=rollout).replacing(replicas=1, ready=0, updated=1)
    assert given.conditions(gone.plan())["Ready"][2].endswith(": requests fail until a new pod has started")


def test_all_but_one_is_written_for_others() -> None:
    message = given.conditions(Rollout(4, rollout={"minAvailable": 4}).newest().plan())["Ready"][2]
    assert message.endswith(
        "keeps 4 of 4 serving: the rollout waits; write rollout.minAvailable: 3 to have an old pod go first"
    )


@pytest.mark.parametrize(
    ("replicas", "rollout", "expected"),
    [
        (4, {}, {"maxUnavailable": 1}),
        (1, {}, None),
        (0, {}, None),
        (4, {"strategy": "Replace"}, {"maxUnavailable": 1}),
        (4, {"minAvailable": 3}, {"minAvailable": 3}),
        (4, {"minAvailable": "50%"}, {"minAvailable": 2}),
        (3, {"minAvailable": "70%"}, {"minAvailable": 3}),
        (4, {"minAvailable": 0}, None),
        (4, {"minAvailable": "0%"}, None),
        (1, {"minAvailable": 1}, {"minAvailable": 1}),
        (0, {"minAvailable": 1}, None),
    ],
)
def test_the_disruption_budget_keeps_the_same_promise(replicas: int, rollout: Object, expected: Object | None) -> None:
    service = given.service(replicas=replicas, rollout=rollout)
    planned = given.plan(service, given.seen(cache=given.cache(), has_budget=True))
    if expected is None:
        assert "PodDisruptionBudget" not in given.kinds(planned)
        assert planned.delete == (("PodDisruptionBudget", "qwen"),)
    else:
        found = given.child(planned, "PodDisruptionBudget")["spec"]
        assert {name: found[name] for name in ("minAvailable", "maxUnavailable") if name in found} == expected
