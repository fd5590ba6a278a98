"""Which revision of its pods a service is to run: one that is stored, as long as it serves the spec, else a new one.

A new one is made of the spec, the profile and the weights, once these are proven.
"""

from collections.abc import Mapping
from functools import lru_cache

from embedding_operator.api import names
from embedding_operator.api.conditions import Reason
from embedding_operator.api.json import JsonObject
from embedding_operator.api.profile import RuntimeProfile
from embedding_operator.api.service import EmbeddingService, ResolvedStatus
from embedding_operator.planning import revision, scripts
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.flags import serve_args, serve_flags
from embedding_operator.planning.observed import Observed, replicas_of
from embedding_operator.planning.pod import MODELS_PATH, pod_template
from embedding_operator.planning.resolve import Resolution, resolve
from embedding_operator.planning.revision import Revision
from embedding_operator.planning.weights import TO_COME, Weights, cache_name, is_one_pod, refresh

REFERENCES = frozenset(
    {Reason.PROFILE_NOT_FOUND, Reason.NO_DEFAULT_PROFILE, Reason.CACHE_NOT_FOUND, Reason.SERVICE_NOT_FOUND}
)
"""What is wrong only as long as something else is not there, which may have been applied a moment later."""


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


@lru_cache(maxsize=256)
def profile_hash(profile: RuntimeProfile) -> str:
    """What tells two contents of a profile apart, as far as pods are made of them."""
    return revision.content_hash({field: v for field, v in profile.spec.to_dict().items() if field != "rollout"})


def revision_to_run(
    service: EmbeddingService, spec: JsonObject, seen: Observed, weights: Weights | None
) -> Revision | None:
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
        resolved=resolved_status(resolution, weights),
        weights={"cache": cache_name(service), "revision": weights.revision, "path": weights.path},
        spec=revision.pod_spec(spec),
        refresh=refresh(service) or None,
    )


def refuse_one_pod(service: EmbeddingService, seen: Observed) -> None:
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


def resolved_status(resolution: Resolution, weights: Weights) -> JsonObject:
    """What came of spec, profile and built-in defaults, as a status shows it."""
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
