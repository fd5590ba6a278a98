"""What the operator would make of an EmbeddingJob: its three Jobs, as far as they are known before anything runs.

How the input is cut is found out by the first of them; that there is work for all workers is assumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from embedding_operator import __version__, podscripts
from embedding_operator.api import names
from embedding_operator.api.conditions import Condition, Reason, Type
from embedding_operator.api.job import EmbeddingJob
from embedding_operator.api.json import JsonObject
from embedding_operator.api.service import EmbeddingService
from embedding_operator.commands import CommandError
from embedding_operator.commands.foresight import (
    ASSUMED_DIGEST,
    COMMIT,
    UNKNOWN_UID,
    Known,
    as_if_staged,
    without_owner,
)
from embedding_operator.planning.choosing import choose_profile
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.jobbasis import Basis, basis_of
from embedding_operator.planning.jobdoc import key_of, shard_bytes
from embedding_operator.planning.jobphases import finish_job, index_count, split_job, work_job
from embedding_operator.planning.jobservice import as_service
from embedding_operator.planning.jobstate import ObservedJob
from embedding_operator.planning.stagejob import StagingSite
from embedding_operator.planning.weights import cache_name, model_cache, staged

IMAGE = f"embedding-operator:{__version__}"  # whose pods are the operator's own: an installation says which
_MANY = 1_000_000  # shards

Services = Mapping[tuple[str, str], EmbeddingService]


@dataclass(frozen=True, slots=True)
class ForeseenJob:
    """What would come of one job."""

    job: EmbeddingJob
    seen: ObservedJob
    basis: Basis | None
    refused: Condition | None

    @property
    def title(self) -> str:
        """Whose."""
        return title(self.job)

    def objects(self) -> Iterator[JsonObject]:
        """All that would be made, in order."""
        job, seen, basis = self.job, self.seen, self.basis
        if basis is None:
            return
        if job.spec.model is not None and job.spec.model.source is not None and not _is_there(seen):
            service = as_service(job)
            yield model_cache(service, choose_profile(service, seen.profiles).spec.pod)
        key = key_of(job, basis.served)
        given = (job, StagingSite(IMAGE), basis, key, seen)
        yield without_owner(split_job(*given))
        work, scripts = work_job(*given, index_count(job, _MANY))
        if scripts is not None:
            yield scripts
        yield without_owner(work)
        yield without_owner(finish_job(*given))


def title(job: EmbeddingJob) -> str:
    """Which job."""
    return f"EmbeddingJob {job.metadata.namespace}/{job.metadata.name}"


def foresee_job(obj: JsonObject, known: Known, services: Services) -> ForeseenJob:
    """Plan one job."""
    job = EmbeddingJob.from_dict(obj | {"metadata": {"uid": UNKNOWN_UID, "generation": 1} | obj["metadata"]})
    namespace = job.metadata.namespace or ""
    seen = ObservedJob(profiles=known.profiles, script_sources=podscripts.sources())
    if job.spec.service_ref is not None:
        seen = replace(seen, service=_serving(job, services.get((namespace, job.spec.service_ref.name))))
    else:
        service = as_service(job)
        there = known.caches.get((namespace, cache_name(service)))
        is_staged = staged(there) is not None
        seen = replace(seen, cache=there if is_staged else as_if_staged(service, there, title(job)))
    try:
        basis = basis_of(job, seen, StagingSite(IMAGE))
        shard_bytes(job)
    except PlanError as error:
        return ForeseenJob(job, seen, None, Condition(Type.STALLED, "True", error.reason, error.message))
    if not isinstance(basis, Basis):  # what is assumed leaves nothing to wait for
        return ForeseenJob(job, seen, None, Condition(Type.STALLED, "True", basis.reason, basis.message))
    return ForeseenJob(job, seen, basis, None)


def _is_there(seen: ObservedJob) -> bool:
    return seen.cache is not None and seen.cache.status.revision != COMMIT


def _serving(job: EmbeddingJob, service: EmbeddingService | None) -> EmbeddingService:
    """The service as it is where it serves, or as it would."""
    assert job.spec.service_ref is not None
    if service is None:
        name = job.spec.service_ref.name
        raise CommandError(
            f"{title(job)} is embedded by EmbeddingService {name}, which is in none of the files: give its manifest "
            "too, with another -f"
        )
    if service.status.model.digest:
        return service
    available = Condition(Type.AVAILABLE, "True", Reason.MINIMUM_AVAILABLE)
    status = replace(service.status, conditions=(available,))
    return replace(service, status=replace(status, model=replace(status.model, digest=ASSUMED_DIGEST, revision=COMMIT)))


def services_of(manifests: list[JsonObject]) -> dict[tuple[str, str], EmbeddingService]:
    """The services of the files."""
    found = (EmbeddingService.from_dict(obj) for obj in manifests if obj["kind"] == names.EMBEDDING_SERVICE)
    return {(one.metadata.namespace or "", one.metadata.name): one for one in found}
