"""From an EmbeddingJob and what was observed to the Job of its present phase. Pure, as all planning is.

    weights or service ─► split ─► work (Indexed) ─► finish ─► complete
         waits              each made once; its end, in its pod's last words, leads to the next

The status remembers what the last words were. Where they are lost the phase runs again, and finds what is done.
"""

from dataclasses import replace

from embedding_operator.api.conditions import Reason
from embedding_operator.api.job import EmbeddingJob, EmbeddingJobStatus, JobProgress, Shards, Workers
from embedding_operator.api.json import JsonObject
from embedding_operator.planning.cacheplan import PROGRESS_POLL
from embedding_operator.planning.cachestate import has_condition
from embedding_operator.planning.choosing import REFERENCES
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.jobbasis import Basis, basis_of, service_is_silent
from embedding_operator.planning.jobdoc import key_of
from embedding_operator.planning.jobphases import (
    finish_job,
    index_count,
    job_names,
    parallelism,
    scripts_of,
    split_job,
    work_job,
)
from embedding_operator.planning.jobprogress import counted, sums
from embedding_operator.planning.jobreport import Failure, Finish, Split, failure, indexes, newest
from embedding_operator.planning.jobstate import JobPlan, ObservedJob, is_over
from embedding_operator.planning.jobstatus import (
    completed,
    embedding,
    failed,
    failed_verdict,
    lost,
    running,
    said,
    suspended,
    unsaid,
)
from embedding_operator.planning.pods import is_unfinished, phase_of
from embedding_operator.planning.stagejob import StagingSite
from embedding_operator.planning.verdict import Verdict
from embedding_operator.planning.weights import staged


def plan_job(job: EmbeddingJob, seen: ObservedJob, site: StagingSite) -> JobPlan:
    """Plan one EmbeddingJob; `site` is what the install says of the operator's own pods."""
    if is_over(job.status):
        return _over(job, seen)
    plan = _plan(job, seen, site)
    ttl = job.spec.ttl_seconds_after_finished
    # nobody tells us of what we say ourselves
    return replace(plan, requeue_after=float(ttl)) if is_over(plan.status) and ttl is not None else plan


def _plan(job: EmbeddingJob, seen: ObservedJob, site: StagingSite) -> JobPlan:
    if (other := _other_weights(job, seen)) is not None:
        return _end(job, seen, failed(job, job.status, Reason.MODEL_CHANGED, other))
    if job.spec.suspend:
        return _suspended(job, seen)
    deadline = job.spec.active_deadline_seconds
    left = None if deadline is None or job.status.start_time is None else deadline - seen.started_for
    if left is not None and left <= 0:
        told = f"spec.activeDeadlineSeconds of {deadline} are over"
        return _end(job, seen, failed(job, job.status, Reason.DEADLINE_EXCEEDED, told))
    try:
        plan = _proceed(job, seen, site)
    except PlanError as error:
        waits = seen.may_come and error.reason in REFERENCES
        verdict = Verdict(error.reason, error.message, stalled=not waits)
        plan = JobPlan(said(job, job.status, verdict), lacks_reference=error.reason in REFERENCES)
    if plan.requeue_after is None and left is None:
        return plan
    return replace(plan, requeue_after=min(wait for wait in (plan.requeue_after, left) if wait is not None))


def _over(job: EmbeddingJob, seen: ObservedJob) -> JobPlan:
    """It is complete, or has failed: nothing changes but that its time to live runs out."""
    ttl = job.spec.ttl_seconds_after_finished
    left = None if ttl is None else float(ttl - seen.ended_for)
    plan = _end(job, seen, unsaid(job))
    return replace(plan, expired=left is not None and left <= 0, requeue_after=left)


def _end(job: EmbeddingJob, seen: ObservedJob, status: EmbeddingJobStatus) -> JobPlan:
    """Nothing runs any more after this."""
    return JobPlan(status, delete=tuple(str(one["metadata"]["name"]) for one in seen.jobs if not _has_ended(one)))


def _suspended(job: EmbeddingJob, seen: ObservedJob) -> JobPlan:
    deadline = job.spec.active_deadline_seconds  # of a Job that is resumed begins anew, and it was given what was left
    wanted: JsonObject = {"suspend": True} | ({} if deadline is None else {"activeDeadlineSeconds": deadline})
    changes = [_changed(one, wanted) for one in seen.jobs if not _has_ended(one)]
    return JobPlan(suspended(job, seen.pods), patch=tuple(filter(None, changes)))


def _proceed(job: EmbeddingJob, seen: ObservedJob, site: StagingSite) -> JobPlan:
    if seen.refused is not None:
        raise seen.refused
    basis = basis_of(job, seen, site) if job.status.key is None or _makes(job, seen) else None
    if isinstance(basis, Verdict):
        return JobPlan(said(job, job.status, basis))
    status = job.status
    if basis is not None:
        key = status.key or key_of(job, basis.served)
        status = replace(status, key=key, model=basis.model, resolved=basis.resolved)
    status = replace(status, start_time=status.start_time or seen.now)
    return _Phases(replace(job, status=status), seen, site, basis).plan()


def _makes(job: EmbeddingJob, seen: ObservedJob) -> bool:
    """Whether a Job may be made now, so that all that it is made from must be there."""
    jobs = [seen.job(name) for name in job_names(job, job.status.key or "")]
    return not any(one is not None and not _has_ended(one) for one in jobs)


def _other_weights(job: EmbeddingJob, seen: ObservedJob) -> str | None:
    """What embeds the rest of the rows would give vectors of another space; nothing is done before it is known."""
    cache = staged(seen.cache)
    now = seen.service.status.model.digest if seen.service is not None else cache.digest if cache is not None else None
    begun = job.status.model.digest
    if job.status.key is None or begun is None or now is None or begun == now:
        return None
    who = "the service" if seen.service is not None else "the ModelCache"
    return f"the job began with weights {begun}, and {who} has {now} by now"


def has_ended_in_silence(job: EmbeddingJob, seen: ObservedJob) -> bool:
    """Whether a Job is told to have ended and no pod of it says how: news of the two kinds overtake each other."""
    if is_over(job.status):
        return False
    split, work, finish = job_names(job, job.status.key or "")
    awaited = {finish: Finish, **({split: Split} if job.status.shards.total is None else {})}
    for name in (split, work, finish):
        current = seen.job(name)
        if current is None or not _has_ended(current):
            continue
        kind = Failure if has_condition(current, "Failed") else awaited.get(name)
        pods = seen.pods_of(name)
        if kind is not None and newest(pods, kind) is None:
            return True
        if kind is Failure and any(map(is_unfinished, pods)):
            return True
    return False


class _Phases:
    """The phase that a job is in. `basis` is None while one of its Jobs runs, for then none is made."""

    def __init__(self, job: EmbeddingJob, seen: ObservedJob, site: StagingSite, basis: Basis | None) -> None:
        self.job, self.seen, self.site, self.basis = job, seen, site, basis
        self.status = job.status
        self.key = job.status.key or ""
        self.split, self.work, self.finish = job_names(job, self.key)

    def plan(self) -> JobPlan:
        if self.seen.job(self.finish) is not None:
            return self._finishing()
        if self.status.shards.total is None:
            return self._splitting()
        return self._embedding()

    def _splitting(self) -> JobPlan:
        current = self.seen.job(self.split)
        if current is None:
            return self._start(self.split, Reason.SPLITTING, "the input is being listed")
        if not _has_ended(current):
            return self._running(current, Reason.SPLITTING, "the input is being listed")
        pods = self.seen.pods_of(self.split)
        if has_condition(current, "Failed"):
            return self._failed(current, pods)
        report = newest(pods, Split)
        if report is None:
            return JobPlan(said(self.job, self.status, lost("split")), delete=(self.split,))
        self.status = replace(
            self.status,
            shards=Shards(report.shards, report.finished, report.finished),
            total_bytes=report.bytes,
            total_rows=report.rows,
            files=report.files,
        )
        return self._embedding()

    def _embedding(self) -> JobPlan:
        total, reused = self.status.shards.total or 0, self.status.shards.reused or 0
        count = self.status.workers.indexes
        if total <= reused or (count and len(indexes(self.status.workers.completed)) >= count):
            return self._finishing()
        current = self.seen.job(self.work)
        if current is None:
            self.status = replace(self.status, workers=Workers(indexes=index_count(self.job, total - reused)))
            return self._start(self.work, Reason.EMBEDDING, "the workers are being made")
        pods = self.seen.pods_of(self.work)
        self._count(current, pods)
        if has_condition(current, "Complete"):
            return self._finishing()
        if has_condition(current, "Failed"):
            return self._failed(current, pods)
        verdict = embedding(
            self.job, self.status, current, pods, self.seen.stuck, service_is_silent(self.job, self.seen)
        )
        changes = _changed(current, {"suspend": False, "parallelism": parallelism(self.job)})
        return JobPlan(
            said(self.job, self.status, verdict),
            apply=scripts_of(self.job, self.seen, current),
            patch=tuple(filter(None, (changes,))),
            requeue_after=PROGRESS_POLL,
        )

    def _count(self, current: JsonObject, pods: list[JsonObject]) -> None:
        """Take in what the workers say."""
        ended = current.get("status") or {}
        count = int((current.get("spec") or {}).get("completions") or self.status.workers.indexes or 1)
        done = indexes(ended.get("completedIndexes"))
        total = self.status.shards.total or 0
        workers = Workers(
            indexes=count,
            active=int(ended.get("active") or 0),
            completed=ended.get("completedIndexes") or None,
            failed=ended.get("failedIndexes") or None,
        )
        self.status = replace(self.status, workers=workers)
        pages = self.seen.pages
        if pages is None and any(phase_of(pod) == "Running" for pod in pods):
            return  # nobody asked them: what was told last stands
        now = sums(pods, pages or {}, completed=done, count=count, shards=total)
        self.status = replace(self.status, **counted(self.status, now, total))

    def _finishing(self) -> JobPlan:
        done = replace(self.status.workers, active=None)
        self.status = replace(self.status, workers=done, progress=JobProgress(percent=self.status.progress.percent))
        current = self.seen.job(self.finish)
        told = "what the workers did is being joined"
        if current is None:
            return self._start(self.finish, Reason.FINISHING, told)
        if not _has_ended(current):
            return self._running(current, Reason.FINISHING, told)
        pods = self.seen.pods_of(self.finish)
        if has_condition(current, "Failed"):
            return self._failed(current, pods)
        report = newest(pods, Finish)
        if report is None:
            return JobPlan(said(self.job, self.status, lost("finish")), delete=(self.finish,))
        ended = str((current.get("status") or {}).get("completionTime") or self.seen.now)
        return _end(self.job, self.seen, completed(self.job, self.status, report, ended))

    def _start(self, name: str, reason: Reason, told: str) -> JobPlan:
        """Make the Job of that name. Without a basis one that is deleted runs still, and its end leads here again."""
        status = said(self.job, self.status, Verdict(reason, told))
        if self.basis is None:
            return JobPlan(status)
        given = (self.job, self.site, self.basis, self.key, self.seen)
        if name == self.work:
            made, config_map = work_job(*given, self.status.workers.indexes or 1)
            return JobPlan(status, apply=(config_map,) if config_map else (), create=(made,))
        return JobPlan(status, create=(split_job(*given) if name == self.split else finish_job(*given),))

    def _running(self, current: JsonObject, reason: Reason, told: str) -> JobPlan:
        pods = self.seen.pods_of(str(current["metadata"]["name"]))
        changes = _changed(current, {"suspend": False})
        verdict = running(current, pods, self.seen.stuck, reason, told)
        return JobPlan(said(self.job, self.status, verdict), patch=(changes,) if changes else ())

    def _failed(self, current: JsonObject, pods: list[JsonObject]) -> JobPlan:
        verdict = failed_verdict(current, failure(pods))
        return _end(self.job, self.seen, failed(self.job, self.status, verdict.reason, verdict.message))


def _has_ended(job: JsonObject) -> bool:
    return has_condition(job, "Complete") or has_condition(job, "Failed")


def _changed(job: JsonObject, wanted: JsonObject) -> tuple[str, JsonObject] | None:
    """The Job's name, and what of it is not as wanted."""
    spec = job.get("spec") or {}
    usual = {"suspend": False, "parallelism": 1}
    changes = {name: value for name, value in wanted.items() if spec.get(name, usual.get(name)) != value}
    return (str(job["metadata"]["name"]), {"spec": changes}) if changes else None
