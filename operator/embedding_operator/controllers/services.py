"""The controller of EmbeddingServices: observe, plan, apply, say so."""

from dataclasses import replace

from embedding_operator.api import names
from embedding_operator.api.codec import ApiValueError
from embedding_operator.api.conditions import Condition, Reason, Type
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.api.profile import RuntimeProfile
from embedding_operator.api.service import EmbeddingService
from embedding_operator.controllers.context import Context, script_sources
from embedding_operator.controllers.status import write_status
from embedding_operator.kube.errors import ApiError, NameTaken
from embedding_operator.kube.resources import Object, ObjectKey
from embedding_operator.planning import revision
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.plan import Observed, Plan, plan_service
from embedding_operator.planning.weights import cache_name


async def reconcile_service(context: Context, key: ObjectKey) -> float | None:
    """Bring one service closer to its spec. Returns the seconds until it must be looked at again, or None."""
    obj = context.cache.get(key)
    if obj is None or obj["metadata"].get("deletionTimestamp"):
        return None
    try:
        service = EmbeddingService.from_dict(obj)
    except ApiValueError as error:
        await _refuse(context, obj, str(error))
        return None
    seen = observe(context, service)
    plan = plan_service(service, obj["spec"], seen)
    try:
        await _execute(context, key, plan)
    except (NameTaken, ApiError) as error:
        problem = _problem(error)
        if problem is None:
            raise
        plan = plan_service(service, obj["spec"], replace(seen, refused=problem))
    else:
        # what the API server answered is in the cache by now: the status speaks of the newest generation
        plan = plan_service(service, obj["spec"], observe(context, service))
    await write_status(context, obj, service.status.conditions, plan.status.conditions, plan.status.to_dict())
    return None


def observe(context: Context, service: EmbeddingService) -> Observed:
    """Everything that the cache knows about one service."""
    namespace, name = service.metadata.namespace or "", service.metadata.name
    labels = {names.SERVICE_LABEL: name}
    stored = context.cache.list("ControllerRevision", namespace, labels)
    cache = context.cache.get(ObjectKey(names.MODEL_CACHE, namespace, cache_name(service)))
    return Observed(
        profiles=profiles_known(context),
        cache=ModelCache.from_dict(cache) if cache else None,
        revisions=[parsed for parsed in map(revision.parse, stored) if parsed],
        deployment=context.cache.get(ObjectKey("Deployment", namespace, name)),
        has_budget=ObjectKey("PodDisruptionBudget", namespace, name) in context.cache,
        has_claim=ObjectKey("PersistentVolumeClaim", namespace, names.made_claim_name(name)) in context.cache,
        pods=context.cache.list("Pod", namespace, labels),
        script_sources=script_sources(),
    )


def profiles_known(context: Context) -> dict[str, RuntimeProfile]:
    """All RuntimeProfiles that can be read, by name."""
    profiles = {}
    for obj in context.cache.list(names.RUNTIME_PROFILE):
        try:
            profiles[obj["metadata"]["name"]] = RuntimeProfile.from_dict(obj)
        except ApiValueError:
            continue  # the schema refuses such a profile; one stored before it is as good as absent
    return profiles


async def _execute(context: Context, key: ObjectKey, plan: Plan) -> None:
    for child in plan.create:
        await context.applier.create(child)
    for child in plan.apply:
        await context.applier.apply(child)
    for kind, name in plan.delete:
        leftover = context.cache.get(ObjectKey(kind, key.namespace, name))
        if leftover is not None:
            await context.applier.delete(leftover)


def _problem(error: NameTaken | ApiError) -> PlanError | None:
    """What only a person can mend, or None where another try may do."""
    if isinstance(error, NameTaken):
        return PlanError(Reason.NAME_TAKEN, f"{error}: delete or rename it, or rename this service")
    return PlanError(Reason.APPLY_REFUSED, f"the API server refused: {error.message}") if error.is_invalid else None


async def _refuse(context: Context, obj: Object, problem: str) -> None:
    """A stored object that this version cannot read: say which field, and wait for a person."""
    generation = obj["metadata"].get("generation")
    conditions = (
        Condition(Type.READY, "False", Reason.INVALID_SPEC, problem, generation),
        Condition(Type.STALLED, "True", Reason.INVALID_SPEC, problem, generation),
    )
    status = {"observedGeneration": generation}
    await write_status(context, obj, (), conditions, status)
