"""What a staging pod said with its last words: the termination message, and what the kubelet says in place of it.

A message that cannot be read is as good as none: the Job runs again and adopts what is on the volume.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from embedding_operator.api.codec import ApiValueError, View
from embedding_operator.api.conditions import Reason
from embedding_operator.api.json import JsonObject
from embedding_operator.api.modelcache import Excluded
from embedding_operator.planning.pods import Trouble, last_message

# What the stager says when trying again will not help (its exit code 3); the Job fails a moment later.
PERMANENT = frozenset(
    {
        Reason.BAD_SOURCE,
        Reason.NOT_FOUND,
        Reason.UNAUTHORIZED,
        Reason.CHECKSUM_MISMATCH,
        Reason.DIGEST_MISMATCH,
        Reason.READ_ONLY,
        Reason.PERMISSION_DENIED,
        Reason.DISK_FULL,
        Reason.QUOTA_EXCEEDED,
    }
)
_REASONS = {str(reason): reason for reason in Reason}


@dataclass(frozen=True, slots=True)
class Report(View):
    """A Job's result: weights that are proven, or why there are none; files that are removed, or why not."""

    result: Literal["Staged", "Failed", "Removed", "Kept"]
    reason: str | None = None
    message: str | None = None
    revision: str | None = None
    digest: str | None = None
    path: str | None = None
    files: int | None = None
    bytes: int | None = None
    excluded: Excluded | None = None
    mended: int | None = None
    context: int | None = None

    def __post_init__(self) -> None:
        if self.is_staged and not (self.digest and self.path):
            raise ApiValueError("staged weights have a digest and a path")

    @property
    def is_staged(self) -> bool:
        """Whether the weights are on the volume and verified."""
        return self.result == "Staged"

    @property
    def known_reason(self) -> Reason:
        """The reason of a failure, as a condition may show it."""
        return _REASONS.get(self.reason or "", Reason.INTERNAL)

    @property
    def words(self) -> str:
        """Why it failed, for people."""
        return self.message or self.reason or ""


def newest_report(pods: Sequence[JsonObject]) -> Report | None:
    """What the newest pod that has ended said, if it can be read."""
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), reverse=True):
        try:
            return Report.from_dict(json.loads(last_message(pod) or ""))
        except (ValueError, RecursionError):  # an ApiValueError is a ValueError
            continue
    return None


def reason_of(trouble: Trouble) -> Reason:
    """Why a pod of a Job does not start. That a Secret of its, or a key of that, is missing a kubelet says in words."""
    words = trouble.message.lower()
    if trouble.reason is Reason.CRASH_LOOPING and "secret" in words and ("not found" in words or "find key" in words):
        return Reason.SECRET_NOT_FOUND
    return trouble.reason
