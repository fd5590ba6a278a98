"""What plans of an EmbeddingJob are made from and consist of."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from embedding_operator.api.conditions import Type, is_true
from embedding_operator.api.job import EmbeddingJobStatus
from embedding_operator.api.json import JsonObject
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.api.profile import RuntimeProfile
from embedding_operator.api.service import EmbeddingService
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.jobreport import Page

JOB_NAME = "batch.kubernetes.io/job-name"  # a pod's label, by the Job controller


@dataclass(frozen=True, slots=True)
class ObservedJob:
    """What the cluster shows of one EmbeddingJob. Times are handed in, for planning reads no clock."""

    profiles: Mapping[str, RuntimeProfile] = field(default_factory=dict)
    cache: ModelCache | None = None
    service: EmbeddingService | None = None  # that serviceRef names
    jobs: Sequence[JsonObject] = ()
    pods: Sequence[JsonObject] = ()
    stuck: Collection[str] = ()  # pods that have been where they are for longer than is usual
    pages: Mapping[str, Page] | None = None  # what pods show of their progress, by name; None where nobody looked
    script_sources: Mapping[str, str] = field(default_factory=dict)
    may_come: bool = False  # what it refers to may be applied in a moment, so that its absence needs no person yet
    refused: PlanError | None = None  # what the API server or a stranger's object had against the last plan
    now: str = ""
    started_for: int = 0  # seconds since status.startTime
    ended_for: int = 0  # seconds since it was complete, or failed

    def job(self, name: str) -> JsonObject | None:
        """One of its Jobs, if it is there."""
        return next((job for job in self.jobs if job["metadata"]["name"] == name), None)

    def pods_of(self, job: str) -> list[JsonObject]:
        """The pods of one of its Jobs."""
        return [pod for pod in self.pods if (pod["metadata"].get("labels") or {}).get(JOB_NAME) == job]


@dataclass(frozen=True, slots=True)
class JobPlan:
    """Delete Jobs (by name), apply and create objects, patch Jobs (by name), then write the status; look again after so
    many seconds, or delete the EmbeddingJob itself (its time is over)."""

    status: EmbeddingJobStatus
    delete: tuple[str, ...] = ()
    apply: tuple[JsonObject, ...] = ()
    create: tuple[JsonObject, ...] = ()
    patch: tuple[tuple[str, JsonObject], ...] = ()
    requeue_after: float | None = None
    lacks_reference: bool = False  # which ObservedJob.may_come is about
    expired: bool = False


def is_over(status: EmbeddingJobStatus) -> bool:
    """Whether nothing more is done: it is complete, or has failed."""
    return status.completion_time is not None or is_true(status.conditions, Type.FAILED)
