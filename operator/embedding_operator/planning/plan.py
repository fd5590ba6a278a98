"""From an EmbeddingService and what was observed to what must be applied: the heart of the operator, and pure.

    observed ─► profile ─► weights ─► revision ─► children ─► status

It never talks to the API server, reads no clock and rolls no dice: same input, same plan.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from embedding_operator.api import names
from embedding_operator.api.conditions import Reason
from embedding_operator.api.json import JsonObject
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.api.profile import RuntimeProfile
from embedding_operator.api.service import EmbeddingService, EmbeddingServiceStatus, ResolvedStatus
from embedding_operator.planning import exposure, revision, scripts
from embedding_operator.planning.deployment import deployment
from embedding_operator.planning.devicehealth import Ill, Replacing, replacing
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.flags import serve_args, serve_flags
from embedding_operator.planning.owner import owner_reference
from embedding_operator.planning.pod import MODELS_PATH, pod_template
from embedding_operator.planning.resolve import Resolution, resolve
from embedding_operator.planning.revision import Revision
from embedding_operator.planning.rolling import Rolling, Situation, budget, rolling
from embedding_operator.planning.status import Facts, service_status
from embedding_operator.planning.weights import TO_COME, Weights, cache_name, is_one_pod, made_claim, refresh, staged

DEFAULT_HISTORY = 5


@dataclass(frozen=True, slots=True)
class Observed:
    """What the cluster shows of one service, read from the cache."""

    profiles: Mapping[str, RuntimeProfile]
    cache: ModelCache | None = None
    revisions: Sequence[Revision] = ()
    deployment: JsonObject | None = None
    has_budget: bool = False
    has_claim: bool = False
    pods: Sequence[JsonObject] = ()
    stuck: frozenset[str] = frozenset()  # pods that have been where they are for longer than is usual
    is_replacing: bool = False  # its Deployment gives a pod up first, in a rollout that is under way
    has_waited: bool = False  # its newest pods have lacked a device for long (rolling.PATIENCE)
    holders: Sequence[str] = ()  # where pods have the claim mounted, if one node at a time can
    script_sources: Mapping[str, str] = field(default_factory=dict)
    may_follow: bool = False  # it is this service's turn to adopt what its profile says now
    refused: PlanError | None = None  # what the API server or a stranger's object had against the last plan


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: `create` once and `apply` in order, then `delete` (kind and name), then write the status."""

    status: EmbeddingServiceStatus
    create: tuple[JsonObject, ...] = ()
    apply: tuple[JsonObject, ...] = ()
    delete: tuple[tuple[str, str], ...] = ()
    evict: Ill | None = None  # a pod whose device is unhealthy, once another one serves in its place
    lacks_device: bool = False  # which Observed.has_waited is about


def plan_service(service: EmbeddingService, spec_as_written: JsonObject, seen: Observed) -> Plan:
    """Plan one service. `spec_as_written` is the stored spec, whose hash decides about a new revision."""
    problem = seen.refused
    wanted = staged(seen.cache)
    chosen = revision.current(seen.revisions)
    try:
        _refuse_one_pod(service, seen)
        chosen = _revision(service, spec_as_written, seen, wanted)
    except PlanError as error:
        problem = error
    claim = made_claim(service) if not seen.has_claim else None
    digest = wanted.digest if wanted else None
    pending = chosen is None or not chosen.serves(revision.spec_hash(spec_as_written), digest)
    replaced = _replaced(service, seen)
    rolls = _rolling(service, seen, chosen) if chosen else Rolling()
    facts = _facts(service, seen, chosen, wanted, replaced, pending=pending, problem=problem, rolls=rolls)
    status = service_status(service, facts)
    children = _children(service, seen, chosen, rolls, replaced.extra) if chosen else ()
    return Plan(
        status=status,
        create=(claim,) if claim else (),
        apply=children,
        delete=_leftovers(service, seen, chosen),
        evict=replaced.evict,
        lacks_device=rolls.lacks_device,
    )


def choose_profile(service: EmbeddingService, profiles: Mapping[str, RuntimeProfile]) -> RuntimeProfile:
    """The profile a service names, or the one annotated as default. Raises PlanError where there is none."""
    name = service.spec.runtime.profile
    known = ", ".join(sorted(profiles)) or "none"
    if name is not None:
        if name not in profiles:
            raise PlanError(
                Reason.PROFILE_NOT_FOUND,
                f"spec.runtime.profile names {name!r}, which does not exist: write one of those that do: {known}",
            )
        return profiles[name]
    defaults = [profile for profile in profiles.values() if profile.is_default]
    if len(defaults) != 1:
        raise PlanError(
            Reason.NO_DEFAULT_PROFILE,
            f"spec.runtime.profile is not set and {len(defaults)} RuntimeProfiles carry the annotation "
            f"{names.DEFAULT_PROFILE_ANNOTATION}=true: write spec.runtime.profile, one of those that exist: {known}",
        )
    return defaults[0]


def profile_hash(profile: RuntimeProfile) -> str:
    """What tells two contents of a profile apart, as far as pods are made of them."""
    return revision.content_hash({field: v for field, v in profile.spec.to_dict().items() if field != "rollout"})


def _revision(service: EmbeddingService, spec: JsonObject, seen: Observed, weights: Weights | None) -> Revision | None:
    """The revision to run: the current one while it serves the spec, else a new one once its weights are staged."""
    wanted = revision.spec_hash(spec)
    present = revision.current(seen.revisions)
    number = present.number + 1 if present else 1
    held = revision.held(seen.revisions, rollback_to(service), wanted, weights.digest if weights else None)
    if held is not None:
        return held if held is present else revision.raised(held, number)
    if present and present.serves(wanted, weights.digest if weights else None) and not seen.may_follow:
        return present
    profile = choose_profile(service, seen.profiles)
    source = seen.cache.spec.source if seen.cache else service.spec.model.source
    if source is None:
        _refuse_reference(service, seen)
        return present
    resolution = resolve(service, profile, source, seen.cache.status.context_length if seen.cache else None)
    serve_flags(resolution)  # what cannot work is said now, not after an hour of staging
    if weights is None:
        pod_template(service.metadata.name, "", resolution, TO_COME, "")  # the same of spec.runtime.podTemplate
        return present  # a live service stays on its old weights until the new ones are proven
    content = profile_hash(profile)
    name = revision.revision_name(service.metadata.name, wanted, content, weights.digest)
    earlier = next((stored for stored in seen.revisions if stored.name == name), None)
    if earlier is not None:
        return revision.raised(earlier, number)
    scripts_name = scripts.config_map_name(seen.script_sources)
    return Revision(
        name=name,
        number=number,
        spec_hash=wanted,
        profile_hash=content,
        digest=weights.digest,
        scripts=scripts_name,
        template=pod_template(service.metadata.name, name, resolution, weights, scripts_name),
        resolved=_resolved_status(resolution, weights),
        weights={"cache": cache_name(service), "revision": weights.revision, "path": weights.path},
        spec=revision.pod_spec(spec),
        refresh=refresh(service) or None,
    )


def _refuse_one_pod(service: EmbeddingService, seen: Observed) -> None:
    """More replicas than can mount the claim: the others would wait for ever."""
    if seen.cache is not None and is_one_pod(seen.cache) and replicas_of(service) > 1:
        raise PlanError(
            Reason.CLAIM_NOT_SHARED,
            f"claim {seen.cache.spec.storage.claim_name!r} is ReadWriteOncePod, so one pod can mount it and not "
            f"{replicas_of(service)}: write spec.replicas: 1, or use a ReadWriteMany claim",
        )


def _refuse_reference(service: EmbeddingService, seen: Observed) -> None:
    """A cacheRef without its ModelCache: said here, unless it is there and could not be read."""
    if seen.refused is None:
        raise PlanError(
            Reason.CACHE_NOT_FOUND,
            f"spec.model.cacheRef names ModelCache {cache_name(service)!r}, which does not exist in this namespace: "
            "create it, or write spec.model.source and spec.cache instead",
        )


def _resolved_status(resolution: Resolution, weights: Weights) -> JsonObject:
    return ResolvedStatus(
        image=resolution.image,
        vllm=resolution.version,
        dtype=resolution.dtype,
        resource_name=resolution.resource_name,
        profile=resolution.profile,
        chip=resolution.chip or None,
        family=resolution.family.name if resolution.family else None,
        task=resolution.task,
        context_length=resolution.context,
        prompt_format=resolution.prompt_format if resolution.prompt_format != "Raw" else None,
        args=tuple(serve_args(resolution, f"{MODELS_PATH}/{weights.path}")),
    ).to_dict()


def rollback_to(service: EmbeddingService) -> str:
    """The name of the revision that somebody went back to, as the service's annotation says."""
    return (service.metadata.annotations or {}).get(names.ROLLBACK_ANNOTATION) or ""


def replicas_of(service: EmbeddingService) -> int:
    """How many pods there should be now."""
    if service.spec.suspend:
        return 0
    return 1 if service.spec.replicas is None else service.spec.replicas


def _replaced(service: EmbeddingService, seen: Observed) -> Replacing:
    one_pod = seen.cache is not None and is_one_pod(seen.cache)
    return replacing(seen.pods, replicas_of(service), seen.deployment, one_pod=one_pod)


def _children(
    service: EmbeddingService, seen: Observed, chosen: Revision, rolls: Rolling, extra: int
) -> tuple[JsonObject, ...]:
    """What is applied, in an order in which nothing refers to what is not there yet."""
    name, replicas = service.metadata.name, replicas_of(service)
    metadata: JsonObject = {
        "name": name,
        "namespace": service.metadata.namespace,
        "labels": names.service_labels(name),
        "ownerReferences": [owner_reference(names.EMBEDDING_SERVICE, service.metadata)],
    }
    children = [
        revision.controller_revision(metadata, chosen),
        exposure.service_object(
            metadata, name, service.spec.exposure.service, exposure.scheme_of(service.spec.exposure)
        ),
        deployment(metadata, name, template=chosen.template, replicas=replicas + extra, rolling=rolls),
    ]
    if keeps := budget(service.spec.rollout, replicas):
        children.append(exposure.disruption_budget(metadata, name, keeps))
    if chosen.scripts == scripts.config_map_name(seen.script_sources):
        children.insert(0, scripts.config_map(service.metadata.namespace or "", seen.script_sources))
    return tuple(children)


def _rolling(service: EmbeddingService, seen: Observed, chosen: Revision) -> Rolling:
    return rolling(
        service.spec.rollout,
        Situation(
            replicas=replicas_of(service),
            resource=chosen.resolved.get("resourceName") or "",
            revision=chosen.name,
            deployment=seen.deployment,
            pods=seen.pods,
            replacing=seen.is_replacing,
            waited=seen.has_waited,
        ),
    )


def _leftovers(service: EmbeddingService, seen: Observed, chosen: Revision | None) -> tuple[tuple[str, str], ...]:
    """What is ours and not wanted any more."""
    limit = service.spec.rollout.revision_history_limit
    used = {pod["metadata"].get("annotations", {}).get(revision.ANNOTATION, "") for pod in seen.pods}
    if chosen:
        used.add(chosen.name)
    expired = revision.expired(seen.revisions, keep=used, limit=DEFAULT_HISTORY if limit is None else limit)
    gone = [("ControllerRevision", old.name) for old in expired]
    if seen.has_budget and budget(service.spec.rollout, replicas_of(service)) is None:
        gone.append(("PodDisruptionBudget", service.metadata.name))
    return tuple(gone)


def _facts(
    service: EmbeddingService,
    seen: Observed,
    chosen: Revision | None,
    weights: Weights | None,
    replaced: Replacing,
    *,
    pending: bool,
    problem: PlanError | None,
    rolls: Rolling,
) -> Facts:
    exposed = service.spec.exposure.service
    profile = seen.profiles.get(chosen.resolved.get("profile", "")) if chosen else None
    return Facts(
        replicas=replicas_of(service),
        weights=weights,
        cache=seen.cache,
        cache_name=cache_name(service),
        revision=chosen,
        deployment=seen.deployment,
        pods=seen.pods,
        stuck=seen.stuck,
        holders=seen.holders,
        replaced=replaced,
        pending=pending,
        problem=problem,
        note=rolls.note,
        newer_profile=bool(chosen and profile and profile_hash(profile) != chosen.profile_hash),
        held=chosen is not None and chosen.name == rollback_to(service),
        follows=profile.spec.rollout.max_concurrent or 1 if profile and profile.follows else 0,
        endpoint=exposure.endpoint(
            service.metadata.name,
            service.metadata.namespace or "",
            exposed.port or exposure.DEFAULT_PORT,
            exposure.scheme_of(service.spec.exposure),
        ),
    )
