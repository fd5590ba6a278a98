"""Pods whose device turned unhealthy, and how they are replaced without anybody going short.

A kubelet says of each device that it gave to a container whether it is healthy. A pod on an unhealthy one may serve
on, or end again and again on the same device, which it keeps. So one pod more is asked for: where a healthy device is
free it comes up there, and only once it serves is the other one evicted. Where none is free it waits, and tells.

Only what the service's own pods say is looked at, nothing is remembered, and one pod is replaced at a time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from embedding_operator.api.json import JsonObject
from embedding_operator.planning.counts import counts_of
from embedding_operator.planning.pods import condition_of, is_live, is_serving, node_of

_UNHEALTHY = "Unhealthy"  # "Unknown" is what a kubelet says that has not heard


@dataclass(frozen=True, slots=True)
class Ill:
    """A pod, and which of its devices are unhealthy."""

    pod: str
    uid: str | None
    node: str
    devices: tuple[str, ...]
    serves: bool

    def __str__(self) -> str:
        are = "are" if len(self.devices) > 1 else "is"
        return f"pod {self.pod} on node {self.node}: {', '.join(self.devices)} {are} unhealthy"


@dataclass(frozen=True, slots=True)
class Replacing:
    """What is done about pods on unhealthy devices."""

    extra: int = 0  # pods more than are asked for
    evict: Ill | None = None
    message: str = ""  # empty where all devices are healthy


def replacing(
    pods: Sequence[JsonObject], replicas: int, deployment: JsonObject | None, *, one_pod: bool = False
) -> Replacing:
    """`one_pod`: the claim can be mounted by one pod only, so that none can come beside it."""
    ill = ill_pods(pods)
    if not ill or replicas == 0:
        return Replacing()
    told = "; ".join(map(str, ill))
    if one_pod:
        cure = "its claim can be mounted by one pod: delete that where another device is free"
        return Replacing(message=f"{told}; {cure}")
    counts = counts_of(deployment)
    if counts.updated < counts.total:
        return Replacing(message=f"{told}; a rollout is replacing all pods")
    serving = sum(map(is_serving, pods))
    first = ill[0]
    if serving - first.serves >= replicas:
        return Replacing(1, first, f"{told}; another pod serves in its place, so {first.pod} is evicted")
    return Replacing(1, None, f"{told}; {_waits_for(pods, counts.refused)}")


def ill_pods(pods: Iterable[JsonObject]) -> list[Ill]:
    """Those that hold a device and are not being deleted, by name."""
    found = []
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"])):
        devices = _unhealthy(pod)
        if devices and is_live(pod):
            node = node_of(pod) or ""
            found.append(Ill(pod["metadata"]["name"], pod["metadata"].get("uid"), node, devices, is_serving(pod)))
    return found


def _unhealthy(pod: JsonObject) -> tuple[str, ...]:
    return tuple(
        f"{one.get('resourceID')} of {resource.get('name')}"
        for container in (pod.get("status") or {}).get("containerStatuses") or ()
        for resource in container.get("allocatedResourcesStatus") or ()
        for one in resource.get("resources") or ()
        if one.get("health") == _UNHEALTHY
    )


def _waits_for(pods: Iterable[JsonObject], refused: str) -> str:
    """How far the pod is that is to take over."""
    if refused:
        return f"no other pod can be made: {' '.join(refused.split())}"
    waiting = [pod for pod in pods if condition_of(pod, "PodScheduled").get("status") == "False"]
    if waiting:
        return f"no healthy device is free: pod {waiting[0]['metadata']['name']} waits for one"
    return "another pod is made, which takes over once it serves"
