"""Weights are read again on a schedule, and a damaged file is fetched again by itself.

    verified ─► interval over ─► Job that reads ─┬► all well: verified now
                                                 └► damaged ─► Job that mends ─► verified now

The first Job has no network to reach, no credentials and a read-only mount. The second one is the staging Job, held to
the revision and the digest that were staged: other weights never come of it. Services go on all the while.
"""

import json
from dataclasses import replace

from embedding_operator.api import names
from embedding_operator.api.codec import ApiValueError
from embedding_operator.api.conditions import Reason
from embedding_operator.api.json import JsonObject
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.api.quantity import parse_duration, parse_quantity
from embedding_operator.planning.cachestate import (
    CachePlan,
    ObservedCache,
    has_condition,
    job_message,
    name_of,
    of_task,
    said,
)
from embedding_operator.planning.network import FASTEST
from embedding_operator.planning.stagejob import CACHE_MOUNT, StagingSite, mending_job, reading_job
from embedding_operator.planning.stagereport import Report, newest_report
from embedding_operator.planning.verdict import Verdict

_SHORTEST = 60  # seconds between two readings, whatever was stored before the schema asked for so many
DEFAULT_RATE = 100 * 2**20  # bytes a second
_TASKS = (names.SCRUB_TASK, names.MENDING_TASK)
_UNDER_WAY = "it is being fetched again"
_DAMAGE = frozenset({Reason.CHECKSUM_MISMATCH, Reason.DIGEST_MISMATCH, Reason.NOT_FOUND})


def interval(cache: ModelCache) -> int | None:
    """Seconds between two readings, or None for never."""
    try:
        return max(_SHORTEST, parse_duration(cache.spec.verify.interval)) if cache.spec.verify.interval else None
    except ApiValueError:  # the schema refuses it; one stored before it is as good as none
        return None


def seconds_left(cache: ModelCache, seen: ObservedCache) -> int | None:
    """How long until the weights must be read again; None for never."""
    period = interval(cache)
    if period is None:
        return None
    if cache.status.verified_at is None:
        return 0
    return max(0, period - seen.verified_for)


def job_names(cache: ModelCache) -> tuple[str, str]:
    """The Jobs of this round: one that reads, one that mends. A round begins where the last one verified."""
    inputs = [cache.metadata.uid, cache.status.verified_at, cache.status.digest, cache.spec.stager.to_dict()]
    return names.scrub_job_name(cache.metadata.name, inputs), names.mending_job_name(cache.metadata.name, inputs)


def plan_scrub(cache: ModelCache, seen: ObservedCache, site: StagingSite, well: Verdict) -> CachePlan:
    """Plan proven weights; `well` is what is said of them while nothing is wrong."""
    mine = [job for task in _TASKS for job in of_task(seen.jobs, task)]
    left = seconds_left(cache, seen)
    if left is None:
        return _plan(cache, seen, well, delete=tuple(("Job", name_of(job)) for job in mine))
    reading, mending = (next((job for job in mine if name_of(job) == name), None) for name in job_names(cache))
    old = tuple(("Job", name_of(job)) for job in mine if name_of(job) not in job_names(cache))
    if mending is not None:
        return _mending(cache, seen, mending, well, old)
    if reading is None:
        if left > 0:
            return replace(_plan(cache, seen, well, delete=old), requeue_after=float(left))
        if seen.refused is not None:
            return _plan(cache, seen, _unread(well, seen.refused.message), delete=old)
        return _plan(cache, seen, well, create=(_reading_job(cache, site),), delete=old)
    if has_condition(reading, "Complete"):
        return _verified(cache, seen, reading, well, old)
    if not has_condition(reading, "Failed"):
        return _plan(cache, seen, well, delete=old)
    report = newest_report(of_task(seen.pods, names.SCRUB_TASK))
    if report is None or report.known_reason not in _DAMAGE:
        words = (report.words if report else "") or job_message(reading)
        return _plan(cache, seen, _unread(well, words), delete=old)
    if cache.spec.source.path is not None:
        message = f"{report.words}: put the files there again, then `{_again(cache, reading)}`"
        return _plan(cache, seen, Verdict(Reason.DAMAGED, message, stalled=True), delete=old)
    if seen.refused is not None:
        message = f"{report.words}; it could not be fetched again: {seen.refused.message}"
        return _plan(cache, seen, Verdict(Reason.DAMAGED, message, stalled=True), delete=old)
    mending = mending_job(cache, site, job_names(cache)[1], seen.cluster)
    return _plan(cache, seen, Verdict(Reason.DAMAGED, f"{report.words}; {_UNDER_WAY}"), create=(mending,), delete=old)


def _mending(
    cache: ModelCache, seen: ObservedCache, mending: JsonObject, well: Verdict, old: tuple[tuple[str, str], ...]
) -> CachePlan:
    report = newest_report(of_task(seen.pods, names.MENDING_TASK))
    if has_condition(mending, "Complete"):
        return _mended(cache, seen, mending, report, well, old)
    found = newest_report(of_task(seen.pods, names.SCRUB_TASK))
    words = found.words if found else "a file is damaged"
    if not has_condition(mending, "Failed"):
        return _plan(cache, seen, Verdict(Reason.DAMAGED, f"{words}; {_UNDER_WAY}"), delete=old)
    why = (report.words if report else "") or job_message(mending)
    message = f"{words}; it could not be fetched again: {why}; when mended, try again with `{_again(cache, mending)}`"
    return _plan(cache, seen, Verdict(Reason.DAMAGED, message, stalled=True), delete=old)


def _mended(
    cache: ModelCache,
    seen: ObservedCache,
    mending: JsonObject,
    report: Report | None,
    well: Verdict,
    old: tuple[tuple[str, str], ...],
) -> CachePlan:
    count = (report.mended or 0) if report else 0
    if count:
        were = "1 file was" if count == 1 else f"{count} files were"
        well = replace(well, message=f"{well.message}; {were} damaged and fetched again")
    return _verified(cache, seen, mending, well, old)


def _verified(
    cache: ModelCache, seen: ObservedCache, job: JsonObject, well: Verdict, old: tuple[tuple[str, str], ...]
) -> CachePlan:
    """The time of this round's end names the next one's Jobs, so this round's are old from then on."""
    at = (job.get("status") or {}).get("completionTime") or seen.now
    plan = _plan(cache, seen, well, delete=old)
    return replace(plan, status=replace(plan.status, verified_at=at), requeue_after=0.0)


def _unread(well: Verdict, why: str) -> Verdict:
    return replace(well, message=f"{well.message}; they could not be read again: {why}")


def _plan(
    cache: ModelCache,
    seen: ObservedCache,
    verdict: Verdict,
    *,
    create: tuple[JsonObject, ...] = (),
    delete: tuple[tuple[str, str], ...] = (),
) -> CachePlan:
    status = replace(said(cache, seen, cache.status, verdict), progress=None)
    return CachePlan(status, create=create, delete=delete)


def _reading_job(cache: ModelCache, site: StagingSite) -> JsonObject:
    rate = cache.spec.verify.bytes_per_second
    spec: JsonObject = {
        "source": {"path": {"path": cache.status.path}},
        "root": CACHE_MOUNT,
        "digest": cache.status.digest,
        "parallelism": 1,
        "readBytesPerSecond": max(1, int(min(parse_quantity(rate), FASTEST))) if rate else DEFAULT_RATE,
        "progressPort": None,
    }
    return reading_job(cache, site, job_names(cache)[0], json.dumps(spec, sort_keys=True))


def _again(cache: ModelCache, job: JsonObject) -> str:
    return f"kubectl delete job {name_of(job)} -n {cache.metadata.namespace}"
