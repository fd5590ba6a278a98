"""The controller of EmbeddingJobs: observe, plan, make or change a Job, say so. No decision is taken here."""

import asyncio
from dataclasses import replace

from embedding_operator.api import names
from embedding_operator.api.codec import ApiValueError
from embedding_operator.api.conditions import Reason, Type, find_condition
from embedding_operator.api.job import EmbeddingJob
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.api.service import EmbeddingService
from embedding_operator.controllers import routing
from embedding_operator.controllers.context import Context, script_sources
from embedding_operator.controllers.outcomes import outcome
from embedding_operator.controllers.patience import soonest
from embedding_operator.controllers.progress import fetch_page
from embedding_operator.controllers.refusal import problem_of, refuse, try_again
from embedding_operator.controllers.services import cache_of, is_there, profiles_known
from embedding_operator.controllers.status import now, seconds_since, write_status
from embedding_operator.controllers.stuck import stuck, until_stuck
from embedding_operator.kube.errors import ApiError, NameTaken
from embedding_operator.kube.resources import PODS, Object, ObjectKey
from embedding_operator.planning.choosing import REFERENCES
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.jobplan import has_ended_in_silence, plan_job
from embedding_operator.planning.jobreport import Page
from embedding_operator.planning.jobservice import as_service
from embedding_operator.planning.jobstate import JobPlan, ObservedJob, is_over
from embedding_operator.planning.pods import phase_of

_ASKED = 32  # pods at a time
_MILESTONES = (75, 50, 25)  # percent


async def reconcile_job(context: Context, key: ObjectKey) -> float | None:
    """Bring one EmbeddingJob closer to its end. Returns the seconds until it must be looked at again, or None."""
    obj = context.cache.get(key)
    if obj is None or obj["metadata"].get("deletionTimestamp"):
        context.missing.look(key, False)
        return None
    try:
        job = EmbeddingJob.from_dict(obj)
    except ApiValueError as error:
        await refuse(context, obj, str(error))
        return None
    if job.status.observed_generation != job.metadata.generation:
        context.missing.look(key, False)  # it may refer to something else now
    seen = await _observe(context, key, job)
    plan = plan_job(job, seen, context.settings.staging)
    try:
        await _execute(context, key, obj, plan)
    except (NameTaken, ApiError) as error:
        problem = problem_of(error)
        if problem is None:
            raise
        await _say(context, key, obj, job, plan_job(job, replace(seen, refused=problem), context.settings.staging))
        return try_again(error)
    await _say(context, key, obj, job, plan)
    if plan.expired and (known := context.cache.get(key)) is not None:
        await context.applier.delete(known)
        return None
    missing = context.missing.look(key, plan.lacks_reference and not _has_stalled(job))
    return soonest(plan.requeue_after, missing, until_stuck(seen.pods))


async def _execute(context: Context, key: ObjectKey, obj: Object, plan: JobPlan) -> None:
    for name in plan.delete:
        leftover = context.cache.get(ObjectKey("Job", key.namespace, name))
        if leftover is not None:
            await context.applier.delete(leftover)
    if plan.create and not await is_there(context, key, obj):
        return
    for child in plan.apply:
        await context.applier.apply(child)
    for child in plan.create:
        await context.applier.create(child)
    for name, changes in plan.patch:
        known = context.cache.get(ObjectKey("Job", key.namespace, name))
        if known is not None:
            await context.applier.patch(known, changes)


async def _say(context: Context, key: ObjectKey, obj: Object, job: EmbeddingJob, plan: JobPlan) -> None:
    before, status = job.status, plan.status
    changes = context.cache.changes
    await write_status(context, obj, before.conditions, status.conditions, status.to_dict())
    if context.cache.changes != changes:  # it may be over, and use its weights no more
        routing.users_changed(context, key)
    if job.spec.service_ref is not None and outcome(context.cache.get(key)) != outcome(obj):
        routing.wake_benchmarks(context, key.namespace, job.spec.service_ref.name)
    was, now_at = before.progress.percent or 0, status.progress.percent or 0
    passed = next((one for one in _MILESTONES if was < one <= now_at), None)
    if passed is not None and status.completion_time is None:
        told = find_condition(status.conditions, Type.READY)
        context.recorder.emit(obj, "Normal", Reason.EMBEDDING, "Embed", told.message if told else f"{passed} %")


async def _observe(context: Context, key: ObjectKey, job: EmbeddingJob) -> ObservedJob:
    """Everything that the cache knows about one job, and what its workers show."""
    labels = {names.JOB_LABEL: key.name}
    ended = find_condition(job.status.conditions, Type.FAILED)
    cache, unusable = _cache(context, job)
    service, unreadable = _service(context, job)
    seen = ObservedJob(
        profiles=profiles_known(context),
        cache=cache,
        service=service,
        jobs=[
            one
            for one in context.cache.list("Job", key.namespace, labels)
            if not one["metadata"].get("deletionTimestamp")
        ],
        pods=context.cache.list("Pod", key.namespace, labels),
        script_sources=script_sources(),
        may_come=not context.missing.is_over(key) and not _has_stalled(job),
        refused=unusable or unreadable,
        now=now(),
        started_for=seconds_since(job.status.start_time),
        ended_for=seconds_since(job.status.completion_time or (ended.last_transition_time if ended else None)),
    )
    if has_ended_in_silence(job, seen):  # before what was said is called lost, and all is done once more
        seen = replace(seen, pods=await _pods_now(context, key, labels))
    if not is_over(job.status) and any(phase_of(pod) == "Running" for pod in seen.pods) and context.looks.is_due(key):
        seen = replace(seen, pages=await _pages(context, seen))
    return replace(seen, stuck=stuck(seen.pods))


async def _pages(context: Context, seen: ObservedJob) -> dict[str, Page]:
    """What the pods that run show of their progress; those that cannot be reached show none."""
    slots = asyncio.Semaphore(_ASKED)

    async def ask(pod: Object) -> tuple[str, Page | None]:
        async with slots:
            return str(pod["metadata"]["name"]), await fetch_page(context.http, pod)

    asked = await asyncio.gather(*(ask(pod) for pod in seen.pods if phase_of(pod) == "Running"))
    return {name: page for name, page in asked if page is not None}


async def _pods_now(context: Context, key: ObjectKey, labels: dict[str, str]) -> list[Object]:
    """Its pods as the API server knows them, whatever their watch has told."""
    selector = ",".join(f"{name}={value}" for name, value in labels.items())
    for pod in (await context.client.list(PODS, key.namespace, selector)).items:
        routing.observed(context, pod)  # for all others it is news as any: the watch will not tell it once more
    return context.cache.list("Pod", key.namespace, labels)


def _cache(context: Context, job: EmbeddingJob) -> tuple[ModelCache | None, PlanError | None]:
    return (None, None) if job.spec.model is None else cache_of(context, as_service(job))


def _service(context: Context, job: EmbeddingJob) -> tuple[EmbeddingService | None, PlanError | None]:
    """The service that embeds, if there is one and it can be read."""
    if job.spec.service_ref is None:
        return None, None
    name = job.spec.service_ref.name
    obj = context.cache.get(ObjectKey(names.EMBEDDING_SERVICE, job.metadata.namespace or "", name))
    try:
        return (EmbeddingService.from_dict(obj), None) if obj is not None else (None, None)
    except ApiValueError as error:
        return None, PlanError(Reason.INVALID_SPEC, f"EmbeddingService {name} cannot be read: {error}")


def _has_stalled(job: EmbeddingJob) -> bool:
    """Whether a person is asked already: an operator that starts anew does not take that back to wait anew."""
    told = find_condition(job.status.conditions, Type.STALLED)
    here = job.status.observed_generation == job.metadata.generation
    return here and told is not None and told.status == "True" and told.reason in REFERENCES
