"""Metrics of services, weights, jobs and benchmarks, as their own status says: by condition in all, and a few series
for each.

No series has a message, a time or a pod's name in its labels. The reasons are those of api/conditions.py.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from embedding_operator.api import names
from embedding_operator.api.conditions import Type
from embedding_operator.controllers.context import Context
from embedding_operator.kube.cache import Cache
from embedding_operator.kube.resources import Object
from embedding_operator.metrics.text import Family, Metric, Sample

_P: Final = "embedding_operator"
_SERVICE: Final = ("namespace", "service")
_CACHE: Final = ("namespace", "cache")
_CONDITION: Final = ("condition", "status", "reason")

SERVICES: Final = Metric(f"{_P}_services", "gauge", "EmbeddingServices by their conditions.", _CONDITION)
SERVICE: Final = Metric(
    f"{_P}_service_condition",
    "gauge",
    "1 for Ready, Routed and Monitored, whatever their status, for Available while it is False, and for Stalled, "
    "Degraded, UpdateAvailable and KnownProblems.",
    (*_SERVICE, *_CONDITION),
)
WANTED: Final = Metric(f"{_P}_service_replicas", "gauge", "Replicas that are asked for; 0 if suspended.", _SERVICE)
READY: Final = Metric(f"{_P}_service_ready_replicas", "gauge", "Replicas that answer requests.", _SERVICE)
CACHES: Final = Metric(f"{_P}_caches", "gauge", "ModelCaches by their conditions.", _CONDITION)
CACHE: Final = Metric(
    f"{_P}_cache_condition",
    "gauge",
    "1 for Ready, whatever its status, and for Stalled.",
    (*_CACHE, *_CONDITION),
)
BYTES: Final = Metric(f"{_P}_cache_bytes", "gauge", "Size of staged and verified weights.", _CACHE)
VERIFIED: Final = Metric(
    f"{_P}_cache_verified_timestamp_seconds", "gauge", "When every byte of the weights was last checked.", _CACHE
)
USERS: Final = Metric(f"{_P}_cache_users", "gauge", "Services and jobs that use the weights.", _CACHE)
DONE: Final = Metric(f"{_P}_cache_staging_bytes", "gauge", "Bytes that are staged so far, while staging.", _CACHE)
ALL: Final = Metric(f"{_P}_cache_staging_size_bytes", "gauge", "Bytes that are to be staged, while staging.", _CACHE)
RATE: Final = Metric(f"{_P}_cache_staging_bytes_per_second", "gauge", "How fast, while staging.", _CACHE)
JOBS: Final = Metric(f"{_P}_jobs", "gauge", "EmbeddingJobs by their conditions.", _CONDITION)
JOB: Final = Metric(
    f"{_P}_job_condition",
    "gauge",
    "1 for Ready while it is not True, and for Stalled.",
    ("namespace", "embedding_job", *_CONDITION),  # `job` is what Prometheus itself calls its targets
)
BENCHMARKS: Final = Metric(f"{_P}_benchmarks", "gauge", "EmbeddingBenchmarks by their conditions.", _CONDITION)
BENCHMARK: Final = Metric(
    f"{_P}_benchmark_condition",
    "gauge",
    "1 for Ready while it is not True, and for Stalled.",
    ("namespace", "benchmark", *_CONDITION),
)

METRICS: Final = (
    *(SERVICE, SERVICES, WANTED, READY),
    *(CACHES, CACHE, BYTES, VERIFIED, USERS, DONE, ALL, RATE),
    *(JOBS, JOB, BENCHMARKS, BENCHMARK),
)

_WHATEVER: Final = frozenset({Type.READY, Type.ROUTED, Type.MONITORED})  # shown true or not
_WHILE: Final = frozenset(
    {
        (Type.STALLED, "True"),
        (Type.DEGRADED, "True"),
        (Type.UPDATE_AVAILABLE, "True"),
        (Type.KNOWN_PROBLEMS, "True"),
        (Type.AVAILABLE, "False"),
    }
)


def families(context: Context) -> Iterator[Family]:
    """All of METRICS, in that order."""
    services = _Services(context.cache)
    yield Family(SERVICE, _conditions(services.read()))
    yield Family(SERVICES, sorted(services.counts.items()))
    yield Family(WANTED, services.wanted)
    yield Family(READY, services.ready)
    caches = context.cache.list(names.MODEL_CACHE)
    yield Family(CACHES, _counted(caches))
    yield Family(CACHE, _conditions(caches))
    staged = [one for one in caches if _status(one).get("digest")]
    yield Family(BYTES, ((_named(one), _status(one).get("bytes") or 0) for one in staged))
    yield Family(VERIFIED, ((_named(one), at) for one in staged if (at := _seconds(_status(one).get("verifiedAt")))))
    yield Family(USERS, ((_named(one), len(_status(one).get("usedBy") or ())) for one in caches))
    under_way = [(_named(one), found) for one in caches if (found := _status(one).get("progress"))]
    for metric, field in ((DONE, "bytes"), (ALL, "totalBytes"), (RATE, "bytesPerSecond")):
        yield Family(metric, ((name, found[field]) for name, found in under_way if found.get(field) is not None))
    for kind, all_of_them, each in (
        (names.EMBEDDING_JOB, JOBS, JOB),
        (names.EMBEDDING_BENCHMARK, BENCHMARKS, BENCHMARK),
    ):
        found = context.cache.list(kind)
        yield Family(all_of_them, _counted(found))
        yield Family(each, (sample for sample in _conditions(found) if sample[0][2:4] != (Type.READY, "True")))


class _Services:
    """There may be ten thousand, and the cache keeps them packed: each is unpacked once, and let go once it is told.

    What is told of all of them is there STRICTLY AFTER `read` has come to its end.
    """

    def __init__(self, cache: Cache) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.wanted: list[Sample] = []
        self.ready: list[Sample] = []
        self._cache = cache

    def read(self) -> Iterator[Object]:
        for key in self._cache.keys(names.EMBEDDING_SERVICE):
            service = self._cache.get(key)
            if service is None:  # it has gone, while somebody else had a turn
                continue
            name = _named(service)
            self.counts.update(_said(service))
            self.wanted.append((name, _replicas(service)))
            self.ready.append((name, _status(service).get("readyReplicas") or 0))
            yield service


def _named(obj: Object) -> tuple[str, str]:
    metadata = obj["metadata"]
    return metadata.get("namespace") or "", metadata["name"]


def _status(obj: Object) -> Object:
    status: Object = obj.get("status") or {}
    return status


def _replicas(service: Object) -> int:
    spec = service.get("spec") or {}
    replicas: int = 0 if spec.get("suspend") else spec.get("replicas", 1)
    return replicas


def _said(obj: Object) -> Iterator[tuple[str, str, str]]:
    for one in _status(obj).get("conditions") or ():
        yield str(one.get("type")), str(one.get("status")), str(one.get("reason"))


def _counted(objects: Iterable[Object]) -> list[Sample]:
    return sorted(Counter(said for one in objects for said in _said(one)).items())


def _conditions(objects: Iterable[Object]) -> Iterator[Sample]:
    for obj in objects:
        name = _named(obj)
        for condition, status, reason in _said(obj):
            if condition in _WHATEVER or (condition, status) in _WHILE:
                yield (*name, condition, status, reason), 1


def _seconds(time: Any) -> float | None:
    try:
        return datetime.fromisoformat(time).timestamp()
    except (TypeError, ValueError):
        return None
