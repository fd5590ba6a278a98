"""What plans of a ModelCache are made from and consist of, and how its status is put into words."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from embedding_operator.api import names
from embedding_operator.api.json import JsonObject
from embedding_operator.api.modelcache import ModelCache, ModelCacheStatus, Progress, UserReference
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.pods import condition_of, phase_of
from embedding_operator.planning.verdict import Verdict

_MAX_USERS = 1024  # as many as the schema lets a status name


@dataclass(frozen=True, slots=True)
class ObservedCache:
    """What the cluster shows of one ModelCache. Times are handed in, for planning reads no clock."""

    users: Sequence[str] = ()  # names of the EmbeddingServices that use it
    jobs_using: Sequence[str] = ()  # names of the EmbeddingJobs that use it, or will
    serving: Sequence[str] = ()  # those of them whose pods read its files, not those that only ask for it
    wishes: Sequence[JsonObject] = ()  # the specs that those of them would make which name a source
    in_history: bool = False  # a former revision of a service, kept to go back to, was served from it
    jobs: Sequence[JsonObject] = ()
    pods: Sequence[JsonObject] = ()
    stuck: Collection[str] = ()  # pods that have been where they are for longer than is usual
    claim_exists: bool | None = None  # None where nobody looked: it is asked for only before a Job is made
    claim_phase: str = ""  # of the claim, where somebody looked
    claim_modes: Sequence[str] = ()
    nodes: Sequence[str] = ()  # where pods have the claim mounted, if one node at a time can
    progress: Progress | None = None
    refused: PlanError | None = None  # what the API server or a stranger's object had against the last plan
    may_pass: bool = False  # what was refused may be granted yet: it was asked for a few times only
    namespace_ends: bool = False  # the API server takes nothing new there
    cluster: str = ""  # the name of this cluster on volumes
    now: str = ""
    unused_for: int = 0  # seconds since status.unusedSince
    verified_for: int = 0  # seconds since status.verifiedAt


@dataclass(frozen=True, slots=True)
class CachePlan:
    """Create a Job, delete Jobs (by name), write the status, patch the ModelCache itself or delete it (it has
    expired), look again after so many seconds."""

    status: ModelCacheStatus
    create: tuple[JsonObject, ...] = ()
    delete: tuple[tuple[str, str], ...] = ()
    requeue_after: float | None = None
    patch: JsonObject = field(default_factory=dict)
    expired: bool = False


def is_staged(cache: ModelCache) -> bool:
    """Whether the weights are proven; `spec` is immutable, so this never ends."""
    return cache.status.digest is not None and cache.status.path is not None


def started_at(cache: ModelCache, seen: ObservedCache) -> str | None:
    """Since when a stager may have left something on the volume: its first pod that ran, which may be gone since."""
    if cache.status.started_at is not None:
        return cache.status.started_at
    pods = [pod for pod in seen.pods if pod not in of_task(seen.pods, names.CLEANUP_TASK)]
    ran = [pod for pod in pods if phase_of(pod) in ("Running", "Succeeded", "Failed")]
    return min((str(pod["metadata"].get("creationTimestamp") or seen.now) for pod in ran), default=None)


def of_task(things: Iterable[JsonObject], task: str) -> list[JsonObject]:
    """The Jobs, or the pods, of one task."""
    return [
        one for one in things if (one["metadata"].get("labels") or {}).get(names.NAME_LABEL, names.STAGING_TASK) == task
    ]


def said(cache: ModelCache, seen: ObservedCache, status: ModelCacheStatus, verdict: Verdict) -> ModelCacheStatus:
    """The status with a verdict in it, and who uses the weights."""
    generation = cache.metadata.generation
    return replace(
        status,
        observed_generation=generation,
        conditions=tuple(verdict.conditions(generation)),
        used_by=users_of(seen),
    )


def users_of(seen: ObservedCache) -> tuple[UserReference, ...] | None:
    """As a status names them. None at all are left out: the API server makes of an empty list in place of a last user
    no list, and of an empty one in place of none an empty one."""
    jobs = [UserReference(names.EMBEDDING_JOB, name) for name in sorted(seen.jobs_using)]
    services = [UserReference(names.EMBEDDING_SERVICE, name) for name in sorted(seen.users)]
    return tuple([*jobs, *services][:_MAX_USERS]) or None


def has_condition(job: JsonObject, kind: str) -> bool:
    """Whether a stored object's condition of that type is True: of a Job, Complete or Failed."""
    return condition_of(job, kind).get("status") == "True"


def job_message(job: JsonObject) -> str:
    """Why a Job failed, in its controller's words."""
    return str(condition_of(job, "Failed").get("message") or "the Job failed")


def name_of(thing: JsonObject) -> str:
    """An object's name."""
    return str(thing["metadata"]["name"])
