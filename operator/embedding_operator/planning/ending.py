"""The end of a ModelCache: nobody uses it any more, it is deleted, its files are removed.

The finalizer is there only where files are to be removed, and never waits for what may not come: it lets go when the
namespace ends (no Job can start there), the claim is gone, or the clean-up cannot run. It waits for one thing, as
that of a claim does: that no pod serves from the files.
"""

from dataclasses import replace
from typing import Final

from embedding_operator.api import names
from embedding_operator.api.codec import ApiValueError
from embedding_operator.api.conditions import Reason
from embedding_operator.api.json import JsonObject
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.api.quantity import parse_duration
from embedding_operator.planning.cachestate import (
    CachePlan,
    ObservedCache,
    has_condition,
    is_staged,
    job_message,
    name_of,
    of_task,
    said,
)
from embedding_operator.planning.cleanjob import cleanup_job, cleanup_job_name
from embedding_operator.planning.sharing import is_made
from embedding_operator.planning.stagejob import StagingSite
from embedding_operator.planning.stagereport import newest_report
from embedding_operator.planning.verdict import Verdict

_LOOK_AGAIN: Final = 60.0  # seconds: who reads the files by their path does not tell when it ends
MADE_TTL = 3600  # seconds; a service that is deleted and applied again must not fetch its weights again


def removes_files(cache: ModelCache) -> bool:
    """Whether the files go with the ModelCache. What somebody else put there never does."""
    return cache.spec.deletion_policy == "Delete" and cache.spec.source.path is None


def finalizers(cache: ModelCache) -> JsonObject:
    """The change of metadata that puts our finalizer where it belongs, or takes it away where it does not."""
    have = list(cache.metadata.finalizers or ())
    if removes_files(cache) == (names.CLEANUP_FINALIZER in have):
        return {}
    others = [name for name in have if name != names.CLEANUP_FINALIZER]
    return {"finalizers": [*others, names.CLEANUP_FINALIZER] if removes_files(cache) else others}


def time_to_live(cache: ModelCache) -> int | None:
    """Seconds that it stays without users, or None for ever."""
    written = cache.spec.ttl_after_unused
    if written is not None:
        try:
            return parse_duration(written)
        except ApiValueError:  # the schema refuses it; one stored before it is as good as none
            return None
    return MADE_TTL if is_made(cache) and removes_files(cache) else None


def grow_old(cache: ModelCache, seen: ObservedCache, plan: CachePlan) -> CachePlan:
    """The same plan, with the time without users in it, and the end of it."""
    ttl = time_to_live(cache)
    if ttl is None or seen.users or seen.jobs_using or seen.in_history:
        return replace(plan, status=replace(plan.status, unused_since=None))
    since = cache.status.unused_since
    left = float(ttl) if since is None else float(ttl - seen.unused_for)
    if left <= 0:
        return replace(plan, expired=True)
    sooner = left if plan.requeue_after is None else min(left, plan.requeue_after)
    return replace(plan, status=replace(plan.status, unused_since=since or seen.now), requeue_after=sooner)


def needs_cleanup(cache: ModelCache) -> bool:
    """Whether a deletion waits for us."""
    return cache.metadata.deletion_timestamp is not None and names.CLEANUP_FINALIZER in (
        cache.metadata.finalizers or ()
    )


def reads_files_of(other: ModelCache, cache: ModelCache) -> bool:
    """Whether the path source of another ModelCache is, holds or lies in the directory that goes with this one."""
    source, path = other.spec.source.path, cache.status.path
    if source is None or path is None or other.spec.storage.claim_name != cache.spec.storage.claim_name:
        return False
    mine, theirs = _folders(cache.spec.storage.sub_path, path), _folders(other.spec.storage.sub_path, source.path)
    return all(one == another for one, another in zip(mine, theirs, strict=False))


def _folders(sub_path: str | None, path: str) -> list[str]:
    return [folder for folder in f"{sub_path or ''}/{path}".split("/") if folder]


def plan_removal(cache: ModelCache, seen: ObservedCache, site: StagingSite) -> CachePlan:
    """Plan a ModelCache that is being deleted and has our finalizer."""
    claim = cache.spec.storage.claim_name
    if seen.namespace_ends:
        return _let_go(cache, seen, _kept(cache, "the namespace ends, and no clean-up can start there"))
    if not removes_files(cache):
        return _let_go(cache, seen, _kept(cache, "deletionPolicy is not Delete"))
    done = of_task(seen.jobs, names.CLEANUP_TASK)
    busy = tuple(("Job", name_of(job)) for job in seen.jobs if job not in done)
    current = next((job for job in done if name_of(job) == cleanup_job_name(cache)), None)
    if current is None and not is_staged(cache) and cache.status.started_at is None:
        return _let_go(cache, seen, Verdict(Reason.FILES_KEPT, "nothing was staged that could be removed", ready=True))
    if current is not None and has_condition(current, "Complete"):
        return _let_go(cache, seen, _result(cache, seen))
    if current is not None and has_condition(current, "Failed"):
        report = newest_report(of_task(seen.pods, names.CLEANUP_TASK))
        words = (report.words if report else "") or job_message(current)
        return _let_go(cache, seen, _kept(cache, f"the clean-up could not run: {words}"))
    if current is not None:
        verdict = Verdict(Reason.CLEANING_UP, f"Job {name_of(current)} removes {_files(cache)} from claim {claim}")
        return CachePlan(said(cache, seen, cache.status, verdict), delete=busy)
    if seen.claim_exists is False:
        return _let_go(cache, seen, _kept(cache, f"claim {claim} is gone"))
    if seen.serving:
        return CachePlan(said(cache, seen, cache.status, _in_use(seen)), requeue_after=_LOOK_AGAIN)
    if seen.refused is not None and seen.may_pass:
        why = f"the clean-up could not start yet, and is tried again: {seen.refused.message}"
        return CachePlan(said(cache, seen, cache.status, Verdict(Reason.CLEANING_UP, why)))
    if seen.refused is not None:
        return _let_go(cache, seen, _kept(cache, f"the clean-up could not start: {seen.refused.message}"))
    verdict = Verdict(Reason.CLEANING_UP, "the clean-up Job is being made")
    status = said(cache, seen, cache.status, verdict)
    made = (cleanup_job(cache, site, seen.cluster),)
    # a download ends STRICTLY AFTER: its pods are what tells that there is something to remove
    return CachePlan(status, create=made, delete=busy if is_staged(cache) else ())


def _files(cache: ModelCache) -> str:
    return cache.status.path or "what was not finished"


def _in_use(seen: ObservedCache) -> Verdict:
    more = f" and {len(seen.serving) - 3} more" if len(seen.serving) > 3 else ""
    users = ", ".join(sorted(seen.serving)[:3])
    return Verdict(Reason.IN_USE, f"is deleted once no pod of {users}{more} serves from it any more", ready=True)


def _result(cache: ModelCache, seen: ObservedCache) -> Verdict:
    report = newest_report(of_task(seen.pods, names.CLEANUP_TASK))
    if report is not None and report.result == "Removed":
        return Verdict(Reason.CLEANED_UP, report.words, ready=True)
    if report is None:
        where = f"{_files(cache)} may be gone from claim {cache.spec.storage.claim_name} or not"
        return Verdict(Reason.FILES_KEPT, f"{where}: the clean-up ended, and what it said was lost", ready=True)
    return _kept(cache, report.words)


def _kept(cache: ModelCache, why: str) -> Verdict:
    where = f"{_files(cache)} stays on claim {cache.spec.storage.claim_name}"
    return Verdict(Reason.FILES_KEPT, f"{where}: {why}", ready=True)


def _let_go(cache: ModelCache, seen: ObservedCache, verdict: Verdict) -> CachePlan:
    rest = [name for name in cache.metadata.finalizers or () if name != names.CLEANUP_FINALIZER]
    return CachePlan(said(cache, seen, cache.status, verdict), patch={"metadata": {"finalizers": rest}})
