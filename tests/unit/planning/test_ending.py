"""Given a ModelCache that nobody uses, or that is deleted: what becomes of it and of its files."""

import json
from typing import Any

import pytest

from embedding_operator.api.conditions import Reason
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.planning.cacheplan import needs_claim_check, plan_cache
from embedding_operator.planning.cachestate import CachePlan, ObservedCache
from embedding_operator.planning.cleanjob import cleanup_job, cleanup_job_name
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.stagejob import StagingSite, job, job_name
from embedding_operator.planning.weights import staged
from embedding_operator.staging.clean import parse_clean_spec
from tests.unit.planning import given

SITE = StagingSite("example.com/operator:1")
FINALIZER = "embedding-operator.io/cleanup"
MADE = {"app.kubernetes.io/managed-by": "embedding-operator"}
NOW = "2026-01-02T03:04:05Z"


def cache(*, staged: bool = True, deleted: bool = False, made: bool = True, **spec: Any) -> ModelCache:
    """The ModelCache of the README's service, with `deletionPolicy: Delete`."""
    obj = given.cache(staged=staged, **spec.pop("status", {})).to_dict()
    obj["spec"] |= {"deletionPolicy": "Delete"} | spec
    obj["spec"] = {field: value for field, value in obj["spec"].items() if value is not None}
    obj["metadata"] |= {"labels": MADE} if made else {}
    if deleted:
        obj["metadata"] |= {"deletionTimestamp": NOW, "finalizers": ["somebody/else", FINALIZER]}
    return ModelCache.from_dict(obj)


def plan(of: ModelCache, **seen: Any) -> CachePlan:
    return plan_cache(of, ObservedCache(**{"now": NOW, "claim_exists": True} | seen), SITE)


def ready(planned: CachePlan) -> tuple[str, str]:
    (found,) = [c for c in planned.status.conditions if c.type == "Ready"]
    return str(found.reason), found.message


def clean_job(of: ModelCache, condition: str | None = None) -> dict[str, Any]:
    made = cleanup_job(of, SITE, "c1")
    conditions = [{"type": condition, "status": "True", "message": "Job's own words"}] if condition else []
    return made | {"status": {"conditions": conditions}}


def clean_pod(message: dict[str, Any]) -> dict[str, Any]:
    ended = [{"state": {"terminated": {"message": json.dumps(message)}}}]
    pod = given.pod("clean-x", phase="Succeeded", conditions=[], containerStatuses=ended)
    pod["metadata"]["labels"] = {"app.kubernetes.io/name": "model-cleanup"}
    return pod


def stager(phase: str) -> dict[str, Any]:
    pod = given.pod("stage-x", phase=phase, conditions=[])
    pod["metadata"]["labels"] = {"app.kubernetes.io/name": "model-staging"}
    return pod


# ---- the finalizer


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [({}, True), ({"deletionPolicy": "Retain"}, False), ({"deletionPolicy": None}, False)],
)
def test_only_what_removes_its_files_holds_up_its_deletion(spec: dict[str, Any], wanted: bool) -> None:
    patch = plan(cache(**spec)).patch
    assert patch == ({"metadata": {"finalizers": [FINALIZER]}} if wanted else {})


def test_files_of_a_path_source_are_never_ours_to_remove() -> None:
    source = {"path": {"path": "models/mine"}}
    assert plan(cache(source=source)).patch == {}
    gone = plan(cache(source=source, deleted=True))
    assert (gone.create, gone.patch) == ((), {"metadata": {"finalizers": ["somebody/else"]}})


def test_a_finalizer_is_taken_away_when_the_files_are_to_stay_and_others_are_left_alone() -> None:
    obj = cache(deletionPolicy="Retain").to_dict()
    obj["metadata"]["finalizers"] = ["a/b", FINALIZER, "c/d"]
    assert plan(ModelCache.from_dict(obj)).patch == {"metadata": {"finalizers": ["a/b", "c/d"]}}


# ---- unused


def test_without_users_the_time_begins_to_run_and_is_looked_at_again_in_time() -> None:
    planned = plan(cache(ttlAfterUnused="2h"))
    assert (planned.status.unused_since, planned.requeue_after, planned.expired) == (NOW, 7200, False)
    later = plan(cache(ttlAfterUnused="2h", status={"unusedSince": NOW}), unused_for=7000, now="2026-02-02T00:00:00Z")
    assert (later.status.unused_since, later.requeue_after, later.expired) == (NOW, 200, False)
    over = plan(cache(ttlAfterUnused="2h", status={"unusedSince": NOW}), unused_for=7200)
    assert over.expired


@pytest.mark.parametrize("seen", [{"users": ["a"]}, {"in_history": True}])
def test_whoever_uses_it_or_may_go_back_to_it_stops_the_time(seen: dict[str, Any]) -> None:
    used = plan(cache(ttlAfterUnused="2h", status={"unusedSince": NOW}), unused_for=9999, **seen)
    assert (used.status.unused_since, used.expired) == (None, False)


@pytest.mark.parametrize(
    ("spec", "made", "seconds"),
    [
        ({}, True, 3600),  # the operator made it, and its files go with it: an hour to apply a service again
        ({"deletionPolicy": "Retain"}, True, None),
        ({}, False, None),  # a person's own stays until that person says so
        ({"ttlAfterUnused": "5s"}, False, 5),
        ({"deletionPolicy": None, "ttlAfterUnused": "5s"}, True, 5),
    ],
)
def test_how_long_it_stays_without_users(spec: dict[str, Any], made: bool, seconds: int | None) -> None:
    planned = plan(cache(made=made, **spec))
    assert planned.requeue_after == seconds
    assert (planned.status.unused_since is None) == (seconds is None)


def test_a_download_that_nobody_waits_for_any_more_is_looked_at_as_often_as_before() -> None:
    loading = cache(staged=False, ttlAfterUnused="2h")
    running = {"metadata": {"name": job_name(loading)}, "status": {}}
    assert (plan(loading, jobs=[running]).requeue_after or 0) < 60


# ---- deleted


def test_once_no_pod_reads_them_a_job_removes_the_files() -> None:
    gone = cache(deleted=True)
    used = plan(gone, users=["a", "b"], serving=["a"])
    assert (used.create, used.patch, ready(used)[0]) == ((), {}, "InUse")
    assert "no pod of a serves from it" in ready(used)[1]
    planned = plan(gone, users=["b"], cluster="c1")  # b waits for it, and gets a new one
    (made,) = planned.create
    assert made["metadata"]["name"] == cleanup_job_name(gone)
    assert "ownerReferences" not in made["metadata"]
    assert ready(planned)[0] == "CleaningUp"
    running = plan(gone, jobs=[clean_job(gone)])
    assert (running.create, running.patch, ready(running)[0]) == ((), {}, "CleaningUp")


def test_a_change_of_mind_is_heard_before_anything_is_removed() -> None:
    planned = plan(cache(deleted=True), users=["b"], wishes=[{"deletionPolicy": "Retain"}])
    assert (planned.create, planned.patch["spec"]["deletionPolicy"]) == ((), "Retain")
    assert plan(cache(deleted=True, deletionPolicy="Retain"), users=["b"], serving=["b"]).patch == LET_GO


def test_the_stager_reads_what_the_planner_writes() -> None:
    made = cleanup_job(cache(deleted=True), SITE, "c1")
    (container,) = made["spec"]["template"]["spec"]["containers"]
    command, _, text = container["args"]
    spec = parse_clean_spec(text)
    assert (command, spec.user, spec.root) == ("clean", "c1_search_u-2", "/cache")
    assert (spec.path, spec.digest) == (given.cache().status.path, given.DIGEST)
    (stager,) = job(cache(), SITE, "c1")["spec"]["template"]["spec"]["containers"]
    assert json.loads(stager["args"][2])["user"] == spec.user


def test_staging_jobs_end_before_the_files_go() -> None:
    gone = cache(deleted=True)
    other = {"metadata": {"name": "stage-x"}, "status": {}}
    assert plan(gone, jobs=[other]).delete == (("Job", "stage-x"),)


LET_GO = {"metadata": {"finalizers": ["somebody/else"]}}


@pytest.mark.parametrize(
    ("result", "reason", "words"),
    [
        ({"result": "Removed", "message": "x is removed, 17.5 GiB"}, "CleanedUp", "x is removed, 17.5 GiB"),
        ({"result": "Kept", "message": "others still use the files: c2_b_u"}, "FilesKept", "others still use"),
        ({"nonsense": 1}, "FilesKept", "what it said was lost"),
    ],
)
def test_when_the_job_has_ended_the_finalizer_lets_go_and_says_what_came_of_it(
    result: dict[str, Any], reason: str, words: str
) -> None:
    gone = cache(deleted=True)
    planned = plan(gone, jobs=[clean_job(gone, "Complete")], pods=[clean_pod(result)])
    assert planned.patch == LET_GO
    assert ready(planned)[0] == reason
    assert words in ready(planned)[1]


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ({"namespace_ends": True}, "the namespace ends"),
        ({"claim_exists": False}, "claim model-weights is gone"),
        ({"claim_exists": False, "serving": ["a"]}, "claim model-weights is gone"),
        ({"refused": PlanError(Reason.APPLY_REFUSED, "exceeded quota")}, "could not start: exceeded quota"),
    ],
)
def test_the_finalizer_never_waits_for_what_cannot_come(seen: dict[str, Any], words: str) -> None:
    planned = plan(cache(deleted=True), **seen)
    assert (planned.create, planned.patch) == ((), LET_GO)
    assert ready(planned)[0] == "FilesKept"
    assert words in ready(planned)[1]
    assert "stays on claim model-weights" in ready(planned)[1]


def test_what_is_forbidden_for_a_moment_is_waited_for() -> None:
    """An API server that has just started forbids everything, and a quota is full for a minute."""
    planned = plan(cache(deleted=True), refused=PlanError(Reason.APPLY_REFUSED, "exceeded quota"), may_pass=True)
    assert (planned.create, planned.patch) == ((), {})
    assert ready(planned) == (
        "CleaningUp",
        "the clean-up could not start yet, and is tried again: exceeded quota",
    )


def test_a_clean_up_that_cannot_run_lets_go_in_its_own_words_or_the_jobs() -> None:
    gone = cache(deleted=True)
    told = clean_pod({"result": "Failed", "reason": "ReadOnly", "message": "no permission to write x"})
    planned = plan(gone, jobs=[clean_job(gone, "Failed")], pods=[told])
    assert planned.patch == LET_GO
    assert "could not run: no permission to write x" in ready(planned)[1]
    assert "Job's own words" in ready(plan(gone, jobs=[clean_job(gone, "Failed")]))[1]


def test_what_never_began_is_let_go_at_once() -> None:
    gone = cache(deleted=True, staged=False)
    for seen in ({}, {"jobs": [job(gone, SITE)]}, {"jobs": [job(gone, SITE)], "pods": [stager("Pending")]}):
        planned = plan(gone, **seen)
        assert (planned.create, planned.patch) == ((), LET_GO)
        assert ready(planned) == ("FilesKept", "nothing was staged that could be removed")


@pytest.mark.parametrize("phase", ["Running", "Failed", "Succeeded"])
def test_what_was_begun_and_not_finished_is_removed_too(phase: str) -> None:
    gone = cache(deleted=True, staged=False)
    downloading = job(gone, SITE)
    begun = plan(gone, jobs=[downloading], pods=[stager(phase)], cluster="c1")
    (made,) = begun.create
    spec = parse_clean_spec(made["spec"]["template"]["spec"]["containers"][0]["args"][2])
    assert (spec.path, spec.digest, spec.user) == (None, None, "c1_search_u-2")
    assert (begun.delete, begun.patch) == ((), {})  # were it killed here, the next one could not tell
    removing = plan(gone, jobs=[downloading, clean_job(gone)], pods=[stager(phase)])
    assert removing.delete == (("Job", downloading["metadata"]["name"]),)
    assert "removes what was not finished from claim" in ready(removing)[1]
    assert plan(gone, jobs=[clean_job(gone)]).patch == {}  # the stager's pods are gone, and it goes on
    kept = plan(gone, jobs=[clean_job(gone, "Failed")])
    assert kept.patch == LET_GO
    assert ready(kept)[1].startswith("what was not finished stays on claim model-weights")


@pytest.mark.parametrize("phase", ["Running", "Failed", "Succeeded"])
def test_that_a_stager_ran_is_remembered_when_nothing_is_left_of_its_pods(phase: str) -> None:
    loading = cache(staged=False)
    ran = plan(loading, jobs=[job(loading, SITE)], pods=[stager(phase)])
    assert ran.status.started_at == NOW
    assert plan(loading, jobs=[job(loading, SITE)], pods=[stager("Pending")]).status.started_at is None
    later = plan(cache(staged=False, status={"startedAt": NOW}), now="2026-02-02T00:00:00Z")
    assert later.status.started_at == NOW
    gone = cache(staged=False, deleted=True, status={"startedAt": NOW})
    (made,) = plan(gone, jobs=[job(gone, SITE)], cluster="c1").create
    assert made["metadata"]["name"] == cleanup_job_name(gone)


def test_the_claim_is_looked_for_before_a_clean_up_is_made_and_not_after() -> None:
    gone = cache(deleted=True)
    assert needs_claim_check(gone, [])
    assert not needs_claim_check(gone, [clean_job(gone)])


def test_nobody_new_is_served_from_files_that_go() -> None:
    assert staged(cache(deleted=True)) is None
    service = given.service()
    waiting = given.plan(service, given.seen(cache=cache(deleted=True)))
    assert waiting.apply == ()
    assert given.conditions(waiting)["Ready"][1:] == (
        "WaitingForWeights",
        f"ModelCache {waiting.status.model.cache} is being deleted",
    )


def test_a_service_that_serves_from_them_goes_on() -> None:
    service = given.service()
    revisions = given.stored(given.plan(service, given.seen(cache=given.cache())))
    planned = given.plan(service, given.seen(cache=cache(deleted=True), revisions=revisions))
    assert "Deployment" in given.kinds(planned)
    assert given.child(planned, "Deployment")["spec"]["template"] == revisions[0].template


def test_jobs_and_pods_of_one_task_are_not_taken_for_those_of_another() -> None:
    loading = cache(staged=False)
    removing = clean_job(loading) | {"metadata": clean_job(cache())["metadata"]}
    planned = plan(loading, jobs=[removing], pods=[clean_pod({"result": "Removed", "message": ""})])
    assert planned.delete == ()
    assert [one["metadata"]["name"] for one in planned.create] == [job_name(loading)]
