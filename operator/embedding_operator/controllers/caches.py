"""The controller of ModelCaches: makes those that services ask for, and stages each once."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from embedding_operator.api import names
from embedding_operator.api.codec import ApiValueError
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.api.profile import RuntimeProfile
from embedding_operator.api.service import EmbeddingService
from embedding_operator.controllers import routing
from embedding_operator.controllers.context import Context
from embedding_operator.controllers.outcomes import outcome
from embedding_operator.controllers.progress import fetch_progress
from embedding_operator.controllers.refusal import problem_of, refuse, try_again
from embedding_operator.controllers.services import holders, profiles_known
from embedding_operator.controllers.staged import count_staging
from embedding_operator.controllers.status import now, seconds_since, write_status
from embedding_operator.controllers.stuck import stuck
from embedding_operator.kube.errors import ApiError, NameTaken
from embedding_operator.kube.owners import belongs_to
from embedding_operator.kube.resources import PODS, Object, ObjectKey
from embedding_operator.planning.cacheplan import (
    has_ended_in_silence,
    needs_claim_check,
    plan_cache,
    running_pod,
    waits,
)
from embedding_operator.planning.cachestate import CachePlan, ObservedCache, of_task
from embedding_operator.planning.choosing import choose_profile
from embedding_operator.planning.ending import needs_cleanup, reads_files_of
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.sharing import is_made
from embedding_operator.planning.weights import model_cache

_TRIES = 12  # of a clean-up that is forbidden, in three to seven minutes: then its files stay, and the ModelCache goes


async def reconcile_cache(context: Context, key: ObjectKey) -> float | None:
    """Bring one ModelCache closer to staged weights. Returns the seconds until it must be looked at again."""
    obj = context.cache.get(key)
    if obj is None:
        await _make(context, key)
        return None
    if obj["metadata"].get("deletionTimestamp") and names.CLEANUP_FINALIZER not in obj["metadata"].get(
        "finalizers", ()
    ):
        return None
    before = outcome(obj)
    try:
        return await _reconcile(context, key, obj)
    finally:
        after = context.cache.get(key)
        if after is not None and outcome(after) != before:
            for user in context.users.of(key):
                context.queue.add(user)


async def _reconcile(context: Context, key: ObjectKey, obj: Object) -> float | None:
    try:
        cache = context.views.of(obj, ModelCache)
    except ApiValueError as error:
        await refuse(context, obj, str(error))
        return None
    seen = await _observe(context, key, cache)
    plan = _plan(context, cache, seen)
    try:
        await _execute(context, key, plan)
    except (NameTaken, ApiError) as error:
        against = _against(context, key, cache, seen, error)
        if against is None:
            raise
        plan = _plan(context, cache, against)
        await _conclude(context, key, obj, cache, plan)
        return None if needs_cleanup(cache) and not against.may_pass else try_again(error)
    await _conclude(context, key, obj, cache, plan)
    return 0.0 if plan.patch else plan.requeue_after  # what was patched is looked at as it is now


def _against(
    context: Context, key: ObjectKey, cache: ModelCache, seen: ObservedCache, error: NameTaken | ApiError
) -> ObservedCache | None:
    """What was seen, with what the API server had against the plan; None where another try may do."""
    forbidden = isinstance(error, ApiError) and error.is_forbidden
    if needs_cleanup(cache) and isinstance(error, ApiError) and error.is_namespace_ending:
        return replace(seen, namespace_ends=True)
    problem = problem_of(error)
    if problem is None:
        return None
    return replace(seen, refused=problem, may_pass=forbidden and context.queue.failures(key) < _TRIES)


def _plan(context: Context, cache: ModelCache, seen: ObservedCache) -> CachePlan:
    return plan_cache(cache, seen, context.settings.staging)


async def _execute(context: Context, key: ObjectKey, plan: CachePlan) -> None:
    for kind, name in plan.delete:
        leftover = context.cache.get(ObjectKey(kind, key.namespace, name))
        if leftover is not None:
            await context.applier.delete(leftover)
    for child in plan.create:
        await context.applier.create(child)


async def _conclude(context: Context, key: ObjectKey, obj: Object, cache: ModelCache, plan: CachePlan) -> None:
    """Say how things stand, then change the ModelCache itself: after its finalizer is gone nothing can be said."""
    await _say(context, obj, cache, plan)
    known = context.cache.get(key)  # as our own status made it
    if known is None or known["metadata"].get("uid") != obj["metadata"].get("uid"):
        return
    if plan.patch:
        await context.applier.patch(known, plan.patch)
    elif plan.expired:
        await context.applier.delete(known)


async def _say(context: Context, obj: Object, cache: ModelCache, plan: CachePlan) -> None:
    await write_status(context, obj, cache.status.conditions, plan.status.conditions, plan.status.to_dict())
    count_staging(context.meters, cache.status, plan.status)


async def _make(context: Context, key: ObjectKey) -> None:
    """Make the ModelCache that services ask for by their source; a `cacheRef` alone makes none."""
    for user in context.users.of(key):
        wanted = _wanted(context, key, context.cache.get(user))
        # asked once more: of a service and its cache deleted together, the cache's end may be told first
        if wanted is not None and await context.client.get(user) is not None:
            routing.made(context, await context.applier.create(wanted))
            return


def _wanted(context: Context, key: ObjectKey, obj: Object | None) -> Object | None:
    """The ModelCache of that name that a service asks for by its source."""
    if obj is None or obj["metadata"].get("deletionTimestamp"):
        return None
    wanted = _cache_wanted(routing.as_asked(obj), tuple(profiles_known(context).values()))
    return wanted if wanted is not None and wanted["metadata"]["name"] == key.name else None


@lru_cache(maxsize=1024)
def _cache_wanted(asked: str, profiles: tuple[RuntimeProfile, ...]) -> Object | None:
    """Thousands of services may ask for the same, and each of their caches wants to know what for."""
    try:
        service = EmbeddingService.from_dict(json.loads(asked))
        if service.spec.model.source is None:
            return None
        return model_cache(service, choose_profile(service, {one.metadata.name: one for one in profiles}).spec.pod)
    except (ApiValueError, PlanError):
        return None  # the service's own status says so


async def _observe(context: Context, key: ObjectKey, cache: ModelCache) -> ObservedCache:
    labels = {names.CACHE_LABEL: key.name}
    jobs = [job for job in context.cache.list("Job", key.namespace, labels) if belongs_to(job, cache.metadata.uid)]
    pods = _its_own(cache, context.cache.list("Pod", key.namespace, labels))
    if has_ended_in_silence(cache, jobs, pods):  # before the result is called lost, and all is hashed once more
        pods = _its_own(cache, await _pods_now(context, key, labels))
    look = needs_claim_check(cache, jobs) or any(waits(pod) for pod in of_task(pods, names.STAGING_TASK))
    # whoever made the Job may have been killed before it could write down what the claim's pods are placed by
    claim = await _claim(context, key, cache) if look or cache.status.access_modes is None else None
    where = context.settings
    running = running_pod(of_task(pods, names.STAGING_TASK))
    users = context.users.of(key)
    wanted = [_wanted(context, key, context.cache.get(user)) for user in users] if is_made(cache) else []
    return ObservedCache(
        users=[user.name for user in users if user.kind == names.EMBEDDING_SERVICE],
        jobs_using=[user.name for user in users if user.kind == names.EMBEDDING_JOB],
        serving=[user.name for user in users if _serves(context, key, user)]
        + (_reading(context, key, cache) if needs_cleanup(cache) else []),
        wishes=[one["spec"] for one in wanted if one],
        in_history=not users and _in_history(context, key),
        jobs=jobs,
        pods=pods,
        stuck=stuck(pods),
        claim_exists=claim is not None if look else None,
        claim_phase=(((claim or {}).get("status") or {}).get("phase") or "") if look else "",
        claim_modes=((claim or {}).get("spec") or {}).get("accessModes") or (),
        nodes=holders(context, cache),
        progress=await fetch_progress(context.http, running) if running and context.looks.is_due(key) else None,
        cluster=await context.identity.name(context.client, where.lease_namespace, where.lease_name),
        now=now(),
        unused_for=seconds_since(cache.status.unused_since),
        verified_for=seconds_since(cache.status.verified_at),
    )


def _its_own(cache: ModelCache, pods: Sequence[Object]) -> list[Object]:
    """Without the pods of a former ModelCache of the same name: what they said is not said of this one."""
    made = cache.metadata.creation_timestamp or ""
    return [pod for pod in pods if (pod["metadata"].get("creationTimestamp") or made) >= made]


async def _pods_now(context: Context, key: ObjectKey, labels: dict[str, str]) -> list[Object]:
    """The pods of a ModelCache as the API server knows them, whatever their watch has told."""
    selector = ",".join(f"{name}={value}" for name, value in labels.items())
    for pod in (await context.client.list(PODS, key.namespace, selector)).items:
        routing.observed(context, pod)  # for all others it is news as any: the watch will not tell it once more
    return context.cache.list("Pod", key.namespace, labels)


async def _claim(context: Context, key: ObjectKey, cache: ModelCache) -> Object | None:
    """The claim, if pods can be made that mount it: one that is being deleted takes no new ones."""
    name = ObjectKey("PersistentVolumeClaim", key.namespace, cache.spec.storage.claim_name)
    claim = context.cache.get(name) or await context.client.get(name)
    return claim if claim is not None and not claim["metadata"].get("deletionTimestamp") else None


def _serves(context: Context, key: ObjectKey, user: ObjectKey) -> bool:
    """Whether pods of this user read the files: all but a service that only asks for them."""
    obj = context.cache.get(user)
    if obj is None:
        return True  # it is gone, and its pods are not
    model = (obj.get("status") or {}).get("model") or {}
    return bool(model.get("cache") == key.name and model.get("digest")) or key not in routing.caches_named(obj)


def _reading(context: Context, key: ObjectKey, cache: ModelCache) -> list[str]:
    """Who uses the same files by their path, through a ModelCache of its own."""
    found: list[str] = []
    for obj in context.cache.list(names.MODEL_CACHE, key.namespace):
        try:
            other = context.views.of(obj, ModelCache)
        except ApiValueError:
            continue
        if reads_files_of(other, cache):
            found += [user.name for user in context.users.of(ObjectKey(key.kind, key.namespace, other.metadata.name))]
    return found


def _in_history(context: Context, key: ObjectKey) -> bool:
    revisions = context.cache.list("ControllerRevision", key.namespace)
    return any(routing.cache_of(stored) == key for stored in revisions)
