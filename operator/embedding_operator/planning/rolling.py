"""How pods are replaced: a new one beside the old ones while a device is free, else one by one.

Whether one is free is told by the scheduler alone, about our own pods: one of the newest revision that finds no device.
Nobody looks at nodes, or at the pods of others. What was decided is read back from the Deployment, so nothing has to be
remembered: it goes on replacing until the rollout is over, and the next one begins with a surge again.

The Deployment's controller takes both in the middle of a rollout: once there may be no pod too many, it gives up
an old one although the new one still waits. The device that comes free is for that.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from embedding_operator.api.json import JsonObject
from embedding_operator.api.service import Rollout
from embedding_operator.planning.counts import counts_of
from embedding_operator.planning.pods import condition_of, node_of
from embedding_operator.planning.revision import revision_of

PATIENCE = 15.0
"""Seconds that a pod may lack a device before a replica is given up for it: one that another pod has just given back is
given away again within ten, the scheduler's longest pause."""


@dataclass(frozen=True, slots=True)
class Rolling:
    """The numbers of a rolling update, and what people should know of it while it runs."""

    max_surge: int = 1
    max_unavailable: int = 0
    lacks_device: bool = False  # a pod of the newest revision waits for one, and none of ours is about to give one back
    seen_to: frozenset[str] = frozenset()  # pods that wait for a device, which is no trouble: one is on its way
    note: str = ""  # to be put behind what a condition says


@dataclass(frozen=True, slots=True)
class Situation:
    """What a rollout depends on beside the spec."""

    replicas: int
    resource: str  # of the device; empty where none is needed
    revision: str  # the newest
    deployment: JsonObject | None
    pods: Sequence[JsonObject]
    stuck: Collection[str]  # pods that should have been gone, or running, for a while
    replacing: bool  # the Deployment was told to give up a pod first, and its rollout is under way
    waited: bool  # the newest pods have lacked a device for PATIENCE seconds


def rolling(rollout: Rollout, now: Situation) -> Rolling:
    """How the Deployment is to replace pods from now on."""
    floor = min_available(rollout, now.replicas)
    spare = max(1, now.replicas) - floor
    first = rollout.strategy == "Replace" and spare > 0
    auto = rollout.strategy != "Surge" and bool(now.resource) and not first

    waiting = frozenset(_waiting(now)) if now.resource else frozenset()
    ending = any(_gives_back(pod) and pod["metadata"]["name"] not in now.stuck for pod in now.pods)
    has_old = counts_of(now.deployment).has_old
    lacks = bool(waiting) and not ending and (has_old or now.replacing)
    short = auto and lacks and has_old and now.waited
    is_near = ending or (lacks and not now.waited) or (short and spare > 0 and not now.replacing)
    seen_to = waiting if is_near else frozenset()
    wait = "; a pod waits for the device of one that ends" if seen_to and ending else ""

    scarce = f"no {now.resource} is free for a pod more"
    if first:
        return Rolling(0, spare, lacks, seen_to, _gap(now, spare, "rollout.strategy is Replace") + wait)
    if auto and spare > 0 and (short or now.replacing):
        return Rolling(0, 1, lacks, seen_to, _gap(now, 1, scarce) + wait)
    if spare > 0 or not short:
        return Rolling(lacks_device=lacks, seen_to=seen_to, note=wait)
    cost = ", which fails requests for about the time that a start takes" if now.replicas == 1 else ""
    return Rolling(
        lacks_device=True,
        note=f"; {scarce}, and rollout.minAvailable keeps {floor} of {now.replicas} serving: the rollout waits; write "
        f"rollout.minAvailable: {now.replicas - 1} to have an old pod go first{cost}",
    )


def min_available(rollout: Rollout, replicas: int) -> int:
    """How many replicas must serve while pods are replaced. A share is rounded up, as a disruption budget does.

    Where nothing is written: all but one; of one replica that one, unless it is to be replaced in so many words.
    """
    written = rollout.min_available
    if written is None:
        return max(0 if rollout.strategy == "Replace" else 1, replicas - 1)
    if written.endswith("%"):
        return -(-replicas * int(written[:-1]) // 100)
    return int(written)


def budget(rollout: Rollout, replicas: int) -> JsonObject | None:
    """What a disruption budget says of the same promise; None where it would keep nothing."""
    written = rollout.min_available
    if written is None:
        return {"maxUnavailable": 1} if replicas > 1 else None
    keeps = min_available(rollout, replicas)
    # a number, also of a share: that would be of the pods there are, and forbid for ever that one goes which another
    # one, made beside it, has taken over for (devicehealth.py)
    return {"minAvailable": keeps} if replicas and keeps else None


def _gap(now: Situation, gone: int, why: str) -> str:
    """What is lost meanwhile, in words."""
    if now.replicas <= gone:
        return f"; {why}: requests fail until a new pod has started"
    if not counts_of(now.deployment).has_old:
        return ""
    return f"; {why}: {'one' if gone == 1 else gone} at a time, while {now.replicas - gone} of {now.replicas} serve"


def _waiting(now: Situation) -> Iterator[str]:
    """The pods of the newest revision for which there is no device."""
    lacking = re.compile(rf"\bInsufficient {re.escape(now.resource)}(?![\w/-]|\.\w)")
    for pod in now.pods:
        leaves = pod["metadata"].get("deletionTimestamp")
        if not leaves and revision_of(pod) == now.revision and lacking.search(_unscheduled(pod)):
            yield pod["metadata"]["name"]


def _gives_back(pod: JsonObject) -> bool:
    """Whether it is on its way out of a node, with its device."""
    return bool(pod["metadata"].get("deletionTimestamp") and node_of(pod))


def _unscheduled(pod: JsonObject) -> str:
    """The scheduler's words about a pod for which it found no node; empty where it has found one."""
    scheduled = condition_of(pod, "PodScheduled")
    return str(scheduled.get("message") or "") if scheduled.get("status") == "False" else ""


def is_under_way(deployment: JsonObject, replicas: int) -> bool:
    """Whether a rollout, or a start, has not come to its end."""
    counts = counts_of(deployment)
    return not (counts.settled and counts.total == counts.updated == counts.ready == replicas)


def is_replacing(deployment: JsonObject) -> bool:
    """Whether a Deployment, with its spec, was told to give up a pod before it makes another."""
    strategy = (deployment.get("spec") or {}).get("strategy") or {}
    return (strategy.get("rollingUpdate") or {}).get("maxSurge") == 0
