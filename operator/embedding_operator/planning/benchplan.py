"""From an EmbeddingBenchmark and what was observed to its next Job and its status: pure, like all planning.

    its turn? ─► service as it should be? ─► Job of run 1 ─► its figures, kept in the status ─► Job of run 2 ─► ...

A Job a run: what is measured is kept whatever happens to those that follow, or to the operator.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from embedding_operator.api.benchmark import Best, EmbeddingBenchmark, EmbeddingBenchmarkStatus, Load, Result
from embedding_operator.api.codec import ApiValueError
from embedding_operator.api.conditions import Condition, Reason, Type, find_condition
from embedding_operator.api.json import JsonObject
from embedding_operator.api.service import EmbeddingService
from embedding_operator.planning.benchcompany import company
from embedding_operator.planning.benchjob import Subject, job, job_name, mounts, script_config_map
from embedding_operator.planning.benchloads import best, loads, refuse_load, told
from embedding_operator.planning.benchreport import Report, newest_report, result
from embedding_operator.planning.cachestate import has_condition, job_message, name_of
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.pods import is_live, phase_of, trouble
from embedding_operator.planning.revision import Revision, revision_of
from embedding_operator.planning.verdict import Verdict

COMPANY = 15  # seconds in which what is applied together has come
KEPT = 86400  # seconds in which the Job of a run that is done stays, for its log
_SHOWN = 3  # disturbed runs in a message


@dataclass(frozen=True, slots=True)
class ObservedBenchmark:
    """What the cluster shows of one benchmark and of the service that it measures."""

    script: str
    service: EmbeddingService | None = None
    revisions: Sequence[Revision] = ()
    servers: Sequence[JsonObject] = ()  # the service's pods
    jobs: Sequence[JsonObject] = ()
    pods: Sequence[JsonObject] = ()  # the Jobs'
    stuck: Collection[str] = ()  # pods that have been where they are for longer than is usual
    embedders: Sequence[JsonObject] = ()  # EmbeddingJobs that have the service embed
    ahead: str = ""  # the benchmark whose turn it is, if it is another one
    age: int = 0  # seconds
    refused: PlanError | None = None  # what the API server or a stranger's object had against the last plan


@dataclass(frozen=True, slots=True)
class BenchmarkPlan:
    """What to create, in this order; which Jobs to delete (kind and name) and to change (by name), the status, which
    benchmark this one waits for, and when to look again."""

    status: EmbeddingBenchmarkStatus
    create: tuple[JsonObject, ...] = ()
    delete: tuple[tuple[str, str], ...] = ()
    patch: tuple[tuple[str, JsonObject], ...] = ()
    waits_for: str = ""
    requeue_after: float | None = None


def plan_benchmark(benchmark: EmbeddingBenchmark, seen: ObservedBenchmark) -> BenchmarkPlan:
    """Plan the next step of one benchmark."""
    wanted, done = loads(benchmark), benchmark.status.results or ()
    if len(done) >= len(wanted):
        return _said(benchmark, done, _measured(done))
    run, load = len(done) + 1, wanted[len(done)]
    current = next((one for one in seen.jobs if name_of(one) == job_name(benchmark, run)), None)
    if current is None:
        return _start(benchmark, seen, run, load)
    if has_condition(current, "Failed"):
        return _said(benchmark, done, _failed(benchmark, seen, run, load, current))
    report = newest_report(_of(seen.pods, current))
    if has_condition(current, "Complete"):
        return _finish(benchmark, seen, run, load, current, report)
    plan = _said(benchmark, done, _running(benchmark, seen, _of(seen.pods, current), run, load, report))
    script = script_config_map(benchmark, seen.script)
    return replace(plan, create=(script,)) if mounts(current, script) else plan  # for its next pod, if somebody took it


def has_ended_unheard(benchmark: EmbeddingBenchmark, seen: ObservedBenchmark) -> bool:
    """Whether a Job has ended whose pods and service must be looked at as they are now, whatever watches have told."""
    run = len(benchmark.status.results or ()) + 1
    return any(name_of(one) == job_name(benchmark, run) and has_condition(one, "Complete") for one in seen.jobs)


def is_over(conditions: Sequence[Condition]) -> bool:
    """Whether a benchmark keeps no other from its turn any more: its runs are done, or wait for a person."""
    ready, stalled = find_condition(conditions, Type.READY), find_condition(conditions, Type.STALLED)
    return (ready is not None and ready.status == "True") or (stalled is not None and stalled.status == "True")


def _start(benchmark: EmbeddingBenchmark, seen: ObservedBenchmark, run: int, load: Load) -> BenchmarkPlan:
    done = benchmark.status.results or ()
    if seen.refused is not None:
        return _said(benchmark, done, Verdict(seen.refused.reason, seen.refused.message, stalled=True))
    name = benchmark.spec.service_ref.name
    if seen.service is None:
        message = f"there is no EmbeddingService {name} in namespace {benchmark.metadata.namespace}: make it"
        young = seen.age < COMPANY
        plan = _said(benchmark, done, Verdict(Reason.SERVICE_NOT_FOUND, message, stalled=not young))
        return replace(plan, requeue_after=float(COMPANY)) if young else plan
    if seen.ahead:
        verdict = Verdict(Reason.WAITING_FOR_TURN, f"EmbeddingBenchmark {seen.ahead} has its turn at {name}")
        return replace(_said(benchmark, done, verdict), waits_for=seen.ahead)
    if (others := company(seen.embedders)) is not None:
        verdict = Verdict(Reason.WAITING_FOR_TURN, f"{_which(benchmark, run, load)} waits: {others}")
        return _said(benchmark, done, verdict)
    subject = subject_of(seen)
    if isinstance(subject, str):
        verdict = Verdict(Reason.WAITING_FOR_SERVICE, f"{_which(benchmark, run, load)} waits: {subject}")
        return _said(benchmark, done, verdict)
    try:
        resolved = subject.revision.resolved
        refuse_load(load, seen.service.spec.task or "Embed", str(resolved.get("vllm") or ""), name)
    except PlanError as error:
        return _said(benchmark, done, Verdict(error.reason, error.message, stalled=True))
    made = (script_config_map(benchmark, seen.script), job(benchmark, run, load, subject, seen.script))
    verdict = Verdict(Reason.MEASURING, f"{_which(benchmark, run, load)}: its Job is being made")
    return replace(_said(benchmark, done, verdict), create=made)


def subject_of(seen: ObservedBenchmark) -> Subject | str:
    """What can be measured, or why nothing can: all that is asked for serves, and is of one revision."""
    service = seen.service
    if service is None:
        return "the service is gone"
    name, ready = service.metadata.name, find_condition(service.status.conditions, Type.READY)
    if service.status.observed_generation != service.metadata.generation or ready is None:
        return f"EmbeddingService {name} has just been changed"
    if ready.reason != Reason.SERVING or ready.status != "True":
        return f"EmbeddingService {name} is not serving with all replicas: {ready.reason}, {ready.message}"
    servers = [pod for pod in seen.servers if is_live(pod)]
    revisions = {revision_of(pod) for pod in servers}
    revision = next((one for one in seen.revisions if {one.name} == revisions), None)
    if revision is None or len(servers) != service.status.replicas:
        return f"pods of EmbeddingService {name} are being replaced"
    return Subject(service, revision, {str(pod["metadata"].get("uid")): _restarts(pod) for pod in servers})


def _restarts(pod: JsonObject) -> int:
    containers = (pod.get("status") or {}).get("containerStatuses") or ()
    return sum(container.get("restartCount") or 0 for container in containers)


def _of(pods: Sequence[JsonObject], current: JsonObject) -> list[JsonObject]:
    """The pods of that Job."""
    uid = current["metadata"].get("uid")
    return [pod for pod in pods if uid in {one.get("uid") for one in pod["metadata"].get("ownerReferences") or ()}]


def _finish(
    benchmark: EmbeddingBenchmark,
    seen: ObservedBenchmark,
    run: int,
    load: Load,
    current: JsonObject,
    report: Report | None,
) -> BenchmarkPlan:
    done = benchmark.status.results or ()
    if report is None or not report.repeats:
        verdict = Verdict(
            Reason.RETRYING, f"{_which(benchmark, run, load)}: its figures were lost; it is measured again"
        )
        return replace(_said(benchmark, done, verdict), delete=(("Job", name_of(current)),))
    others = company(seen.embedders, since=str(current["metadata"].get("creationTimestamp") or ""))
    done = (*done, result(run, load, current, report, subject_of(seen), others))
    # only now: were the Job of a run that failed to go by itself, its load would come again that no person asked for
    goes = ((name_of(current), {"spec": {"ttlSecondsAfterFinished": KEPT}}),)
    if len(done) == len(loads(benchmark)):
        return replace(_said(benchmark, done, _measured(done)), patch=goes)
    verdict = Verdict(Reason.MEASURING, f"run {run} of {len(loads(benchmark))} is done, the next begins")
    return replace(_said(benchmark, done, verdict), patch=goes, requeue_after=0.0)


def _failed(
    benchmark: EmbeddingBenchmark, seen: ObservedBenchmark, run: int, load: Load, current: JsonObject
) -> Verdict:
    report = newest_report(_of(seen.pods, current))
    words = (report.message if report else "") or job_message(current)
    again = f"kubectl delete job {name_of(current)} -n {benchmark.metadata.namespace}"
    message = f"{_which(benchmark, run, load)}: {words}; when mended, try again with `{again}`"
    return Verdict(Reason.BENCHMARK_FAILED, message, stalled=True)


def _running(
    benchmark: EmbeddingBenchmark,
    seen: ObservedBenchmark,
    pods: Sequence[JsonObject],
    run: int,
    load: Load,
    report: Report | None,
) -> Verdict:
    which = _which(benchmark, run, load)
    found = trouble(pods, stuck=seen.stuck)
    if found is not None:
        return Verdict(found.reason, f"{which}: {found.message}")
    failed = f"; the last attempt failed: {report.message}" if report and report.message else ""
    if any(phase_of(pod) == "Running" for pod in pods):
        return Verdict(Reason.MEASURING, f"{which}{failed}")
    waits = "its pod has not started yet" if pods else "its Job makes a pod"
    return Verdict(Reason.RETRYING if failed else Reason.MEASURING, f"{which}: {waits}{failed}")


def _which(benchmark: EmbeddingBenchmark, run: int, load: Load) -> str:
    return f"run {run} of {len(loads(benchmark))} ({told(load)})"


def _measured(done: Sequence[Result]) -> Verdict:
    runs = f"{len(done)} runs are done" if len(done) > 1 else "the run is done"
    top = best(tuple(done))
    if top is None:
        return Verdict(Reason.MEASURED, runs, ready=True)
    which = f" in run {top.run}" if len(done) > 1 else ""
    figures = f"{top.requests_per_second} requests/s, p99 {top.p99_milliseconds} ms"
    return Verdict(Reason.MEASURED, f"{runs}: {figures}{which}", ready=True)


def _said(benchmark: EmbeddingBenchmark, done: Sequence[Result], verdict: Verdict) -> BenchmarkPlan:
    """The status with a verdict in it."""
    generation, top = benchmark.metadata.generation, best(tuple(done))
    conditions = [*verdict.conditions(generation), *_valid(done, generation)]
    figures = (
        Best() if top is None else Best(top.run, top.requests_per_second, top.tokens_per_second, top.p99_milliseconds)
    )
    return BenchmarkPlan(
        EmbeddingBenchmarkStatus(
            observed_generation=generation,
            conditions=tuple(conditions),
            progress=f"{len(done)}/{len(loads(benchmark))}",
            best=figures,
            results=tuple(done) or None,
        )
    )


def _valid(done: Sequence[Result], generation: int | None) -> list[Condition]:
    if not done:
        return []
    bad = [f"run {one.run}: {one.disturbed}" for one in done if not one.valid]
    if not bad:
        message = "no request failed, no pod restarted and the service stayed as it was"
        return [Condition(Type.VALID, "True", Reason.UNDISTURBED, message, generation)]
    more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    return [Condition(Type.VALID, "False", Reason.DISTURBED, "; ".join(bad[:_SHOWN]) + more, generation)]


def turn_of(benchmark: JsonObject, jobs: Sequence[JsonObject]) -> tuple[bool, bool, str, str]:
    """How benchmarks of one service queue: nobody comes between one and its Job, who has begun goes on, then who came
    first."""
    metadata, begun = benchmark["metadata"], jobs or (benchmark.get("status") or {}).get("results")
    return (not _runs(jobs), not begun, str(metadata.get("creationTimestamp") or ""), str(metadata["name"]))


def is_in_line(benchmark: JsonObject, jobs: Sequence[JsonObject]) -> bool:
    """Whether a stored benchmark may keep others from their turn. Whatever its status says, one whose Job runs does."""
    try:
        conditions = [Condition.from_dict(one) for one in (benchmark.get("status") or {}).get("conditions") or ()]
    except ApiValueError:
        return _runs(jobs)
    return _runs(jobs) or not (benchmark["metadata"].get("deletionTimestamp") or is_over(conditions))


def _runs(jobs: Sequence[JsonObject]) -> bool:
    return any(not (has_condition(job, "Complete") or has_condition(job, "Failed")) for job in jobs)


def service_name(benchmark: JsonObject) -> str:
    """The service that a stored benchmark names."""
    return str((((benchmark.get("spec") or {}).get("serviceRef")) or {}).get("name") or "")
