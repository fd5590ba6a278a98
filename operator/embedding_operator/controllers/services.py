"""The controller of EmbeddingServices: observe, plan, apply, say so."""

from dataclasses import replace

from embedding_operator.api import names
from embedding_operator.api.codec import ApiValueError
from embedding_operator.api.conditions import Reason, Type, find_condition
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.api.profile import RuntimeProfile
from embedding_operator.api.service import EmbeddingService
from embedding_operator.controllers import routing, turns
from embedding_operator.controllers.asking import ask_before_unsaying, ask_when_due, recorded
from embedding_operator.controllers.context import Context, script_sources
from embedding_operator.controllers.patience import soonest
from embedding_operator.controllers.refusal import problem_of, refuse, try_again
from embedding_operator.controllers.status import write_status
from embedding_operator.controllers.stuck import stuck, until_stuck
from embedding_operator.kube.compact import unpacked
from embedding_operator.kube.errors import ApiError, NameTaken
from embedding_operator.kube.owners import belongs_to
from embedding_operator.kube.resources import OPTIONAL_KINDS, REVISIONS, Object, ObjectKey, by_kind, key_of
from embedding_operator.planning import revision
from embedding_operator.planning.choosing import REFERENCES
from embedding_operator.planning.devicehealth import Ill
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.follow import APART, standing
from embedding_operator.planning.observed import Observed, replicas_of
from embedding_operator.planning.onenode import nodes
from embedding_operator.planning.plan import Plan, plan_service
from embedding_operator.planning.rolling import is_replacing, is_under_way
from embedding_operator.planning.weights import cache_name, holds, is_one_node

_EVICTION = 15.0  # seconds until it is tried again, if the disruption budget was against it


async def reconcile_service(context: Context, key: ObjectKey) -> float | None:
    """Bring one service closer to its spec. Returns the seconds until it must be looked at again, or None."""
    obj = context.cache.get(key)
    if obj is None or obj["metadata"].get("deletionTimestamp"):
        context.bereft.discard(key)
        context.lacking.look(key, False)
        context.missing.look(key, False)
        if obj is None:
            turns.end(context, key)
            context.spaces.forget(key)
        else:  # it may be there for long yet, and nobody's turn comes before all have been looked at
            turns.tell(context, key, APART)
        return None
    if key in context.bereft and not await is_there(context, key, obj):
        return None
    try:
        service = EmbeddingService.from_dict(obj)
    except ApiValueError as error:
        turns.tell(context, key, APART)
        await refuse(context, obj, str(error))
        return None
    await ask_before_unsaying(context, key, obj)
    for lost in context.untold.take(key):
        context.recorder.emit(obj, "Warning", Reason.DRAIN_CUT_OFF, "Drain", lost)
    if service.status.observed_generation != service.metadata.generation:
        context.missing.look(key, False)  # it may refer to something else now
    state = _state(context)
    seen = observe(context, service)
    stands = standing(service, obj["spec"], seen)
    seen = replace(seen, may_follow=turns.take(context, key, stands))
    plan = plan_service(service, obj["spec"], seen)
    again = until_stuck(seen.pods) if plan.evict is None else _EVICTION
    try:
        await _execute(context, key, plan)
    except (NameTaken, ApiError) as error:
        problem = problem_of(error)
        if problem is None:
            raise
        stands = standing(service, obj["spec"], observe(context, service))  # its revision may be stored already
        turns.done(context, key, stands, took=seen.may_follow)
        plan = plan_service(service, obj["spec"], replace(seen, refused=problem))
        await _say(context, obj, service, plan)
        ask_when_due(context, key, obj, seen)
        patience = _patience(context, key, service, plan)  # before what is raised again
        return soonest(try_again(error), patience)
    after = seen
    if _state(context) != state:  # what the API server answered is in the cache by now: the status speaks of that
        after = replace(observe(context, service), may_follow=seen.may_follow)
        stands = standing(service, obj["spec"], after)
    turns.done(context, key, stands, took=seen.may_follow)
    if after != seen:
        plan = plan_service(service, obj["spec"], after)
    await _say(context, obj, service, plan)
    ask_when_due(context, key, obj, after)
    return soonest(again, _patience(context, key, service, plan))


def _patience(context: Context, key: ObjectKey, service: EmbeddingService, plan: Plan) -> float | None:
    """The seconds until something has been missing for so long that it is told; None where nothing is."""
    lacking = context.lacking.look(key, plan.lacks_device)
    missing = context.missing.look(key, plan.lacks_reference and not _has_stalled(service))
    return soonest(lacking, missing)


def _state(context: Context) -> tuple[int, int]:
    """What does not move while there is nothing new to be observed."""
    return context.cache.changes, len(context.absent)


async def is_there(context: Context, key: ObjectKey, obj: Object) -> bool:
    """Whether a service or job that lost a child exists: the end of its children may be told before its own, or in its
    place, and what is made for an owner that is gone is collected at once, again and again."""
    now = await context.client.get(key)
    context.bereft.discard(key)
    if now is not None and now["metadata"]["uid"] == obj["metadata"]["uid"]:
        return True
    routing.gone(context, key, obj)
    if now is not None:
        routing.observed(context, now)
    return False


async def _say(context: Context, obj: Object, service: EmbeddingService, plan: Plan) -> None:
    state, status = _state(context), plan.status
    await write_status(context, obj, service.status.conditions, status.conditions, status.to_dict())
    if _state(context) != state:  # it may name another ModelCache now, or answer; the watch has no news of it
        routing.users_changed(context, key_of(obj))
        routing.wake_callers(context, key_of(obj))


def observe(context: Context, service: EmbeddingService) -> Observed:
    """Everything that the cache knows about one service."""
    namespace, name, uid = service.metadata.namespace or "", service.metadata.name, service.metadata.uid
    labels = {names.SERVICE_LABEL: name}
    stored = context.cache.list(REVISIONS.kind, namespace, labels)
    revisions = map(revision.parse, (unpacked(one) for one in stored if belongs_to(one, uid)))
    pods = context.cache.list("Pod", namespace, labels)
    deployment = context.cache.get(ObjectKey("Deployment", namespace, name))
    if deployment is not None and not belongs_to(deployment, uid):
        deployment = None
    key = ObjectKey(names.EMBEDDING_SERVICE, namespace, name)
    spaces = recorded(context, key, uid)
    cache, unusable = cache_of(context, service)
    return Observed(
        profiles=profiles_known(context),
        cache=cache,
        revisions=[parsed for parsed in revisions if parsed],
        deployment=deployment,
        is_replacing=deployment is not None
        and is_under_way(deployment, replicas_of(service))
        and is_replacing(unpacked(deployment)),
        has_network_policy=ObjectKey("NetworkPolicy", namespace, name) in context.cache,
        route=context.cache.get(ObjectKey("HTTPRoute", namespace, name)),
        has_pod_monitor=ObjectKey("PodMonitor", namespace, name) in context.cache,
        absent=frozenset(context.absent),
        operator_namespace=context.settings.lease_namespace,
        has_budget=ObjectKey("PodDisruptionBudget", namespace, name) in context.cache,
        has_claim=ObjectKey("PersistentVolumeClaim", namespace, names.made_claim_name(name)) in context.cache,
        pods=pods,
        stuck=stuck(pods),
        has_waited=context.lacking.is_over(key),
        holders=holders(context, cache),
        script_sources=script_sources(),
        spaces=spaces,
        measured=context.spaces.of(key, pods, spaces),
        may_come=not context.missing.is_over(key) and not _has_stalled(service),
        refused=unusable,
    )


def _has_stalled(service: EmbeddingService) -> bool:
    """Whether a person is asked already: an operator that starts anew does not take that back to wait anew."""
    status = service.status
    told = find_condition(status.conditions, Type.STALLED)
    here = status.observed_generation == service.metadata.generation
    return here and told is not None and told.status == "True" and told.reason in REFERENCES


def holders(context: Context, cache: ModelCache | None) -> list[str]:
    """Where pods have the claim mounted, of all services and Jobs, if one node at a time can."""
    if cache is None or not is_one_node(cache):
        return []
    labels = names.claim_labels(cache.spec.storage.claim_name)
    return nodes(context.cache.list("Pod", cache.metadata.namespace, labels))


def cache_of(context: Context, service: EmbeddingService) -> tuple[ModelCache | None, PlanError | None]:
    """The ModelCache of a service, if there is one of its name; and what is wrong with that."""
    name = cache_name(service)
    obj = context.cache.get(ObjectKey(names.MODEL_CACHE, service.metadata.namespace or "", name))
    try:
        cache = context.views.of(obj, ModelCache) if obj else None
    except ApiValueError as error:
        return None, PlanError(Reason.CACHE_STALLED, f"ModelCache {name} cannot be read: {error}")
    if cache is not None and not holds(cache, service):
        message = f"ModelCache {name} has another source or storage than this service: delete it, and it is made anew"
        return None, PlanError(Reason.NAME_TAKEN, message)
    return cache, None


def profiles_known(context: Context) -> dict[str, RuntimeProfile]:
    """All RuntimeProfiles that can be read, by name."""
    profiles = {}
    for obj in context.cache.list(names.RUNTIME_PROFILE):
        try:
            profiles[obj["metadata"]["name"]] = context.views.of(obj, RuntimeProfile)
        except ApiValueError:
            continue  # the schema refuses such a profile; one stored before it is as good as absent
    return profiles


async def _execute(context: Context, key: ObjectKey, plan: Plan) -> None:
    for child in plan.create:
        await context.applier.create(child)
        for cache in context.users.caches_of(key):  # it may wait for this very claim
            context.queue.add(cache)
    for child in plan.apply:
        is_new = child["kind"] == REVISIONS.kind and not _has(context, child)
        if is_new:
            await _make_room(context, child)
        await _apply(context, child)
        context.meters.revisions += is_new
    for kind, name in plan.delete:
        leftover = context.cache.get(ObjectKey(kind, key.namespace, name))
        if leftover is not None:
            await context.applier.delete(leftover)
    if plan.evict is not None:
        await _evict(context, key, plan.evict)


def _has(context: Context, child: Object) -> bool:
    """Whether a child is there, and the service's own or nobody's."""
    known, (owner,) = context.cache.get(key_of(child)), child["metadata"]["ownerReferences"]
    return known is not None and belongs_to(known, owner["uid"])


async def _make_room(context: Context, child: Object) -> None:
    """Delete what a former service left under a revision's name: it is to be collected with its owner, and its data
    cannot be changed into those of this one."""
    left = context.cache.get(key_of(child))
    if left is not None:
        await context.applier.delete(left)


async def _evict(context: Context, key: ObjectKey, ill: Ill) -> None:
    pod = ObjectKey("Pod", key.namespace, ill.pod)
    obj = context.cache.get(key)
    if await context.client.evict(pod, uid=ill.uid) and obj is not None:
        context.recorder.emit(obj, "Normal", Reason.DEVICE_UNHEALTHY, "Evict", f"evicted {ill}; another pod serves")


async def _apply(context: Context, child: Object) -> None:
    """Apply a child; of a kind that the cluster has lost, only remember that."""
    try:
        await context.applier.apply(child)
    except ApiError as error:
        if by_kind(child["kind"]) not in OPTIONAL_KINDS or not (error.is_kind_missing or error.is_kind_ending):
            raise
        context.absent.add(child["kind"])
