"""What there is of a service in the cluster, seen as the operator's planner sees it, with the rights of the caller."""

from __future__ import annotations

import argparse

from embedding_operator.api import names
from embedding_operator.api.codec import ApiValueError
from embedding_operator.api.json import JsonObject
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.api.profile import RuntimeProfile
from embedding_operator.api.service import EmbeddingService
from embedding_operator.commands import CommandError
from embedding_operator.commands.foresight import Foreseen, Known, caches_of, foresee
from embedding_operator.commands.jobforesight import ForeseenJob, foresee_job, services_of
from embedding_operator.commands.manifests import jobs, services, with_services
from embedding_operator.commands.session import Session
from embedding_operator.kube.client import KubeClient
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import (
    CLAIMS,
    MODEL_CACHES,
    PODS,
    REVISIONS,
    RUNTIME_PROFILES,
    Object,
    ObjectKey,
    Resource,
)
from embedding_operator.planning import revision
from embedding_operator.planning.observed import Observed


async def foreseen_in_cluster(session: Session, arguments: argparse.Namespace) -> list[Foreseen | ForeseenJob]:
    """What would come of the services and jobs of the files, where their cluster is as it is."""
    manifests = with_services(arguments.filename, session.namespace, or_jobs=True)
    known = await known_in(session.client, manifests, arguments.operator_namespace)
    found: list[Foreseen | ForeseenJob] = [
        foresee(obj, known, await observed(session.client, obj, known))
        for obj in [await with_identity(session.client, one) for one in services(manifests)]
    ]
    for obj in jobs(manifests):
        serving = services_of(manifests) | await _serving(session.client, obj)
        found.append(foresee_job(await with_identity(session.client, obj), known, serving))
    return found


async def _serving(client: KubeClient, obj: JsonObject) -> dict[tuple[str, str], EmbeddingService]:
    """The service that a job names, if it is there and can be read."""
    namespace = str(obj["metadata"]["namespace"])
    name = str(((obj.get("spec") or {}).get("serviceRef") or {}).get("name") or "")
    there = await client.get(ObjectKey(names.EMBEDDING_SERVICE, namespace, name)) if name else None
    try:
        return {(namespace, name): EmbeddingService.from_dict(there)} if there is not None else {}
    except ApiValueError as error:
        raise CommandError(f"EmbeddingService {name} cannot be read: {error}") from None


async def known_in(client: KubeClient, manifests: list[JsonObject], operator_namespace: str = "default") -> Known:
    """Profiles and ModelCaches of the cluster, and of the files, which go before."""
    profiles: dict[str, RuntimeProfile] = {}
    own = [obj for obj in manifests if obj["kind"] == names.RUNTIME_PROFILE]
    for obj in (*(await client.list(RUNTIME_PROFILES)).items, *own):
        try:
            profiles[obj["metadata"]["name"]] = RuntimeProfile.from_dict(obj)
        except ApiValueError:
            continue  # the operator passes it over, too
    caches: dict[tuple[str, str], ModelCache] = {}
    for namespace in sorted({obj["metadata"]["namespace"] for obj in (*services(manifests), *jobs(manifests))}):
        for obj in (await client.list(MODEL_CACHES, namespace)).items:
            try:
                caches[namespace, obj["metadata"]["name"]] = ModelCache.from_dict(obj)
            except ApiValueError:
                continue
    missing = {key: cache for key, cache in caches_of(manifests).items() if key not in caches}
    return Known(profiles, caches | missing, operator_namespace)


async def with_identity(client: KubeClient, obj: JsonObject) -> JsonObject:
    """A manifest as the object that it is in the cluster, if it is there: uid and generation."""
    metadata = obj["metadata"]
    there = await client.get(ObjectKey(obj["kind"], metadata["namespace"], metadata["name"]))
    if there is None:
        return obj
    identity = {field: there["metadata"][field] for field in ("uid", "generation")}
    ours = (names.ROLLBACK_ANNOTATION, names.REFRESH_ANNOTATION)
    kept = {name: v for name, v in (there["metadata"].get("annotations") or {}).items() if name in ours}
    return obj | {"metadata": metadata | identity | {"annotations": kept | (metadata.get("annotations") or {})}}


async def observed(client: KubeClient, obj: JsonObject, known: Known) -> Observed:
    """What the planner looks at beside profiles and weights."""
    namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
    selector = f"{names.SERVICE_LABEL}={name}"
    stored = await _list(client, REVISIONS, namespace, selector)
    claims = await _list(client, CLAIMS, namespace)
    return Observed(
        profiles=known.profiles,
        revisions=[one for one in map(revision.parse, stored) if one],
        deployment=await client.get(ObjectKey("Deployment", namespace, name)),
        pods=await _list(client, PODS, namespace, selector),
        has_claim=names.made_claim_name(name) in {str(one["metadata"]["name"]) for one in claims},
    )


async def _list(client: KubeClient, resource: Resource, namespace: str, selector: str = "") -> list[Object]:
    try:
        return (await client.list(resource, namespace, selector)).items
    except ApiError as error:
        if resource is CLAIMS and error.is_forbidden:  # a claim more is told, and nothing hangs on it
            return []
        raise
