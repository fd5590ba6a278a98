"""What the operator would make of a manifest: decided by its own planner, without it and without a write.

What only the cluster would know and nobody told is assumed at its best: the weights are staged, the claim is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from embedding_operator import podscripts
from embedding_operator.api import names
from embedding_operator.api.conditions import Condition, Type, find_condition
from embedding_operator.api.json import JsonObject
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.api.profile import RuntimeProfile
from embedding_operator.api.service import EmbeddingService
from embedding_operator.api.source import ModelSource
from embedding_operator.commands import CommandError
from embedding_operator.planning.choosing import choose_profile
from embedding_operator.planning.observed import Observed
from embedding_operator.planning.plan import Plan, plan_service
from embedding_operator.planning.profiles import BUILT_IN
from embedding_operator.planning.weights import cache_name, model_cache, staged, storage

COMMIT = "COMMIT"  # of the weights: staging finds it out
UNKNOWN_UID = "UID"  # of a service that is not in the cluster yet
ASSUMED_DIGEST = "sha256:" + "0" * 64


@dataclass(frozen=True, slots=True)
class Known:
    """What is looked at beside the service: of files, or of a cluster."""

    profiles: Mapping[str, RuntimeProfile]
    caches: Mapping[tuple[str, str], ModelCache] = field(default_factory=dict)  # by namespace and name
    operator_namespace: str = "default"


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What would come of one service."""

    service: EmbeddingService
    cache: ModelCache  # as it is, or as it would be once staged
    staged: bool  # whether it is so already
    plan: Plan
    profiles: Mapping[str, RuntimeProfile]

    @property
    def title(self) -> str:
        """Whose."""
        return title(self.service)

    @property
    def refused(self) -> Condition | None:
        """Why it would come to nothing, if it would."""
        return find_condition(self.plan.status.conditions, Type.STALLED)

    @property
    def profile(self) -> RuntimeProfile:
        """The profile that it has; there is one where it is not refused."""
        return choose_profile(self.service, self.profiles)

    def objects(self) -> Iterator[JsonObject]:
        """All that would be made, in order, but for Jobs."""
        if self.service.spec.model.source and not self.staged:
            yield model_cache(self.service, self.profile.spec.pod)
        for child in (*self.plan.create, *self.plan.apply):
            yield without_owner(child)


def of_files(manifests: Iterable[JsonObject], operator_namespace: str = "default") -> Known:
    """The built-in profiles and those of the files, which go before; the ModelCaches of the files."""
    own = [obj for obj in manifests if obj["kind"] == names.RUNTIME_PROFILE]
    profiles = {obj["metadata"]["name"]: RuntimeProfile.from_dict(obj) for obj in (*BUILT_IN, *own)}
    return Known(profiles, caches_of(manifests), operator_namespace)


def caches_of(manifests: Iterable[JsonObject]) -> dict[tuple[str, str], ModelCache]:
    """The ModelCaches among them."""
    found = (ModelCache.from_dict(obj) for obj in manifests if obj["kind"] == names.MODEL_CACHE)
    return {(cache.metadata.namespace or "", cache.metadata.name): cache for cache in found}


def foresee(obj: JsonObject, known: Known, seen: Observed | None = None) -> Foreseen:
    """Plan one service. `seen` is what there is of it in the cluster, if it is there."""
    metadata = {"uid": UNKNOWN_UID, "generation": 1} | obj["metadata"]
    service = EmbeddingService.from_dict(obj | {"metadata": metadata})
    there = known.caches.get((service.metadata.namespace or "", cache_name(service)))
    is_staged = staged(there) is not None
    cache = there if there is not None and is_staged else as_if_staged(service, there, title(service))
    observed = replace(
        seen or Observed(profiles=known.profiles, has_claim=False),
        profiles=known.profiles,
        cache=cache,
        script_sources=podscripts.sources(),
        operator_namespace=known.operator_namespace,
    )
    return Foreseen(service, cache, is_staged, plan_service(service, obj["spec"], observed), known.profiles)


def title(service: EmbeddingService) -> str:
    """Which service."""
    return f"EmbeddingService {service.metadata.namespace}/{service.metadata.name}"


def as_if_staged(service: EmbeddingService, there: ModelCache | None, whose: str) -> ModelCache:
    """The ModelCache of a service as it will be. `whose` is for people."""
    name, source = cache_name(service), service.spec.model.source
    if there is not None:
        spec, source = there.spec.to_dict(), there.spec.source
    elif source is not None:
        spec = {"source": source.to_dict(), "storage": storage(service).to_dict()}
    else:
        raise CommandError(
            f"{whose} takes its weights from ModelCache {name}, which is in none of the files: "
            "give its manifest too, with another -f"
        )
    status = {"path": _path(source), "digest": ASSUMED_DIGEST, "revision": COMMIT}
    metadata = {"name": name, "namespace": service.metadata.namespace}
    return ModelCache.from_dict({"metadata": metadata, "spec": spec, "status": status})


def _path(source: ModelSource) -> str:
    if source.path:
        return source.path.path
    return f"{source.kind.lower()}/{source.display.replace('/', '--')}/{COMMIT}"


def without_owner(child: JsonObject) -> JsonObject:
    """An owner that nobody has would have the child collected as soon as it is applied."""
    owners: Sequence[JsonObject] = child["metadata"].get("ownerReferences") or ()
    if all(owner.get("uid") != UNKNOWN_UID for owner in owners):
        return child
    return child | {"metadata": {k: v for k, v in child["metadata"].items() if k != "ownerReferences"}}
