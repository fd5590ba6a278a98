"""The status of an EmbeddingJob: how things stand in one reason and one sentence, by kstatus' rules.

A job that is complete is Ready; one that has failed is Stalled, for good. Suspended it is neither, as any Job is.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from embedding_operator.api import names
from embedding_operator.api.conditions import Condition, Reason, Type, find_condition
from embedding_operator.api.job import EmbeddingJob, EmbeddingJobStatus, JobProgress, Shards
from embedding_operator.api.json import JsonObject
from embedding_operator.planning.cachestate import job_message
from embedding_operator.planning.jobphases import parallelism
from embedding_operator.planning.jobreport import Failure, Finish, failure
from embedding_operator.planning.jobservice import in_words_of_job
from embedding_operator.planning.pods import Trouble, condition_of, is_unfinished, phase_of, trouble
from embedding_operator.planning.stagereport import reason_of
from embedding_operator.planning.verdict import Verdict

_CONTROLLERS = {  # the Job controller's word for the end of a Job, and ours
    "DeadlineExceeded": Reason.DEADLINE_EXCEEDED,
    "BackoffLimitExceeded": Reason.BACKOFF_LIMIT_EXCEEDED,
    "FailedIndexes": Reason.BACKOFF_LIMIT_EXCEEDED,
}


def said(job: EmbeddingJob, status: EmbeddingJobStatus, verdict: Verdict) -> EmbeddingJobStatus:
    """The status with a verdict in it."""
    generation = job.metadata.generation
    conditions = (*verdict.conditions(generation), *_weights(job, status, verdict))
    return replace(status, observed_generation=generation, conditions=conditions)


def unsaid(job: EmbeddingJob) -> EmbeddingJobStatus:
    """What was said of a job that is over, of the generation that it has by now."""
    generation = job.metadata.generation
    conditions = tuple(replace(one, observed_generation=generation) for one in job.status.conditions)
    return replace(job.status, observed_generation=generation, conditions=conditions)


def suspended(job: EmbeddingJob, pods: Sequence[JsonObject]) -> EmbeddingJobStatus:
    """Nothing runs, or ends; the time of a deadline begins again when the job is resumed, as a Job's does."""
    generation, running = job.metadata.generation, sum(phase_of(pod) == "Running" for pod in pods)
    told = f"spec.suspend is true: {f'{running} pods are ending' if running else 'no pods run'}"
    conditions = (
        Condition(Type.READY, "False", Reason.SUSPENDED, told, generation),
        Condition(Type.SUSPENDED, "True", Reason.SUSPENDED, told, generation),
    )
    status = job.status
    return replace(
        status,
        observed_generation=generation,
        conditions=conditions,
        start_time=None,
        workers=replace(status.workers, active=None),
        progress=JobProgress(percent=status.progress.percent),
    )


def completed(job: EmbeddingJob, status: EmbeddingJobStatus, report: Finish, ended: str) -> EmbeddingJobStatus:
    """All that there is to know at the end, as the finish counted it."""
    rows, errors = report.rows or 0, report.errors or 0
    told = f"{_count(rows, 'row')} in {_count(report.shards, 'shard')}"
    if report.reused:
        told += f", {_count(report.reused, 'shard')} of them finished before"
    told += f"; {_count(errors, 'row')} could not be embedded, see {report.errors_file}" if errors else ""
    final = replace(
        status,
        completion_time=ended,
        rows=rows,
        errors=errors,
        tokens=report.tokens,
        output_bytes=report.bytes,
        manifest=report.manifest,
        errors_file=report.errors_file,
        shards=Shards(report.shards, report.shards, report.reused),
        progress=JobProgress(percent=100),
    )
    return said(job, final, Verdict(Reason.COMPLETED, told, ready=True))


def failed(job: EmbeddingJob, status: EmbeddingJobStatus, reason: Reason, message: str) -> EmbeddingJobStatus:
    """For good. What was finished is not lost."""
    told = (
        f"{message}; when mended, delete this job and apply it anew (kubectl replace --force -f FILE): finished shards "
        "are used again"
    )
    final = replace(
        status,
        workers=replace(status.workers, active=None),
        progress=JobProgress(percent=status.progress.percent),
    )
    final = said(job, final, Verdict(reason, told, stalled=True))
    return replace(
        final,
        conditions=(*final.conditions, Condition(Type.FAILED, "True", reason, told, job.metadata.generation)),
    )


def failed_verdict(current: JsonObject, last: Failure | None) -> Verdict:
    """Why a Job failed: in its pod's last words, else in its controller's."""
    ended = _CONTROLLERS.get(str(condition_of(current, "Failed").get("reason")))
    if ended is Reason.DEADLINE_EXCEEDED or last is None:
        return Verdict(ended or Reason.INTERNAL, f"Job {current['metadata']['name']}: {job_message(current)}")
    return Verdict(last.known_reason or ended or Reason.INTERNAL, last.words)


def lost(phase: str) -> Verdict:
    """What a Job said never reached us."""
    return Verdict(Reason.RETRYING, f"what the {phase} Job said was lost; it runs again and finds what is done")


def running(
    current: JsonObject, pods: Sequence[JsonObject], stuck: Collection[str], reason: Reason, told: str
) -> Verdict:
    """A phase of one small pod."""
    found = _trouble(pods, None, stuck)
    if found is not None:
        return Verdict(found.reason, found.message)
    return Verdict(reason, told + _no_pods(current, pods) + _last_attempt(pods))


def embedding(
    job: EmbeddingJob,
    status: EmbeddingJobStatus,
    current: JsonObject,
    pods: Sequence[JsonObject],
    stuck: Collection[str],
    silent: str | None = None,
) -> Verdict:
    """The workers. As long as one of them works, trouble of others is a remark. `silent` says that the service which
    they ask answers nobody."""
    works = sum(phase_of(pod) == "Running" for pod in pods)
    found = _trouble(pods, status.model.cache, stuck)
    if found is not None and not works:
        return Verdict(found.reason, found.message)
    at = status.progress
    told = [f"{at.percent or 0} %", _count(status.rows or 0, "row")]
    if at.rows_per_second:
        told.append(f"{at.rows_per_second:,} rows/s")
    if status.errors:
        told.append(_count(status.errors, "error"))
    message = f"{', '.join(told)}; {works} of {_count(parallelism(job), 'worker')} running"
    if found is not None:
        message += f"; {found.message}"
    message += _no_pods(current, pods) + _last_attempt(pods)
    if silent is not None:
        return Verdict(Reason.WAITING_FOR_SERVICE, f"{silent}; the workers go on when it answers: {message}")
    return Verdict(Reason.EMBEDDING, message)


def _no_pods(current: JsonObject, pods: Sequence[JsonObject]) -> str:
    """What keeps pods from being made (a quota, a rule of admission) its controller says in Events only."""
    name = current["metadata"]["name"]
    return "" if pods else f"; it has no pods yet: if that lasts, `kubectl describe job {name}` says what forbids them"


def _last_attempt(pods: Sequence[JsonObject]) -> str:
    last = failure(pods)
    return f"; the last attempt that failed: {last.words}" if last is not None else ""


def _trouble(pods: Sequence[JsonObject], cache: str | None, stuck: Collection[str]) -> Trouble | None:
    """Of pods that are yet to run: a Job makes others of those that failed, and says when that is enough."""
    found = trouble(filter(is_unfinished, pods), cache, stuck)
    return Trouble(reason_of(found), in_words_of_job(found.message)) if found is not None else None


def _weights(job: EmbeddingJob, status: EmbeddingJobStatus, verdict: Verdict) -> list[Condition]:
    """What a service says of its weights, too."""
    if job.spec.service_ref is not None:
        return []
    generation, model = job.metadata.generation, status.model
    if status.key is not None and model.digest:
        told = f"{names.MODEL_CACHE} {model.cache} at {model.revision or model.digest}"
        return [Condition(Type.WEIGHTS_READY, "True", Reason.VERIFIED, told, generation)]
    before = find_condition(job.status.conditions, Type.WEIGHTS_READY)
    if before is not None and verdict.reason is Reason.SUSPENDED:
        return [before]
    return [Condition(Type.WEIGHTS_READY, "False", verdict.reason, verdict.message, generation)]


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
