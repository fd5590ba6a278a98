"""The controller of ModelCaches: makes those that services ask for, and stages each once."""

from dataclasses import replace

from embedding_operator.api import names
from embedding_operator.api.codec import ApiValueError
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.api.service import EmbeddingService
from embedding_operator.controllers import routing
from embedding_operator.controllers.context import Context
from embedding_operator.controllers.progress import fetch_progress
from embedding_operator.controllers.refusal import problem_of, refuse, try_again
from embedding_operator.controllers.services import profiles_known
from embedding_operator.controllers.status import write_status
from embedding_operator.kube.errors import ApiError, NameTaken
from embedding_operator.kube.resources import Object, ObjectKey
from embedding_operator.planning.cacheplan import (
    CachePlan,
    ObservedCache,
    needs_claim_check,
    plan_cache,
    running_pod,
)
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.plan import choose_profile
from embedding_operator.planning.sharing import is_made
from embedding_operator.planning.weights import model_cache


async def reconcile_cache(context: Context, key: ObjectKey) -> float | None:
    """Bring one ModelCache closer to staged weights. Returns the seconds until it must be looked at again."""
    obj = context.cache.get(key)
    if obj is None:
        await _make(context, key)
        return None
    if obj["metadata"].get("deletionTimestamp"):
        return None
    before = routing.outcome(obj)
    try:
        return await _reconcile(context, key, obj)
    finally:
        after = context.cache.get(key)
        if after is not None and routing.outcome(after) != before:
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
        problem = problem_of(error)
        if problem is None:
            raise
        await _say(context, obj, cache, _plan(context, cache, replace(seen, refused=problem)))
        return try_again(error)
    await _say(context, obj, cache, plan)
    if plan.patch:
        await _patch(context, key, obj, plan.patch)
        return 0.0  # the next look is at what it is now
    return plan.requeue_after


def _plan(context: Context, cache: ModelCache, seen: ObservedCache) -> CachePlan:
    return plan_cache(cache, seen, context.settings.staging)


async def _execute(context: Context, key: ObjectKey, plan: CachePlan) -> None:
    for kind, name in plan.delete:
        leftover = context.cache.get(ObjectKey(kind, key.namespace, name))
        if leftover is not None:
            await context.applier.delete(leftover)
    for child in plan.create:
        await context.applier.create(child)


async def _patch(context: Context, key: ObjectKey, obj: Object, changes: Object) -> None:
    """Patch the version that was planned for, or the one that our own status made of it."""
    known = context.cache.get(key)
    if known is not None and known["metadata"].get("uid") == obj["metadata"].get("uid"):
        await context.applier.patch(known, changes)


async def _say(context: Context, obj: Object, cache: ModelCache, plan: CachePlan) -> None:
    await write_status(context, obj, cache.status.conditions, plan.status.conditions, plan.status.to_dict())


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
    try:
        service = context.views.of(obj, EmbeddingService)
        if service.spec.model.source is None:
            return None
        wanted = model_cache(service, choose_profile(service, profiles_known(context)).spec.pod)
    except (ApiValueError, PlanError):
        return None  # the service's own status says so
    return wanted if wanted["metadata"]["name"] == key.name else None


async def _observe(context: Context, key: ObjectKey, cache: ModelCache) -> ObservedCache:
    labels = {names.CACHE_LABEL: key.name}
    jobs = context.cache.list("Job", key.namespace, labels)
    pods = context.cache.list("Pod", key.namespace, labels)
    claim_exists = None
    if needs_claim_check(cache, jobs):
        claim = ObjectKey("PersistentVolumeClaim", key.namespace, cache.spec.storage.claim_name)
        claim_exists = claim in context.cache or await context.client.get(claim) is not None
    running = running_pod(pods)
    users = context.users.of(key)
    wanted = [_wanted(context, key, context.cache.get(user)) for user in users] if is_made(cache) else []
    return ObservedCache(
        users=[user.name for user in users],
        wishes=[one["spec"] for one in wanted if one],
        jobs=jobs,
        pods=pods,
        claim_exists=claim_exists,
        progress=await fetch_progress(context.http, running) if running else None,
    )
