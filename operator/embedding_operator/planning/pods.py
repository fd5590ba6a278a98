"""What the pods of a child say about themselves, in words for a condition.

It reads pods as the cache keeps them: metadata, `spec.nodeName` and `status`. The worst trouble is told first, in the
kubelet's and the scheduler's own words, with the name of the pod; of serving pods also what it means and what to do.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from embedding_operator.api.conditions import Reason
from embedding_operator.api.json import JsonObject
from embedding_operator.planning.causes import Cause, all_of, first_of, shortened
from embedding_operator.planning.crashes import CRASHES
from embedding_operator.planning.obstacles import PULLS, REJECTIONS, SCHEDULING, STARTS

_PULL_FAILURES = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_START_FAILURES = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_LIMIT = 600  # characters of somebody else's message in ours
_OFTEN = 2  # restarts; after one it may have been an accident
# a kubelet puts this before the words of the attempt, between attempts: without it they stay the same in both
_BACK_OFF = re.compile(r'^Back-off pulling image "[^"]*": \w+: ')
# what vLLM puts before each line of its log, with a time and a process id that are others at each start
_LOG_PREFIX = re.compile(r"^(?:\(\w[^)]*pid=\d+\) *)?(?:[A-Z]+ \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]*\] *)?")
_EXCEPTION = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt)\b")
_ENDED_BY_PROBES = frozenset({"StartupProbeFailed", "Hung"})


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why pods do not get on."""

    reason: Reason
    message: str


def serving_nodes(pods: Iterable[JsonObject]) -> int:
    """On how many nodes pods are ready; those that are being deleted count no more."""
    return len({node_of(pod) for pod in pods if is_serving(pod)})


def is_ready(pod: JsonObject) -> bool:
    """Whether it says that it can answer; one that is being deleted may say so, too."""
    return condition_of(pod, "Ready").get("status") == "True"


def is_serving(pod: JsonObject) -> bool:
    """Whether clients are sent to it."""
    return is_ready(pod) and not pod["metadata"].get("deletionTimestamp")


def is_live(pod: JsonObject) -> bool:
    """Whether it is neither being deleted nor has ended for good (evicted, refused by its node): then another one is
    made, and it holds nothing any more."""
    return not pod["metadata"].get("deletionTimestamp") and phase_of(pod) not in ("Failed", "Succeeded")


def is_unfinished(pod: JsonObject) -> bool:
    """Whether it waits or runs, as far as it is known."""
    return phase_of(pod) in ("Pending", "Running")


def trouble(pods: Iterable[JsonObject], cache: str | None = None, stuck: Collection[str] = ()) -> Trouble | None:
    """The first trouble found in pods that are not being deleted: pods that ended for good last, else by their names.

    With the name of their ModelCache they are serving pods, whose trouble is told with its cure. `stuck` are those
    that have been where they are for longer than is usual.
    """
    for pod in sorted(pods, key=lambda pod: (phase_of(pod) == "Failed", str(pod["metadata"]["name"]))):
        if pod["metadata"].get("deletionTimestamp"):
            continue
        found = _trouble_of(pod, cache)
        if found is None and pod["metadata"]["name"] in stuck:
            found = _stuck(pod)
        if found is not None:
            return found
    return None


def explained(table: Sequence[Cause], words: str, cache: str | None) -> str:
    """Somebody's words and, if a row of the table knows them, what they mean and what to do."""
    found = None if cache is None else first_of(table, words, cache)
    told = shortened(words, _LIMIT)
    return told if found is None else f"{found.what}: {told.rstrip('.')}; {found.cure}"


def waiting_since(pod: JsonObject) -> str | None:
    """When a pod began to wait for what it usually has in a moment, or should have been gone; None where it does not.

    A pod of a lost node is being deleted until somebody deletes the node, or it is back.
    """
    if ends := pod["metadata"].get("deletionTimestamp"):  # when its grace is over, not when that began
        return str(ends) if node_of(pod) else None
    if phase_of(pod) != "Pending":
        return None
    scheduled = condition_of(pod, "PodScheduled")
    if not node_of(pod):
        return None if scheduled else pod["metadata"].get("creationTimestamp")
    if condition_of(pod, "PodReadyToStartContainers").get("status") == "False":
        return scheduled.get("lastTransitionTime")
    return None


def last_message(pod: JsonObject) -> str | None:
    """The termination message of a pod's first container, from its last end, or None."""
    for container in (pod.get("status") or {}).get("containerStatuses") or ():
        for state in (container.get("state") or {}, container.get("lastState") or {}):
            message = (state.get("terminated") or {}).get("message")
            if message:
                return str(message)
    return None


def _trouble_of(pod: JsonObject, cache: str | None) -> Trouble | None:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    if cache is not None and phase_of(pod) == "Failed":  # a staging Job's pod ends so too, and says why itself
        words = f"{status.get('reason') or 'Failed'}: {status.get('message') or 'no more is known'}"
        node = node_of(pod)
        return Trouble(Reason.PODS_REFUSED, f"pod {name} ended on node {node}: {explained(REJECTIONS, words, cache)}")
    # the init containers are those that a mesh or an administrator's webhook puts in
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason, words = waiting.get("reason"), waiting.get("message") or ""
        if reason in _PULL_FAILURES:
            told = explained(PULLS, _BACK_OFF.sub("", words) or reason, cache)
            return Trouble(Reason.IMAGE_PULL_FAILED, f"pod {name}: {told}")
        if reason in _START_FAILURES:
            told = explained(STARTS, words or reason, cache)
            return Trouble(Reason.CRASH_LOOPING, f"pod {name} cannot start: {told}")
        if (ended := _ended(name, container, cache)) is not None:
            return ended
    scheduled = condition_of(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return Trouble(Reason.UNSCHEDULABLE, f"pod {name}: {_placed(scheduled, cache)}")
    return None


def _placed(scheduled: JsonObject, cache: str | None) -> str:
    """A scheduler's words, with a cure for each of the things that it names."""
    words = str(scheduled.get("message") or "not scheduled")
    cures = [] if cache is None else [found.cure for found in all_of(SCHEDULING, words, cache)]
    told = shortened(words, _LIMIT)
    return "; ".join((told.rstrip("."), *cures)) if cures else told


def _ended(name: str, container: JsonObject, cache: str | None) -> Trouble | None:
    """Why a container ends again and again, or was ended by its probes."""
    end = _last_end(container)
    how = f"{end.get('reason') or 'ended'} (exit code {end.get('exitCode', '?')})"
    message = str(end.get("message") or "")
    found = None if cache is None else first_of(CRASHES, f"{how}\n{message}", cache)
    probed = found is not None and found.name in _ENDED_BY_PROBES and not container.get("started")
    backs_off = ((container.get("state") or {}).get("waiting") or {}).get("reason") == "CrashLoopBackOff"
    if not (backs_off or probed or _ended_often(container)):
        return None
    told = f"{found.what} ({found.words}): {found.cure}" if found else _last_words(message) or how
    reason = Reason.PROBE_FAILED if probed else Reason.CRASH_LOOPING
    return Trouble(reason, f"pod {name} keeps ending: {told}; see `kubectl logs {name} -p`")


def _stuck(pod: JsonObject) -> Trouble | None:
    """What a pod waits for that nobody wrote into its status: the words are in Events, which nobody reads here."""
    name, node = pod["metadata"]["name"], node_of(pod)
    if not node:
        told = f"no scheduler has looked at pod {name}: does the one of its schedulerName run?"
        return Trouble(Reason.UNSCHEDULABLE, told)
    if condition_of(pod, "PodReadyToStartContainers").get("status") == "False":
        told = (
            f"pod {name} waits on node {node} for its volumes, or its network: is the claim's storage reached from "
            f"there? `kubectl describe pod {name}` has the kubelet's words"
        )
        return Trouble(Reason.VOLUMES_NOT_MOUNTED, told)
    return None


def _ended_often(container: JsonObject) -> bool:
    """Whether it ended again and again and has not come up since: so too while it tries once more."""
    done = ((container.get("state") or {}).get("terminated") or {}).get("exitCode") == 0  # as an init container ends
    has_ended = (container.get("lastState") or {}).get("terminated") is not None
    return has_ended and not done and not container.get("started") and (container.get("restartCount") or 0) >= _OFTEN


def _last_end(container: JsonObject) -> JsonObject:
    ends = [(container.get(state) or {}).get("terminated") or {} for state in ("state", "lastState")]
    return next((end for end in ends if end.get("message")), ends[0] or ends[1])


def _last_words(message: str) -> str:
    """A message as it is; of a log's tail its last exception, else its last line."""
    if len(message) <= _LIMIT:
        return shortened(message, _LIMIT)
    lines = [_LOG_PREFIX.sub("", line).strip() for line in message.splitlines()]
    said = [line for line in lines if line]
    exceptions = [line for line in said if _EXCEPTION.match(line)]
    return shortened((exceptions or said)[-1], _LIMIT) if said else ""


def condition_of(obj: JsonObject, kind: str) -> JsonObject:
    """Its condition of that type, a pod's or another's; empty where it has none."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one.get("type") == kind), {})


def node_of(pod: JsonObject) -> str | None:
    """The name of the node that it was given; None as long as it has none."""
    node = (pod.get("spec") or {}).get("nodeName")
    return None if node is None else str(node)


def phase_of(pod: JsonObject) -> str:
    """Its phase; empty where nobody has written its status yet."""
    return str((pod.get("status") or {}).get("phase") or "")
