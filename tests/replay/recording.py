"""The recording: every version of every object that the operator's watches showed in a busy run, in order."""

from __future__ import annotations

import functools
import json
import lzma
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedding_operator.api.names import FIELD_MANAGER, MANAGED_BY_LABEL
from embedding_operator.kube.resources import CLAIMS, ObjectKey, key_of

FILE = Path(__file__).with_name("recording.jsonl.xz")
Object = dict[str, Any]


@dataclass(frozen=True)
class Event:
    """One line of a watch: ADDED, MODIFIED or DELETED, and the object as it was then."""

    type: str
    object: Object

    @functools.cached_property
    def key(self) -> ObjectKey:
        return key_of(self.object)

    @functools.cached_property
    def uid(self) -> str:
        return str(self.object["metadata"]["uid"])

    @functools.cached_property
    def version(self) -> int:
        return int(self.object["metadata"]["resourceVersion"])

    @functools.cached_property
    def watched(self) -> bool:
        """Claims of users are recorded too, because the operator asks for them; it does not watch them."""
        labels = self.object["metadata"].get("labels") or {}
        return self.key.kind != CLAIMS.kind or labels.get(MANAGED_BY_LABEL) == FIELD_MANAGER


@functools.cache
def recorded() -> tuple[Event, ...]:
    """The whole recording. The objects are shared: read them, never change them."""
    lines = lzma.decompress(FILE.read_bytes()).decode().splitlines()
    return tuple(Event(*json.loads(line)) for line in lines)


def write(events: Iterable[Event]) -> None:
    lines = [json.dumps([event.type, event.object], sort_keys=True, separators=(",", ":")) for event in events]
    FILE.write_bytes(lzma.compress("\n".join(lines).encode()))


def happen_to(state: dict[ObjectKey, Object], events: Iterable[Event]) -> dict[ObjectKey, Object]:
    """Bring what the API server holds to where it is once these events have happened."""
    for event in events:
        if event.type == "DELETED":
            state.pop(event.key, None)
        else:
            state[event.key] = event.object
    return state
