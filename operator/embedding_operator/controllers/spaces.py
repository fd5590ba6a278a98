"""Looks at the vectors that serving pods have measured, over HTTP, once each. What cannot be reached is absent, never
an error, and is tried again after ever longer pauses.

What a pod measured does not change as long as its container runs, so nothing is asked twice: at rest nobody is asked.
Vectors that are the recorded ones are not kept, for there are thousands of pods.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import aiohttp

from embedding_operator.api import names
from embedding_operator.kube.resources import Object, ObjectKey, key_of
from embedding_operator.planning.flags import SERVER_PORT
from embedding_operator.planning.space import FILE, Measured, space_of
from embedding_operator.planning.vectors import Record, compare, read

_LIMIT = 512 * 1024  # bytes; six vectors of 8192 numbers are 130 KiB
_TIMEOUT = aiohttp.ClientTimeout(total=2)
_AT_ONCE = 8  # pods of a service that are asked together
_SOON, _PAUSE, _LONGEST_PAUSE = 1.0, 5.0, 600.0
_SURELY = 1 - 1e-6  # no threshold is above this cosine
_REMEMBERED = 256  # records; one takes as much as its ConfigMap, which is kept as well, and is soon read again

Records = Mapping[str, Record | None]


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of one start of a pod's server."""

    measured: Measured | None = None
    against: str | None = None  # the id of the record that it was compared with
    failures: int = 0
    due: float = float("-inf")


class Spaces:
    """What pods have measured, by service and start of a server."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[ObjectKey, dict[str, _Known]] = {}
        self._records: dict[ObjectKey, tuple[Object, Record | None]] = {}
        self._asking = 0
        self._unreachable = False

    def recorded(self, config_maps: Iterable[Object]) -> dict[str, Record | None]:
        """The recorded vectors in ConfigMaps, by name, each read once; None in one that cannot be read."""
        found = {}
        for obj in config_maps:
            key = key_of(obj)
            known = self._records.get(key)
            if known is None or known[0] is not obj:
                self._records.pop(key, None)
                if len(self._records) >= _REMEMBERED:
                    del self._records[next(iter(self._records))]
                known = self._records[key] = obj, _record_in(obj)
            found[key.name] = known[1]
        return found

    def forget(self, service: ObjectKey) -> None:
        """It is gone, or wants nothing to be compared."""
        self._known.pop(service, None)

    def has_looked(self, service: ObjectKey) -> bool:
        """Whether its pods were asked, by this process."""
        return service in self._known

    def due(self, service: ObjectKey, pods: Iterable[Object], records: Records) -> float | None:
        """In how many seconds pods are to be asked of which something must be known; None where all is known."""
        known, now = self._known.get(service, {}), self._clock()
        live = ((known.get(start_of(pod), _Known()), _record_of(pod, records)) for pod in pods if may_be_asked(pod))
        return min((max(one.due - now, 0.0) for one, record in live if _is_wanted(one, record)), default=None)

    async def look(
        self, http: aiohttp.ClientSession, service: ObjectKey, pods: Iterable[Object], records: Records
    ) -> float | None:
        """Ask those pods of which something must be known that is not. Seconds until the rest may be asked, or None.

        Where the operator cannot reach pods at all, one worker at most waits for one that does not answer; the others
        are put off as if they had been asked.
        """
        before = self._known.pop(service, {})
        live = {start_of(pod): pod for pod in pods if may_be_asked(pod)}
        if not live:
            return None
        known = self._known[service] = {start: before.get(start, _Known()) for start in live}
        wanted = [start for start, pod in live.items() if _is_wanted(known[start], _record_of(pod, records))]
        now = self._clock()
        due = [start for start in wanted if known[start].due <= now][:_AT_ONCE]
        if self._unreachable:
            due, rest = due[: 0 if self._asking else 1], due
            known.update({start: _missed(known[start], now) for start in rest if start not in due})
        missed = set(wanted) - set(due)
        for start, record in zip(due, await self._ask(http, [live[start] for start in due]), strict=True):
            if record is None:
                missed.add(start)
                known[start] = _missed(known[start], now)
            else:
                known[start] = _Known(Measured(record.id, record, None))
        return min((max(known[start].due - now, _SOON) for start in missed), default=None)

    async def _ask(self, http: aiohttp.ClientSession, pods: Sequence[Object]) -> list[Record | None]:
        if not pods:
            return []
        self._asking += 1
        try:
            answers = await asyncio.gather(*(fetch_vectors(http, pod) for pod in pods))
        finally:
            self._asking -= 1
        self._unreachable = not any(answers)
        return answers

    def of(self, service: ObjectKey, pods: Iterable[Object], records: Records) -> dict[str, Measured]:
        """What is known of the pods, by name, held against what is recorded now."""
        known = self._known.get(service, {})
        found: dict[str, Measured] = {}
        for pod in pods:
            start = start_of(pod)
            if start in known:
                known[start] = _held_against(known[start], _record_of(pod, records))
                measured = known[start].measured
                if measured is not None:
                    found[str(pod["metadata"]["name"])] = measured
        return found


def _record_in(config_map: Object) -> Record | None:
    try:
        record = read(json.loads((config_map.get("data") or {}).get(FILE) or ""))
    except (ValueError, RecursionError):
        return None
    return record if record and record.texts else None


def _record_of(pod: Object, records: Records) -> Record | None:
    return records.get(space_of(pod) or "")


def may_be_asked(pod: Object) -> bool:
    """Whether its server has started, with the scripts that measure."""
    status = pod.get("status") or {}
    containers = status.get("containerStatuses") or ()
    started = bool(containers) and all(container.get("started") for container in containers)
    return bool(space_of(pod) and status.get("podIP") and started and not pod["metadata"].get("deletionTimestamp"))


def start_of(pod: Object) -> str:
    """Another start may give other vectors: on a device that was mended, say."""
    containers = (pod.get("status") or {}).get("containerStatuses") or ()
    return f"{pod['metadata'].get('uid')}/{sum(container.get('restartCount') or 0 for container in containers)}"


def _is_wanted(known: _Known, record: Record | None) -> bool:
    """Whether it was never asked, or its vectors are not kept and what is recorded are others now, or none."""
    measured = known.measured
    return measured is None or (measured.record is None and known.against != (record.id if record else None))


def _held_against(known: _Known, record: Record | None) -> _Known:
    measured, against = known.measured, record.id if record else None
    if measured is None or measured.record is None or known.against == against:
        return known
    comparison = compare(record, measured.record) if record else None
    needed = comparison is None or not comparison.is_same(_SURELY)
    return replace(
        known,
        measured=replace(measured, record=measured.record if needed else None, comparison=comparison),
        against=against,
    )


def _missed(known: _Known, now: float) -> _Known:
    pause = min(_PAUSE * 2.0**known.failures, _LONGEST_PAUSE)
    return replace(known, failures=min(known.failures + 1, 16), due=now + pause)


async def fetch_vectors(http: aiohttp.ClientSession, pod: Object) -> Record | None:
    """What the server in this pod has measured, or None."""
    address = pod["status"]["podIP"]
    host = f"[{address}]" if ":" in address else address
    secured = (pod["metadata"].get("annotations") or {}).get(names.SCHEME_ANNOTATION) == "HTTPS"
    url = f"{'https' if secured else 'http'}://{host}:{SERVER_PORT}/-/space"
    try:
        # nothing to verify: the certificate has the Service's name, and who may read what is asked for is everybody
        async with http.get(url, timeout=_TIMEOUT, allow_redirects=False, ssl=False) as response:
            if response.status != 200:
                return None
            body = b""
            while chunk := await response.content.read(_LIMIT - len(body)):
                body += chunk
            return read(json.loads(body))
    except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError):
        return None
