"""What the pods of a child say about themselves, in words for a condition.

It reads pods as the cache keeps them: metadata, `spec.nodeName` and `status`. The worst trouble is told first,
in the kubelet's and the scheduler's own words, with the name of the pod.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from embedding_operator.api.conditions import Reason
from embedding_operator.api.json import JsonObject

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


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why pods do not get on."""

    reason: Reason
    message: str


def serving_nodes(pods: Iterable[JsonObject]) -> int:
    """On how many nodes pods are ready; those that are being deleted count no more."""
    return len({(pod.get("spec") or {}).get("nodeName") for pod in pods if _is_serving(pod)})


def _is_serving(pod: JsonObject) -> bool:
    return not pod["metadata"].get("deletionTimestamp") and any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in (pod.get("status") or {}).get("conditions") or ()
    )


def trouble(pods: Sequence[JsonObject]) -> Trouble | None:
    """The first trouble found in pods that are not being deleted, in order of their names."""
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"])):
        found = None if pod["metadata"].get("deletionTimestamp") else _trouble_of(pod)
        if found is not None:
            return found
    return None


def last_message(pod: JsonObject) -> str | None:
    """The termination message of a pod's first container, from its last end, or None."""
    for container in (pod.get("status") or {}).get("containerStatuses") or ():
        for state in (container.get("state") or {}, container.get("lastState") or {}):
            message = (state.get("terminated") or {}).get("message")
            if message:
                return str(message)
    return None


def _trouble_of(pod: JsonObject) -> Trouble | None:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    # the init containers are those that a mesh or an administrator's webhook puts in
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason, words = waiting.get("reason"), waiting.get("message") or ""
        if reason in _PULL_FAILURES:
            return Trouble(Reason.IMAGE_PULL_FAILED, f"pod {name}: {_cut(_BACK_OFF.sub('', words)) or reason}")
        if reason in _START_FAILURES:
            return Trouble(Reason.CRASH_LOOPING, f"pod {name} cannot start: {_cut(words) or reason}")
        if reason == "CrashLoopBackOff" or _ended_often(container):
            ended = _cut(last_message(pod) or _exit(container))
            return Trouble(Reason.CRASH_LOOPING, f"pod {name} keeps ending: {ended}; see `kubectl logs {name} -p`")
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return Trouble(Reason.UNSCHEDULABLE, f"pod {name}: {_cut(condition.get('message') or 'not scheduled')}")
    return None


def _ended_often(container: JsonObject) -> bool:
    """Whether it ended again and again and has not come up since: so too while it tries once more."""
    done = ((container.get("state") or {}).get("terminated") or {}).get("exitCode") == 0  # as an init container ends
    has_ended = (container.get("lastState") or {}).get("terminated") is not None
    return has_ended and not done and not container.get("started") and (container.get("restartCount") or 0) >= _OFTEN


def _exit(container: JsonObject) -> str:
    ended = (container.get("lastState") or {}).get("terminated") or {}
    return f"{ended.get('reason') or 'ended'} (exit code {ended.get('exitCode', '?')})"


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LIMIT else line[: _LIMIT - 1] + "…"
