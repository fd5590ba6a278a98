"""The little of an object's news that is news to others. Pure functions of stored objects."""

from typing import Any

from embedding_operator.api import names
from embedding_operator.api.conditions import Type
from embedding_operator.kube.resources import Object
from embedding_operator.planning.benchcompany import embeds
from embedding_operator.planning.cachestate import has_condition
from embedding_operator.planning.status import PASSING

_TOLD = (names.MODEL_CACHE, names.EMBEDDING_BENCHMARK, names.EMBEDDING_JOB, "Pod", "Job")


def outcome(obj: Object | None) -> object:
    """What services want to know of a ModelCache, a ModelCache of a pod, and a benchmark of jobs and of another one and
    its Jobs; of other kinds, nothing."""
    if obj is None or obj["kind"] not in _TOLD:
        return None
    if obj["kind"] == names.EMBEDDING_JOB:
        return embeds(obj) or None  # one that comes is no news
    if obj["kind"] == names.EMBEDDING_BENCHMARK:
        over = is_measured(obj) or has_condition(obj, Type.STALLED)  # then others go on
        return (over, bool((obj.get("status") or {}).get("results")))  # who has begun goes before who has not
    if obj["kind"] == "Job":
        return _is_of_benchmark(obj) and (has_condition(obj, "Complete") or has_condition(obj, "Failed"))
    if obj["kind"] == "Pod":
        # one that has ended reads its weights no more
        return (owner(obj), has_ended(obj), (obj["metadata"].get("annotations") or {}).get(names.CACHE_ANNOTATION))
    status = obj.get("status") or {}
    said = [(c.get("type"), c.get("status"), c.get("reason"), _words(c)) for c in status.get("conditions") or ()]
    return (status.get("digest"), status.get("path"), said)


def _is_of_benchmark(job: Object) -> bool | None:
    return names.BENCHMARK_LABEL in (job["metadata"].get("labels") or {}) or None


def owner(obj: Object) -> Any:
    labels = obj["metadata"].get("labels") or {}
    return labels.get(names.SERVICE_LABEL) or labels.get(names.JOB_LABEL)


def has_ended(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def is_over(job: Object) -> bool:
    """Whether a stored EmbeddingJob is complete, or has failed."""
    return has_condition(job, Type.FAILED) or bool((job.get("status") or {}).get("completionTime"))


def is_measured(benchmark: Object) -> bool:
    """Whether all runs of a stored EmbeddingBenchmark are done."""
    return has_condition(benchmark, Type.READY)


def _words(condition: Object) -> str | None:
    """What services repeat of a condition: all but how far a download is."""
    return None if condition.get("reason") in PASSING else condition.get("message")
