"""How many services have their pods replaced at a time: from a Deployment's new template until all pods are of it.

Two watches tell, each at its own pace, so what they told is put in the order in which it was stored.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Container, Iterable
from typing import Any, Final, NamedTuple

import msgspec

from benchmarks.api import Lines
from embedding_operator.api.names import SERVICE_LABEL
from embedding_operator.planning.revision import ANNOTATION

INITIAL: Final = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
"""Of a watch: a bookmark follows on what exists, with an annotation."""
_INITIAL_END: Final = "k8s.io/initial-events-end"


class _Condition(msgspec.Struct):
    type: str
    status: str


class _Metadata(msgspec.Struct):
    name: str = ""
    resourceVersion: str = "0"  # noqa: N815 - Kubernetes' name
    deletionTimestamp: str = ""  # noqa: N815
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class _Template(msgspec.Struct):
    metadata: _Metadata


class _Spec(msgspec.Struct):
    template: _Template | None = None


class _Status(msgspec.Struct):
    conditions: list[_Condition] = []


class _Object(msgspec.Struct):
    metadata: _Metadata
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


class _Event(msgspec.Struct):
    type: str
    object: _Object


class Seen(NamedTuple):
    """One state of a Deployment (`pod` is empty) or a pod; without a revision it is gone, or is going."""

    version: int
    service: str
    pod: str
    revision: str
    is_ready: bool = False


class Rollouts:
    """Which services are being rolled out, as states come in."""

    def __init__(self) -> None:
        self.rolled: set[str] = set()
        self.rolling: set[str] = set()
        self._first: dict[str, str] = {}
        self._wanted: dict[str, str] = {}
        self._pods: defaultdict[str, dict[str, Seen]] = defaultdict(dict)

    def see(self, seen: Seen) -> None:
        """Take in one state."""
        if not seen.pod:
            self._first.setdefault(seen.service, seen.revision)
            self._wanted[seen.service] = seen.revision
        elif seen.revision:
            self._pods[seen.service][seen.pod] = seen
        else:
            self._pods[seen.service].pop(seen.pod, None)
        self._judge(seen.service)

    def without(self, pods: Container[str], version: int) -> list[Seen]:
        """What must be seen for none but these pods to be there."""
        known = [(service, pod) for service, some in self._pods.items() for pod in some]
        return [Seen(version, service, pod, "") for service, pod in known if pod not in pods]

    def _judge(self, service: str) -> None:
        wanted, pods = self._wanted.get(service), self._pods[service].values()
        if wanted is None or wanted == self._first[service]:
            return
        is_over = bool(pods) and all(pod.revision == wanted and pod.is_ready for pod in pods)
        (self.rolled if is_over else self.rolling).add(service)
        (self.rolling if is_over else self.rolled).discard(service)


def most_at_once(states: Iterable[Seen]) -> int:
    """The most services that were rolled out at the same time."""
    rollouts, most = Rollouts(), 0
    for seen in sorted(set(states)):
        rollouts.see(seen)
        most = max(most, len(rollouts.rolling))
    return most


_decode: Final = msgspec.json.Decoder(_Event).decode


class Wave:
    """Follows Deployments and pods from now on, until so many services were rolled out."""

    def __init__(self, services: int) -> None:
        self.over = asyncio.Event()
        self.begun = {pods: asyncio.Event() for pods in (False, True)}
        self.states: list[Seen] = []
        self._services = services
        self._rollouts = Rollouts()

    async def follow(self, lines: Lines, *, pods: bool) -> None:
        """Until cancelled. The lines are of a watch with INITIAL: `begun[pods]` is set when all that exist are known.

        Pods that went while the watch was opened again count until then.
        """
        opened, there = 0, set[str]()
        async for line in lines:
            event: Any = _decode(line)
            if lines.opened != opened:
                opened, there = lines.opened, set()
            if event.type != "BOOKMARK":
                seen = _seen(event, is_pod=pods)
                there.add(seen.pod)
                self._take([seen])
            elif event.object.metadata.annotations.get(_INITIAL_END):
                if pods:
                    self._take(self._rollouts.without(there, int(event.object.metadata.resourceVersion)))
                self.begun[pods].set()

    def _take(self, states: Iterable[Seen]) -> None:
        for seen in states:
            self.states.append(seen)
            self._rollouts.see(seen)
        if len(self._rollouts.rolled) == self._services:
            self.over.set()


def _seen(event: _Event, *, is_pod: bool) -> Seen:
    metadata, version = event.object.metadata, int(event.object.metadata.resourceVersion)
    if not is_pod:
        template = event.object.spec.template
        revision = template.metadata.annotations[ANNOTATION] if template else ""
        return Seen(version, metadata.name, "", revision)
    service = metadata.labels[SERVICE_LABEL]
    if event.type == "DELETED" or metadata.deletionTimestamp:  # its successor is made meanwhile
        return Seen(version, service, metadata.name, "")
    ready = any(one.type == "Ready" and one.status == "True" for one in event.object.status.conditions)
    return Seen(version, service, metadata.name, metadata.annotations[ANNOTATION], ready)
