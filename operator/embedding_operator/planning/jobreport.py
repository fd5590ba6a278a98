"""What the pods of an EmbeddingJob say: with their last words, which decide, and while they run, which only shows.

A message that cannot be read is as good as none: the phase runs again, and finds what is done.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from embedding_operator.api.codec import View
from embedding_operator.api.conditions import Reason
from embedding_operator.api.json import JsonObject
from embedding_operator.planning.causes import shortened
from embedding_operator.planning.pods import phase_of

INDEX_ANNOTATION = "batch.kubernetes.io/job-completion-index"
DRIVER = "driver"
_LIMIT = 600  # characters of a message in ours
_REASONS = {  # that a pod's words may have, for a condition
    str(reason): reason
    for reason in (
        Reason.BAD_INPUT,
        Reason.DISK_FULL,
        Reason.FILE_CHANGED,
        Reason.INTERNAL,
        Reason.INVALID_SPEC,
        Reason.MODEL_CHANGED,
        Reason.NO_FILES,
        Reason.NOT_FOUND,
        Reason.PERMISSION_DENIED,
        Reason.QUOTA_EXCEEDED,
        Reason.READ_ONLY,
        Reason.REFUSED,
        Reason.TOO_MANY_ERRORS,
        Reason.UNAUTHORIZED,
    )
}
_T = TypeVar("_T", bound=View)


@dataclass(frozen=True, slots=True)
class Split(View):
    """How the input is cut."""

    shards: int
    finished: int
    files: int | None = None
    bytes: int | None = None
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Work(View):
    """What one worker did."""

    index: int
    shards: int
    rows: int | None = None
    errors: int | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Finish(View):
    """What all of them did."""

    shards: int
    manifest: str
    reused: int | None = None
    rows: int | None = None
    errors: int | None = None
    tokens: int | None = None
    bytes: int | None = None
    errors_file: str | None = None


@dataclass(frozen=True, slots=True)
class Failure(View):
    """Why it did not."""

    reason: str
    message: str

    @property
    def known_reason(self) -> Reason | None:
        """As a condition may show it; None where nobody here knows it."""
        return _REASONS.get(self.reason)

    @property
    def words(self) -> str:
        """For people; with the reason where no condition shows it."""
        told = shortened(self.message, _LIMIT)
        return told if self.reason in _REASONS else f"{shortened(self.reason, 60)}: {told}"


@dataclass(frozen=True, slots=True)
class Page(View):
    """What a pod shows of its progress while it runs. Rates may be fractions, so they are read apart."""

    phase: str | None = None
    rows: int | None = None
    bytes: int | None = None
    bytes_total: int | None = None
    tokens: int | None = None
    errors: int | None = None
    shards_done: int | None = None
    shards: int | None = None
    rows_per_second: int | None = None
    tokens_per_second: int | None = None


def page_of(data: object) -> Page:
    """Read a progress page. Raises ApiValueError."""
    if isinstance(data, Mapping):
        rounded = ("rowsPerSecond", "tokensPerSecond")
        data = {
            name: round(value) if name in rounded and isinstance(value, float) and abs(value) < 1e15 else value
            for name, value in data.items()
        }
    return Page.from_dict(data)


def said_by(pod: JsonObject, kind: type[_T]) -> _T | None:
    """What the driver of a pod that has ended said, if it can be read as that."""
    for container in (pod.get("status") or {}).get("containerStatuses") or ():
        if container.get("name") == DRIVER:
            ended = (container.get("state") or {}).get("terminated") or {}
            try:
                return kind.from_dict(json.loads(ended.get("message") or ""))
            except (ValueError, RecursionError):  # an ApiValueError is a ValueError
                return None
    return None


def newest(pods: Iterable[JsonObject], kind: type[_T]) -> _T | None:
    """What the newest pod that said something of that kind said."""
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), reverse=True):
        if (said := said_by(pod, kind)) is not None:
            return said
    return None


def failure(pods: Sequence[JsonObject]) -> Failure | None:
    """What the newest pod that failed said."""
    return newest([pod for pod in pods if phase_of(pod) == "Failed"], Failure)


def index_of(pod: JsonObject) -> int | None:
    """Which part of the input it works on."""
    written = str((pod["metadata"].get("annotations") or {}).get(INDEX_ANNOTATION) or "")
    return int(written) if written.isdecimal() and len(written) < 9 else None


def indexes(ranges: str | None) -> frozenset[int]:
    """The indexes of a list of ranges such as 0-4,7, as a Job's status has it; what cannot be read is none."""
    found: set[int] = set()
    for part in (ranges or "").split(","):
        first, _, last = part.strip().partition("-")
        if first.isdecimal() and (last.isdecimal() or not last):
            found.update(range(int(first), min(int(last or first), 100_000) + 1))
    return frozenset(found)
