"""What an EmbeddingJob embeds by: weights on pods of its own, or a running service; or what it still waits for.

It refuses with a PlanError what cannot work, before anything is made.
"""

from dataclasses import dataclass, field, replace

from embedding_operator.api.conditions import Reason, Type, find_condition, is_true
from embedding_operator.api.job import EmbeddingJob
from embedding_operator.api.json import JsonObject
from embedding_operator.api.service import EmbeddingService, ModelStatus, ResolvedStatus
from embedding_operator.planning import scripts
from embedding_operator.planning.choosing import choose_profile, resolved_status
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.exposure import endpoint
from embedding_operator.planning.flags import serve_flags
from embedding_operator.planning.jobdoc import Served
from embedding_operator.planning.jobpods import OWN_SERVER, SERVICE_CA_FILE, driver_template, worker_template
from embedding_operator.planning.jobservice import as_service, in_words_of_job
from embedding_operator.planning.jobstate import ObservedJob
from embedding_operator.planning.resolve import Resolution, node_selector, resolve, tolerations
from embedding_operator.planning.spread import constraints_of_job
from embedding_operator.planning.stagejob import StagingSite
from embedding_operator.planning.status import waiting_for_weights
from embedding_operator.planning.verdict import Verdict
from embedding_operator.planning.weights import TO_COME, Weights, cache_name, is_one_pod, staged

_IN_FLIGHT = 32  # requests of one worker at a service, where nobody says


@dataclass(frozen=True, slots=True)
class Basis:
    """All that the Jobs are made from beside the job itself."""

    served: Served
    model: ModelStatus
    resolved: ResolvedStatus
    where: JsonObject = field(default_factory=dict)  # node selector and tolerations of pods without a server
    server: str = OWN_SERVER
    own: tuple[Resolution, Weights] | None = None

    def worker(self, job: EmbeddingJob, site: StagingSite, args: list[str], scripts_name: str) -> JsonObject:
        """The template of a worker."""
        if self.own is None:
            return driver_template(job, site, args, self.where | _scheduling(job))
        resolved, weights = self.own
        return worker_template(job, site, args, resolved, weights, scripts_name)

    def bound(self, job: EmbeddingJob, workers: int) -> list[str]:
        """What a worker is told of a service that others use, too. Its share of the bound, one at least."""
        if self.own is not None or job.spec.service_ref is None:
            return []
        most = job.spec.service_ref.max_in_flight
        share = _IN_FLIGHT if most is None else max(1, most // max(1, workers))
        trusts = ["--ca-file", SERVICE_CA_FILE] if job.spec.service_ref.ca_bundle_ref else []
        return ["--max-in-flight", str(share), *trusts]


def basis_of(job: EmbeddingJob, seen: ObservedJob, site: StagingSite) -> Basis | Verdict:
    """What it embeds by, or what it waits for. Raises PlanError."""
    if job.spec.service_ref is not None:
        return _of_service(job, job.spec.service_ref.name, seen)
    try:
        return _of_model(job, seen, site)
    except PlanError as error:
        raise PlanError(error.reason, in_words_of_job(error.message)) from error


def _of_model(job: EmbeddingJob, seen: ObservedJob, site: StagingSite) -> Basis | Verdict:
    service = as_service(job)
    name = cache_name(service)
    profile = choose_profile(service, seen.profiles)
    source = seen.cache.spec.source if seen.cache else service.spec.model.source
    if source is None:
        raise PlanError(
            Reason.CACHE_NOT_FOUND,
            f"spec.model.cacheRef names ModelCache {name!r}, which does not exist in this namespace: create it, or "
            "write spec.model.source and spec.cache instead",
        )
    resolved = resolve(service, profile, source, seen.cache.status.context_length if seen.cache else None)
    resolved = replace(resolved, prompt=None)  # the driver's, as nobody else asks this server
    serve_flags(resolved)  # what cannot work is said now, not after an hour of staging
    if seen.cache is not None and is_one_pod(seen.cache) and (job.spec.parallelism or 1) > 1:
        raise PlanError(
            Reason.CLAIM_NOT_SHARED,
            f"claim {seen.cache.spec.storage.claim_name!r} is ReadWriteOncePod, so one pod can mount it: write "
            "spec.parallelism: 1, or use a ReadWriteMany claim",
        )
    weights = staged(seen.cache)
    if weights is None:
        worker_template(job, site, [], resolved, TO_COME, scripts.config_map_name(seen.script_sources))
        return waiting_for_weights(name, seen.cache)
    return Basis(
        served=Served(
            served_name=resolved.served_names[0],
            digest=weights.digest,
            source=source.display,
            revision=weights.revision or None,
            image=resolved.image,
            version=resolved.version,
            dtype=resolved.dtype,
            prompt_format=resolved.prompt_format,
            instruction=job.spec.instruction,
            args=job.spec.runtime.args or (),
        ),
        model=ModelStatus(name, weights.revision or None, weights.digest, weights.path),
        resolved=ResolvedStatus.from_dict(resolved_status(resolved, weights)),
        where=_present(
            {
                "nodeSelector": node_selector(service, profile.spec.pod),
                "tolerations": list(tolerations(service, profile.spec.pod)),
            }
        ),
        own=(resolved, weights),
    )


def _of_service(job: EmbeddingJob, name: str, seen: ObservedJob) -> Basis | Verdict:
    service = seen.service
    if service is None:
        raise PlanError(
            Reason.SERVICE_NOT_FOUND,
            f"spec.serviceRef names EmbeddingService {name!r}, which does not exist in this namespace: create it, or "
            "write one that does",
        )
    _refuse_service(job, service)
    if (silent := service_is_silent(job, seen)) is not None:
        return Verdict(Reason.WAITING_FOR_SERVICE, silent)
    status = service.status
    source, resolved = service.spec.model.source, status.resolved
    return Basis(
        served=Served(
            served_name=service.spec.model.served_name or (source.default_served_name if source else name),
            digest=status.model.digest or "",  # one that answers has it
            source=source.display if source else None,
            revision=status.model.revision,
            space=status.embedding_space.id,
            image=resolved.image,
            version=resolved.vllm,
            dtype=resolved.dtype,
            prompt_format=service.spec.serving.prompt_format or "Raw",
            instruction=_instruction(job, service),
        ),
        model=status.model,
        resolved=resolved,
        where=_present(
            {
                "nodeSelector": dict(job.spec.scheduling.node_selector or {}),
                "tolerations": [one.to_dict() for one in job.spec.scheduling.tolerations or ()],
            }
        ),
        server=endpoint(name, service.metadata.namespace or "", service.spec.exposure).removesuffix("/v1"),
    )


def service_is_silent(job: EmbeddingJob, seen: ObservedJob) -> str | None:
    """That the service which embeds answers nobody, and why as far as it is known; None where it does, or none is
    needed."""
    if job.spec.service_ref is None:
        return None
    name, service = job.spec.service_ref.name, seen.service
    if service is None:
        return f"EmbeddingService {name} is gone"
    if service.status.model.digest and is_true(service.status.conditions, Type.AVAILABLE):
        return None
    ready = find_condition(service.status.conditions, Type.READY)
    return f"EmbeddingService {name} answers no requests" + (f": {ready.reason}" if ready else " yet")


def _refuse_service(job: EmbeddingJob, service: EmbeddingService) -> None:
    name, spec = service.metadata.name, service.spec
    task, wanted = spec.task or "Embed", job.spec.task or "Embed"
    if task != wanted:
        raise _invalid(
            f"spec.task is {wanted}, and EmbeddingService {name} is for {task}", f"write a service for {wanted}"
        )
    if spec.serving.prompt_format == "Model" and job.spec.instruction not in (None, spec.serving.instruction):
        raise _invalid(
            f"spec.instruction is set, and EmbeddingService {name} puts text into its model's format with its own",
            "remove it, or write spec.model in place of spec.serviceRef",
        )
    reference = job.spec.service_ref
    assert reference is not None
    if spec.exposure.api_key_secret_ref and reference.api_key_secret_ref is None:
        raise _invalid(
            f"EmbeddingService {name} lets in who has a key",
            f"write spec.serviceRef.apiKeySecretRef with a key of Secret {spec.exposure.api_key_secret_ref.name}",
        )
    if spec.exposure.tls.secret_ref and reference.ca_bundle_ref is None:
        raise _invalid(
            f"EmbeddingService {name} has a certificate, which somebody must have signed",
            "write spec.serviceRef.caBundleRef with a key of a ConfigMap that holds the authority's",
        )


def _invalid(what: str, cure: str) -> PlanError:
    return PlanError(Reason.INVALID_SPEC, f"{what}: {cure}")


def _instruction(job: EmbeddingJob, service: EmbeddingService) -> str | None:
    """The job's own, else that with which the service puts text into its model's format."""
    its = service.spec.serving
    return its.instruction if its.prompt_format == "Model" and job.spec.instruction is None else job.spec.instruction


def _scheduling(job: EmbeddingJob) -> JsonObject:
    """What a worker without a server asks of the scheduler, beside its node."""
    wanted = job.spec.scheduling
    return _present(
        {
            "topologySpreadConstraints": constraints_of_job(job.metadata.name, wanted.topology_spread),
            "affinity": wanted.affinity,
            "priorityClassName": wanted.priority_class_name,
            "schedulerName": wanted.scheduler_name,
        }
    )


def _present(fields: JsonObject) -> JsonObject:
    return {name: value for name, value in fields.items() if value}
