"""Whom a benchmark can know to ask its service at the same time: EmbeddingJobs that the service embeds for.

Other clients nobody sees from here; these are ours, and take all that the service has to give.
"""

from collections.abc import Sequence

from embedding_operator.api.conditions import Reason, Type
from embedding_operator.api.json import JsonObject
from embedding_operator.planning.pods import condition_of


def company(jobs: Sequence[JsonObject], since: str = "") -> str | None:
    """The first of these stored EmbeddingJobs that embeds, or did so until after a moment (RFC 3339), in words."""
    for job in jobs:
        name = job["metadata"]["name"]
        if embeds(job):
            return f"EmbeddingJob {name} embeds by the service"
        if since and _ended(job) > since:
            return f"EmbeddingJob {name} embedded by the service"
    return None


def embeds(job: JsonObject) -> bool:
    """Whether a stored EmbeddingJob is embedding: it is at that, and has pods, which a quota may keep from it."""
    has_pods = bool(((job.get("status") or {}).get("workers") or {}).get("active"))
    return has_pods and condition_of(job, Type.READY).get("reason") == Reason.EMBEDDING


def _ended(job: JsonObject) -> str:
    """When it was complete, or had failed; empty where it never was."""
    failed = condition_of(job, Type.FAILED)
    ended = (job.get("status") or {}).get("completionTime") or failed.get("lastTransitionTime")
    return str(ended or "")
