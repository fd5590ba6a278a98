"""The controller of EmbeddingBenchmarks: observe, plan, make a Job, say so. No decision is taken here."""

from dataclasses import replace

from embedding_operator import benchmark as script
from embedding_operator.api import names
from embedding_operator.api.benchmark import EmbeddingBenchmark
from embedding_operator.api.codec import ApiValueError
from embedding_operator.api.service import EmbeddingService
from embedding_operator.controllers import routing
from embedding_operator.controllers.context import Context
from embedding_operator.controllers.patience import soonest
from embedding_operator.controllers.refusal import problem_of, refuse, try_again
from embedding_operator.controllers.status import seconds_since, write_status
from embedding_operator.controllers.stuck import stuck, until_stuck
from embedding_operator.kube.compact import unpacked
from embedding_operator.kube.errors import ApiError, NameTaken
from embedding_operator.kube.resources import CONFIG_MAPS, PODS, Object, ObjectKey
from embedding_operator.planning import revision
from embedding_operator.planning.benchplan import (
    BenchmarkPlan,
    ObservedBenchmark,
    has_ended_unheard,
    is_in_line,
    is_over,
    plan_benchmark,
    turn_of,
)


async def reconcile_benchmark(context: Context, key: ObjectKey) -> float | None:
    """Bring one benchmark closer to its figures. Returns the seconds until it must be looked at again, or None."""
    obj = context.cache.get(key)
    if obj is None or obj["metadata"].get("deletionTimestamp"):
        return None
    try:
        benchmark = context.views.of(obj, EmbeddingBenchmark)
    except ApiValueError as error:
        await refuse(context, obj, str(error))
        return None
    async with context.measuring:  # whose turn it is, is true until the Job is made
        return await _reconcile(context, key, obj, benchmark)


async def _reconcile(context: Context, key: ObjectKey, obj: Object, benchmark: EmbeddingBenchmark) -> float | None:
    seen = observe(context, key, benchmark, obj)
    if has_ended_unheard(benchmark, seen):  # figures are judged by what is, not by what watches have told so far
        await _look(context, key, benchmark)
        seen = observe(context, key, benchmark, obj)
    plan = plan_benchmark(benchmark, seen)
    try:
        await _execute(context, key, plan)
    except (NameTaken, ApiError) as error:
        problem = problem_of(error)
        if problem is None:
            raise
        await _say(context, key, obj, benchmark, plan_benchmark(benchmark, replace(seen, refused=problem)))
        return try_again(error)
    await _say(context, key, obj, benchmark, plan)
    return soonest(plan.requeue_after, until_stuck(seen.pods))


def observe(context: Context, key: ObjectKey, benchmark: EmbeddingBenchmark, obj: Object) -> ObservedBenchmark:
    """Everything that the cache knows about one benchmark, and about the service that it measures."""
    name, labels = benchmark.spec.service_ref.name, {names.BENCHMARK_LABEL: key.name}
    served = {names.SERVICE_LABEL: name}
    stored = context.cache.list("ControllerRevision", key.namespace, served)
    pods = context.cache.list("Pod", key.namespace, labels)
    return ObservedBenchmark(
        script=script.source(),
        service=_service(context, key.namespace, name),
        revisions=[parsed for parsed in map(revision.parse, map(unpacked, stored)) if parsed],
        servers=context.cache.list("Pod", key.namespace, served),
        jobs=_jobs(context, key),
        pods=pods,
        stuck=stuck(pods),
        embedders=_embedders(context, key.namespace, name),
        ahead=_ahead(context, key, obj, name),
        age=seconds_since(obj["metadata"].get("creationTimestamp")),
    )


def _embedders(context: Context, namespace: str, service: str) -> list[Object]:
    """The EmbeddingJobs that name the service."""
    found = map(context.cache.get, context.cache.referring(names.EMBEDDING_JOB, namespace, service))
    return [one for one in found if one is not None]


def _service(context: Context, namespace: str, name: str) -> EmbeddingService | None:
    obj = context.cache.get(ObjectKey(names.EMBEDDING_SERVICE, namespace, name))
    if obj is None or obj["metadata"].get("deletionTimestamp"):
        return None
    try:
        return EmbeddingService.from_dict(obj)
    except ApiValueError:
        return None  # its own status says what is wrong with it


def _ahead(context: Context, key: ObjectKey, obj: Object, service: str) -> str:
    """The benchmark of the same service whose turn it is; empty where that is this one."""
    first, ahead = turn_of(obj, _jobs(context, key)), ""
    for other in context.cache.referring(names.EMBEDDING_BENCHMARK, key.namespace, service):
        found, jobs = context.cache.get(other), _jobs(context, other)
        if other == key or found is None or not is_in_line(found, jobs):
            continue
        turn = turn_of(found, jobs)
        if turn < first:
            first, ahead = turn, other.name
    return ahead


def _jobs(context: Context, key: ObjectKey) -> list[Object]:
    return context.cache.list("Job", key.namespace, {names.BENCHMARK_LABEL: key.name})


async def _look(context: Context, key: ObjectKey, benchmark: EmbeddingBenchmark) -> None:
    """Take in the pods of the run, those of the service and the service itself as the API server knows them. For all
    others these are news as any: the watch will not tell them once more."""
    service = benchmark.spec.service_ref.name
    for selector in (f"{names.BENCHMARK_LABEL}={key.name}", f"{names.SERVICE_LABEL}={service}"):
        for pod in (await context.client.list(PODS, key.namespace, selector)).items:
            routing.observed(context, pod)
    found = await context.client.get(ObjectKey(names.EMBEDDING_SERVICE, key.namespace, service))
    if found is not None:
        routing.observed(context, found)


async def _execute(context: Context, key: ObjectKey, plan: BenchmarkPlan) -> None:
    for kind, name in plan.delete:
        leftover = context.cache.get(ObjectKey(kind, key.namespace, name))
        if leftover is not None:
            await context.applier.delete(leftover)
    for name, changes in plan.patch:
        known = context.cache.get(ObjectKey("Job", key.namespace, name))
        if known is not None:
            await context.applier.patch(known, changes)
    for child in plan.create:
        if child["kind"] == CONFIG_MAPS.kind:
            await context.applier.apply(child)
        else:
            await context.applier.create(child)


async def _say(
    context: Context, key: ObjectKey, obj: Object, benchmark: EmbeddingBenchmark, plan: BenchmarkPlan
) -> None:
    """Write the status, and see to it that whoever's turn it is now is looked at."""
    before, after = benchmark.status.conditions, plan.status.conditions
    await write_status(context, obj, before, after, plan.status.to_dict())
    if is_over(after) and not is_over(before):
        routing.wake_benchmarks(context, key.namespace, benchmark.spec.service_ref.name)
    if plan.waits_for:
        context.queue.add(ObjectKey(names.EMBEDDING_BENCHMARK, key.namespace, plan.waits_for))
