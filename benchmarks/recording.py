"""The writes of the operator's for one service, as it made them, to be made for any other.

Only what no client could leave out is kept: each child once, the first status and the last, and their two Events.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, AnyStr, Final, NamedTuple

from benchmarks.manifests import namespace_of, service_name
from embedding_operator.kube.apply import NOBODYS_VERSION

NAME: Final = service_name(0)
_NAMESPACE: Final = namespace_of(0)
_UID: Final = "@uid@"
_VERSION: Final = "@version@"
_SHARED: Final = ("/leases", "/runtimeprofiles", "/modelcaches")  # not made per service


class Asked(NamedTuple):
    """A service that writes are made for."""

    name: str
    namespace: str
    uid: str
    version: str


@dataclass(frozen=True)
class Write:
    """One request, with marks where the service's own values go."""

    method: str
    path: str
    content_type: str
    body: str

    def of(self, asked: Asked) -> Write:
        """The same request for another service."""
        swaps = {NAME: asked.name, _NAMESPACE: asked.namespace, _UID: asked.uid, _VERSION: asked.version}
        return Write(self.method, swapped(self.path, swaps), self.content_type, swapped(self.body, swaps))


@dataclass(frozen=True)
class Recording:
    """`shared` is written once per namespace, the rest once per service."""

    shared: tuple[Write, ...]
    children: tuple[Write, ...]
    first_status: Write
    last_status: Write
    events: tuple[Write, ...]  # of the first status and the last


def load(path: Path, uid: str) -> Recording:
    """Read what the recorder kept of the service with this uid."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    writes = [_marked(line, uid) for line in lines if not any(part in line["path"] for part in _SHARED)]
    statuses = [write for write in writes if f"/{NAME}/status" in write.path]
    events = [write for write in writes if "/events" in write.path]
    rest = _first_of_each(write for write in writes if write not in statuses and write not in events)
    first, last = statuses[0], statuses[-1]
    return Recording(
        shared=tuple(write for write in rest if NAME not in write.body),
        children=tuple(write for write in rest if NAME in write.body),
        first_status=first,
        last_status=last,
        events=tuple(_event_of(status, events) for status in (first, last)),
    )


def _marked(line: dict[str, str], uid: str) -> Write:
    body = json.loads(line["body"])
    for version_of in (body["metadata"], body.get("regarding") or {}):
        if version_of.get("resourceVersion", NOBODYS_VERSION) != NOBODYS_VERSION:
            version_of["resourceVersion"] = _VERSION
    return Write(line["method"], line["path"], line["content_type"], _applicable(body).replace(uid, _UID))


def swapped(text: AnyStr, swaps: Mapping[AnyStr, AnyStr]) -> AnyStr:
    """The text with each of these replaced by its own."""
    for old, new in swaps.items():
        text = text.replace(old, new)
    return text


def _applicable(body: dict[str, Any]) -> str:
    """An API server takes what is applied for YAML, which knows no surrogate pairs."""
    return json.dumps(body, ensure_ascii=False)


def _first_of_each(writes: Iterable[Write]) -> list[Write]:
    """Each object once, however often it was written."""
    found: dict[tuple[str, str], Write] = {}
    for write in writes:
        body = json.loads(write.body)
        found.setdefault((body["kind"], body["metadata"]["name"]), write)
    return list(found.values())


def _event_of(status: Write, events: list[Write]) -> Write:
    conditions: list[dict[str, Any]] = json.loads(status.body)["status"]["conditions"]
    (reason,) = [condition["reason"] for condition in conditions if condition["type"] == "Ready"]
    return next(event for event in events if json.loads(event.body).get("reason") == reason)


def to_text(recording: Recording) -> str:
    """For the peer's process."""
    return json.dumps(recording, default=vars)


def from_text(text: str) -> Recording:
    """The reverse."""
    raw = json.loads(text)
    return Recording(
        shared=_writes(raw["shared"]),
        children=_writes(raw["children"]),
        first_status=Write(**raw["first_status"]),
        last_status=Write(**raw["last_status"]),
        events=_writes(raw["events"]),
    )


def _writes(raw: list[dict[str, str]]) -> tuple[Write, ...]:
    return tuple(Write(**each) for each in raw)
