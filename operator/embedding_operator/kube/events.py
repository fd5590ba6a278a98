"""Kubernetes Events about users' objects: what just changed, for `kubectl describe`.

Telling must never hold up doing: `emit` returns at once, and events are dropped when there are too many or
the API server is away. State lives in conditions; an Event that is lost loses nothing.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from embedding_operator.kube.client import KubeClient
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import EVENTS, Object, ObjectKey

logger = logging.getLogger(__name__)

CONTROLLER: Final = "embedding-operator.io/operator"
EventType = Literal["Normal", "Warning"]

_WINDOW: Final = 600.0
_NOTE_BYTES: Final = 1024
_BURST: Final = 25
_REFILL_SECONDS: Final = 300.0
_REMEMBERED: Final = 4096


@dataclass(slots=True)
class _Entry:
    """One thing that was said about one object, and how often."""

    body: Object
    last: float
    count: int = 1
    posted: str = ""  # name of the Event once it exists
    queued: bool = True


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


_Said = tuple[str, str, str]


class Recorder:
    """`dropped` counts what was not told. `run` must be running for anything to be told."""

    def __init__(
        self,
        client: KubeClient,
        *,
        instance: str,
        capacity: int = _REMEMBERED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.dropped = 0
        self._client = client
        self._instance = instance[:128]
        self._clock = clock
        self._queue: asyncio.Queue[_Said] = asyncio.Queue(maxsize=capacity)
        self._entries: OrderedDict[_Said, _Entry] = OrderedDict()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def emit(self, regarding: Mapping[str, Any], type_: EventType, reason: str, action: str, note: str) -> None:
        """Tell that something happened to an object (any dict with kind, apiVersion and metadata)."""
        note = _cut(note)
        uid = regarding["metadata"].get("uid", "")
        said: _Said = (uid, reason, note)
        now = self._clock()
        entry = self._entries.get(said)
        if entry is not None and now - entry.last > _WINDOW:
            entry = None
        if entry is not None and entry.queued:
            entry.count += 1
            entry.last = now
            return
        if not self._take_token(uid, now) or self._queue.full():
            self.dropped += 1
            return
        if entry is None:
            entry = _Entry(self._body(regarding, type_, reason, action, note), now)
            self._entries[said] = entry
        else:
            entry.count += 1
            entry.last = now
            entry.queued = True
        self._entries.move_to_end(said)
        while len(self._entries) > _REMEMBERED:
            self._entries.popitem(last=False)
        self._queue.put_nowait(said)

    async def run(self) -> None:
        """Send what was emitted, until cancelled."""
        while True:
            said = await self._queue.get()
            try:
                await self._send(said)
            except ApiError as error:
                self.dropped += 1
                logger.debug("An event was not told: %s", error)
            finally:
                self._queue.task_done()

    async def flush(self) -> None:
        """Wait until all that was emitted is sent or dropped."""
        await self._queue.join()

    async def _send(self, said: _Said) -> None:
        entry = self._entries.get(said)
        if entry is None:
            self.dropped += 1
            return
        entry.queued = False
        if entry.posted:
            key = ObjectKey(EVENTS.kind, entry.body["metadata"]["namespace"], entry.posted)
            try:
                await self._client.merge_patch(key, {"series": _series(entry.count)})
                return
            except ApiError as error:
                if not error.is_not_found:  # the server keeps Events for an hour only
                    raise
                entry.posted = ""
        body = {**entry.body, "eventTime": _now()}
        body["metadata"] = {**body["metadata"], "name": _event_name(body["regarding"]["name"])}
        if entry.count > 1:
            body["series"] = _series(entry.count)
        posted = await self._client.create(body)
        entry.posted = posted["metadata"]["name"]

    def _body(self, regarding: Mapping[str, Any], type_: EventType, reason: str, action: str, note: str) -> Object:
        metadata = regarding["metadata"]
        reference = {
            "apiVersion": regarding["apiVersion"],
            "kind": regarding["kind"],
            "name": metadata["name"],
            "namespace": metadata.get("namespace"),
            "uid": metadata.get("uid"),
            "resourceVersion": metadata.get("resourceVersion"),
        }
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            # Events about cluster-scoped objects live in "default", by convention.
            "metadata": {"namespace": metadata.get("namespace") or "default"},
            "type": type_,
            "reason": reason[:128],
            "action": action[:128],
            "note": note,
            "regarding": {name: value for name, value in reference.items() if value},
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
        }

    def _take_token(self, uid: str, now: float) -> bool:
        """A bucket per object, so that one that flaps cannot drown out the others."""
        bucket = self._buckets.setdefault(uid, _Bucket(_BURST, now))
        self._buckets.move_to_end(uid)
        while len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        bucket.tokens = min(_BURST, bucket.tokens + (now - bucket.at) / _REFILL_SECONDS)
        bucket.at = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True


def _cut(note: str) -> str:
    encoded = note.encode()
    if len(encoded) <= _NOTE_BYTES:
        return note
    return encoded[: _NOTE_BYTES - 3].decode("utf-8", "ignore") + "…"


def _event_name(regarding: str) -> str:
    return f"{regarding[:230]}.{secrets.token_hex(8)}"


def _series(count: int) -> Object:
    return {"count": count, "lastObservedTime": _now()}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
