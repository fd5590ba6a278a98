"""From a ModelCache and what was observed to its staging Job and status: pure, like all planning.

    no result yet ─► claim there? ─► Job ─► its progress ─► its result, kept in the status for good

What the Job says in its termination message alone drives the state. Where that message is lost, the Job is made
again and adopts what is already on the volume.
"""

from collections.abc import Sequence
from dataclasses import replace

from embedding_operator.api import names
from embedding_operator.api.conditions import Reason
from embedding_operator.api.json import JsonObject
from embedding_operator.api.modelcache import ModelCache, ModelCacheStatus, Progress
from embedding_operator.planning.cachestate import (
    CachePlan,
    ObservedCache,
    has_condition,
    is_staged,
    job_message,
    name_of,
    of_task,
    said,
    started_at,
    users_of,
)
from embedding_operator.planning.cleanjob import cleanup_job_name
from embedding_operator.planning.ending import finalizers, grow_old, needs_cleanup, plan_removal
from embedding_operator.planning.onenode import held_elsewhere
from embedding_operator.planning.pods import is_unfinished, phase_of, trouble
from embedding_operator.planning.scrub import plan_scrub
from embedding_operator.planning.sharing import agreed
from embedding_operator.planning.stagejob import StagingSite, job, job_name
from embedding_operator.planning.stagereport import PERMANENT, newest_report, reason_of
from embedding_operator.planning.verdict import Verdict

CLAIM_POLL = 15.0  # seconds until a missing claim is looked for again
PROGRESS_POLL = 5.0  # seconds between two looks at a download


def plan_cache(cache: ModelCache, seen: ObservedCache, site: StagingSite) -> CachePlan:
    """Plan one ModelCache; `site` is what the install says of staging Jobs."""
    cache = _with_facts(cache, seen)
    agreement = agreed(cache, seen.wishes)
    if needs_cleanup(cache):
        plan = plan_removal(cache, seen, site)
        # who still uses it may have changed its mind: nothing is removed before that is heard
        return replace(plan, create=(), delete=(), patch={"spec": agreement}) if agreement else plan
    changes = {"spec": agreement, "metadata": finalizers(cache)}
    plan = grow_old(cache, seen, _plan_staging(cache, seen, site))
    return replace(plan, patch={part: change for part, change in changes.items() if change})


def _with_facts(cache: ModelCache, seen: ObservedCache) -> ModelCache:
    """What Jobs are placed by is remembered in the status, and that one of them ran: of its pod nothing may be left."""
    modes = tuple(seen.claim_modes) or cache.status.access_modes
    began = started_at(cache, seen)
    return replace(cache, status=replace(cache.status, access_modes=modes, used_by=users_of(seen), started_at=began))


def _plan_staging(cache: ModelCache, seen: ObservedCache, site: StagingSite) -> CachePlan:
    if is_staged(cache):
        return plan_scrub(cache, seen, site, _staged_verdict(cache.status))
    seen = replace(seen, jobs=of_task(seen.jobs, names.STAGING_TASK), pods=of_task(seen.pods, names.STAGING_TASK))
    if seen.refused is not None:
        return _plan(cache, seen, Verdict(seen.refused.reason, seen.refused.message, stalled=True))
    wanted = job_name(cache)
    old = tuple(("Job", name_of(other)) for other in seen.jobs if name_of(other) != wanted)
    current = next((other for other in seen.jobs if name_of(other) == wanted), None)
    if current is None:
        return _start(cache, seen, site, old)
    if has_condition(current, "Complete"):
        return _finish(cache, seen, current, old)
    if has_condition(current, "Failed"):
        return _plan(cache, seen, _failed_verdict(cache, seen, current), delete=old)
    progress = _progress(cache, seen)
    verdict = _running_verdict(cache, seen, progress)
    return _plan(cache, seen, verdict, delete=old, requeue_after=PROGRESS_POLL, progress=progress)


def needs_claim_check(cache: ModelCache, jobs: Sequence[JsonObject]) -> bool:
    """Whether a Job is about to be made, so that the claim must be looked for."""
    if needs_cleanup(cache):
        return all(name_of(other) != cleanup_job_name(cache) for other in jobs)
    return not is_staged(cache) and all(name_of(other) != job_name(cache) for other in jobs)


def has_ended_in_silence(cache: ModelCache, jobs: Sequence[JsonObject], pods: Sequence[JsonObject]) -> bool:
    """Whether a Job is told to have ended and no pod of it says how: news of the two kinds overtake each other."""
    if needs_cleanup(cache):
        return _is_silent(names.CLEANUP_TASK, jobs, pods)
    tasks = (names.SCRUB_TASK, names.MENDING_TASK) if is_staged(cache) else (names.STAGING_TASK,)
    return any(_is_silent(task, jobs, pods) for task in tasks)


def _is_silent(task: str, jobs: Sequence[JsonObject], pods: Sequence[JsonObject]) -> bool:
    """What an earlier attempt said is not how the last one ended."""
    jobs, pods = of_task(jobs, task), of_task(pods, task)
    report = newest_report(pods)
    if any(has_condition(one, "Complete") for one in jobs):
        return report is None or report.result == "Failed"
    failed = any(has_condition(one, "Failed") for one in jobs)
    return failed and (report is None or any(map(is_unfinished, pods)))


def running_pod(pods: Sequence[JsonObject]) -> JsonObject | None:
    """The pod to ask for progress, or None."""
    running = [pod for pod in pods if phase_of(pod) == "Running"]
    return running[0] if running else None


def waits(pod: JsonObject) -> bool:
    """Whether it has not begun to run: perhaps its claim has no volume."""
    return phase_of(pod) == "Pending"


def _start(
    cache: ModelCache,
    seen: ObservedCache,
    site: StagingSite,
    old: tuple[tuple[str, str], ...],
) -> CachePlan:
    claim = cache.spec.storage.claim_name
    if seen.claim_exists is False:
        message = f"PersistentVolumeClaim {claim!r} does not exist in namespace {cache.metadata.namespace}: create it"
        return _plan(cache, seen, Verdict(Reason.CLAIM_NOT_FOUND, message), requeue_after=CLAIM_POLL, delete=old)
    verdict = Verdict(Reason.PENDING, "the staging Job is being made")
    return _plan(cache, seen, verdict, create=(job(cache, site, seen.cluster),), delete=old)


def _finish(cache: ModelCache, seen: ObservedCache, current: JsonObject, old: tuple[tuple[str, str], ...]) -> CachePlan:
    report = newest_report(seen.pods)
    if report is None or not report.is_staged:
        message = "the staging Job's result was lost; it runs again and adopts what is there"
        return _plan(cache, seen, Verdict(Reason.RETRYING, message), delete=(("Job", name_of(current)), *old))
    status = replace(
        cache.status,
        revision=report.revision,
        digest=report.digest,
        path=report.path,
        files=report.files,
        bytes=report.bytes,
        excluded=report.excluded,
        context_length=report.context,
        verified_at=(current.get("status") or {}).get("completionTime"),
        progress=None,
    )
    return CachePlan(said(cache, seen, status, _staged_verdict(status)), delete=old)


def _staged_verdict(status: ModelCacheStatus) -> Verdict:
    message = f"{status.files or 0} files, {human_bytes(status.bytes or 0)}, every byte verified"
    left_out = status.excluded
    if left_out and left_out.files:
        message += (
            f"; {left_out.files} files that the server does not read left out, {human_bytes(left_out.bytes or 0)}"
        )
    return Verdict(Reason.VERIFIED, message, ready=True)


def _failed_verdict(cache: ModelCache, seen: ObservedCache, current: JsonObject) -> Verdict:
    report = newest_report(seen.pods)
    reason = report.known_reason if report else Reason.INTERNAL
    words = (report.words if report else "") or job_message(current)
    again = f"kubectl delete job {name_of(current)} -n {cache.metadata.namespace}"
    return Verdict(reason, f"{words}; when mended, try again with `{again}`", stalled=True)


def _progress(cache: ModelCache, seen: ObservedCache) -> Progress | None:
    """What the stager says; where one look fails, what it said last, so that the status does not flap."""
    if seen.progress is None and running_pod(seen.pods) is not None:
        return cache.status.progress
    return seen.progress


def _unbound(claim: str) -> str:
    return (
        f"PersistentVolumeClaim {claim!r} has no volume: no PersistentVolume fits it, or nothing provisions its class; "
        f"`kubectl describe pvc {claim}` tells why"
    )


def _running_verdict(cache: ModelCache, seen: ObservedCache, progress: Progress | None) -> Verdict:
    found = trouble(seen.pods)
    if found is not None and found.reason is Reason.UNSCHEDULABLE and seen.claim_phase == "Pending":
        return Verdict(Reason.CLAIM_PENDING, _unbound(cache.spec.storage.claim_name))
    if found is not None:
        return Verdict(reason_of(found), found.message)
    last = newest_report([pod for pod in seen.pods if phase_of(pod) == "Failed"])
    if last is not None and last.known_reason in PERMANENT:
        return Verdict(last.known_reason, last.words)  # the Job is about to be marked as failed
    failed = f"; the last attempt failed: {last.words}" if last is not None and last.words else ""
    if progress is not None and progress.phase is not None:
        return Verdict(Reason(progress.phase), _told(progress) + failed)
    if running_pod(seen.pods) is not None:
        return Verdict(Reason.STAGING, f"the staging Job runs{failed}")
    if elsewhere := held_elsewhere(seen.pods, cache.spec.storage.claim_name, seen.nodes):
        return Verdict(Reason.CLAIM_NOT_SHARED, elsewhere)
    if (found := trouble(seen.pods, stuck=seen.stuck)) is not None:
        return Verdict(found.reason, f"{found.message}{failed}")
    starting = [name_of(pod) for pod in seen.pods if phase_of(pod) == "Pending"]
    if starting:
        return Verdict(
            Reason.STAGING, f"pod {starting[0]} has not started yet; `kubectl describe pod` says more{failed}"
        )
    waiting = "the staging Job makes a pod; if that lasts, `kubectl describe job` says what forbids it"
    return Verdict(Reason.RETRYING if failed else Reason.STAGING, f"{waiting}{failed}")


def _told(progress: Progress) -> str:
    if not progress.total_bytes:
        return "the hub is asked for the repository's files"
    return f"{progress.percent or 0} %, {human_bytes(progress.bytes or 0)} of {human_bytes(progress.total_bytes)}"


def _plan(
    cache: ModelCache,
    seen: ObservedCache,
    verdict: Verdict,
    *,
    create: tuple[JsonObject, ...] = (),
    delete: tuple[tuple[str, str], ...] = (),
    requeue_after: float | None = None,
    progress: Progress | None = None,
) -> CachePlan:
    status = replace(said(cache, seen, cache.status, verdict), progress=progress)
    return CachePlan(status, create, delete, requeue_after)


def human_bytes(count: int) -> str:
    """A byte count as people read it: 17.5 GB."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.95:  # what would be rounded up to 1000.0
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
