"""From a service to its weights: the ModelCache that it shares, and where its pods find the files.

Services that name the same source on the same volume derive the same name, and so share one ModelCache.
"""

from dataclasses import dataclass

from embedding_operator.api import names
from embedding_operator.api.json import JsonObject
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.api.profile import ProfilePod
from embedding_operator.api.service import EmbeddingService
from embedding_operator.api.source import Storage
from embedding_operator.planning.resolve import node_selector, tolerations


@dataclass(frozen=True, slots=True)
class Weights:
    """Staged and verified weights, as a pod mounts them."""

    cache: str  # the ModelCache's name
    claim: str
    claim_path: str  # from the claim's root: storage.subPath and the path of this revision
    path: str  # from the storage's root
    revision: str
    digest: str
    one_node: bool = False  # the claim can be mounted on one node only, as far as is known


TO_COME = Weights(cache="", claim="", claim_path="", path="", revision="", digest="")  # what is not staged yet


def cache_name(service: EmbeddingService) -> str:
    """The ModelCache of a service: the one it refers to, or the one that its source and storage derive."""
    model = service.spec.model
    if model.cache_ref is not None:
        return model.cache_ref.name
    assert model.source is not None
    return names.model_cache_name(model.source, storage(service), refresh(service))


def holds(cache: ModelCache, service: EmbeddingService) -> bool:
    """Whether a cache is of the source and on the volume that the service names: somebody else, who may not say what
    it serves, can have made one of the name that these derive, or another source of the same name.
    """
    asked, held = service.spec.model.source, cache.spec.source
    if asked is None:
        return True
    return (held == asked or held.canonical() == asked.canonical()) and cache.spec.storage == storage(service)


def refresh(service: EmbeddingService) -> str:
    """What the service's annotation says: a value that is new asks for a new look at a branch, for it alone."""
    return (service.metadata.annotations or {}).get(names.REFRESH_ANNOTATION) or ""


def storage(service: EmbeddingService) -> Storage:
    """Where the weights of a service with a source live."""
    cache = service.spec.cache
    assert cache is not None
    return Storage(cache.claim_name or names.made_claim_name(service.metadata.name), cache.sub_path)


def model_cache(service: EmbeddingService, pod: ProfilePod) -> JsonObject:
    """The ModelCache that this service asks for. It has no owner: weights are never deleted by the way.

    The stager runs where the pods will (node selector and tolerations of profile and service), so that a volume
    that waits for its first consumer binds in reach of them.
    """
    assert service.spec.model.source is not None
    assert service.spec.cache is not None
    security = service.spec.cache.security_context
    stager: JsonObject = {
        "nodeSelector": node_selector(service, pod),
        "tolerations": list(tolerations(service, pod)),
        "securityContext": security.to_dict() if security else {},
    }
    stager = {field: value for field, value in stager.items() if value}
    cache = service.spec.cache
    fate: JsonObject = {"deletionPolicy": cache.deletion_policy, "ttlAfterUnused": cache.ttl_after_unused}
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.MODEL_CACHE,
        "metadata": {
            "name": cache_name(service),
            "namespace": service.metadata.namespace,
            "labels": {names.MANAGED_BY_LABEL: names.FIELD_MANAGER},
        }
        | ({"annotations": {names.REFRESH_ANNOTATION: refresh(service)}} if refresh(service) else {}),
        "spec": {
            "source": service.spec.model.source.canonical(),
            "storage": storage(service).to_dict(),
        }
        | {field: value for field, value in fate.items() if value}
        | ({"stager": stager} if stager else {}),
    }


def made_claim(service: EmbeddingService) -> JsonObject | None:
    """The PersistentVolumeClaim of a `claimTemplate`, or None. Created once, never changed, never deleted by us."""
    template = service.spec.cache.claim_template if service.spec.cache else None
    if template is None:
        return None
    spec: JsonObject = {
        "accessModes": list(template.access_modes or ("ReadWriteMany",)),
        "resources": {"requests": {"storage": template.size}},
    }
    if template.storage_class_name is not None:
        spec["storageClassName"] = template.storage_class_name
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": names.made_claim_name(service.metadata.name),
            "namespace": service.metadata.namespace,
            "labels": {
                names.MANAGED_BY_LABEL: names.FIELD_MANAGER,
                names.SERVICE_LABEL: service.metadata.name,
            },
        },
        "spec": spec,
    }


def staged(cache: ModelCache | None) -> Weights | None:
    """The weights of a cache once they are proven, and while nobody takes them away; else None."""
    if cache is None or cache.status.path is None or cache.status.digest is None:
        return None
    if cache.metadata.deletion_timestamp is not None:
        return None
    place = cache.spec.storage
    return Weights(
        cache=cache.metadata.name,
        claim=place.claim_name,
        claim_path="/".join(part for part in (place.sub_path, cache.status.path) if part),
        path=cache.status.path,
        revision=cache.status.revision or "",
        digest=cache.status.digest,
        one_node=is_one_node(cache),
    )


def is_one_node(cache: ModelCache) -> bool:
    """Whether all pods that mount the claim must be on one node; where nobody has looked, they need not."""
    modes = cache.status.access_modes or ()
    return bool(modes) and not any(mode.endswith("Many") for mode in modes)


def is_one_pod(cache: ModelCache | None) -> bool:
    """Whether one pod at a time can mount the claim."""
    return cache is not None and tuple(cache.status.access_modes or ()) == ("ReadWriteOncePod",)
