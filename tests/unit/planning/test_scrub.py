"""Given proven weights that are to be read again now and then: which Jobs, and what is said."""

import json
from typing import Any

import pytest

from embedding_operator.api.conditions import Reason
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.planning.cacheplan import plan_cache
from embedding_operator.planning.cachestate import CachePlan, ObservedCache
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.scrub import job_names
from embedding_operator.planning.stagejob import StagingSite
from embedding_operator.staging.spec import parse_spec
from tests.unit.planning import given
from tests.unit.planning.caches import ready

SITE = StagingSite("example.com/operator:1", (("HTTPS_PROXY", "http://p:1"),))
AT, THEN = "2026-01-02T03:04:05Z", "2026-01-09T03:09:00Z"
WEEK = 7 * 24 * 3600


def cache(*, source: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **verify: Any) -> ModelCache:
    obj = given.cache(**({"verifiedAt": AT, "files": 3, "bytes": 100} | (status or {}))).to_dict()
    obj["spec"] |= {"verify": {"interval": "168h"} | verify} | ({"source": source} if source else {})
    return ModelCache.from_dict(obj)


def plan(of: ModelCache, **seen: Any) -> CachePlan:
    return plan_cache(of, ObservedCache(**{"cluster": "c1", "now": THEN, "verified_for": WEEK} | seen), SITE)


def stalled(planned: CachePlan) -> bool:
    return "Stalled" in [c.type for c in planned.status.conditions]


def round_job(of: ModelCache, task: str, condition: str | None = None) -> dict[str, Any]:
    name = job_names(of)[task == "model-mending"]
    status: dict[str, Any] = {"completionTime": THEN} if condition == "Complete" else {}
    status["conditions"] = [{"type": condition, "status": "True", "message": "own words"}] if condition else []
    return {"metadata": {"name": name, "labels": {"app.kubernetes.io/name": task}}, "status": status}


def pod_of(task: str, message: dict[str, Any]) -> dict[str, Any]:
    ended = [{"state": {"terminated": {"message": json.dumps(message)}}}]
    pod = given.pod(f"{task}-x", phase="Failed", conditions=[], containerStatuses=ended)
    pod["metadata"]["labels"] = {"app.kubernetes.io/name": task}
    return pod


def spec_of(job: dict[str, Any]) -> str:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return str(container["args"][2])


SCRUB, MEND = "model-scrub", "model-mending"
FAILED = {"result": "Failed", "reason": "ChecksumMismatch", "message": "x/model.safetensors: expected a, got b"}


def test_nothing_is_read_before_its_time_nor_without_an_interval() -> None:
    early = plan(cache(), verified_for=WEEK - 100)
    assert (early.create, early.requeue_after) == ((), 100.0)
    never = plan(given.cache(), verified_for=WEEK)
    assert (never.create, never.requeue_after) == ((), None)


def test_what_was_stored_before_the_schema_asked_for_a_minute_is_read_once_a_minute() -> None:
    assert plan(cache(interval="0s"), verified_for=50).requeue_after == 10.0


@pytest.mark.parametrize(
    ("rate", "bytes_per_second"),
    [(None, 100 * 2**20), ("1Mi", 2**20), ("0.5", 1), (2000, 2000), ("1E5000", 2**62)],
)
def test_when_it_is_time_a_job_reads_what_was_staged_slowly_and_can_do_nothing_else(
    rate: Any, bytes_per_second: int
) -> None:
    of = cache(**({"bytesPerSecond": rate} if rate else {}))
    (job,) = plan(of).create
    spec = parse_spec(spec_of(job))
    assert spec.source.path is not None
    assert (spec.source.path.path, spec.digest) == (of.status.path, given.DIGEST)
    assert spec.read_bytes_per_second == bytes_per_second
    pod = job["spec"]["template"]["spec"]
    assert pod["containers"][0]["volumeMounts"][0]["readOnly"]
    assert "env" not in pod["containers"][0]
    assert "fsGroup" not in pod["securityContext"]
    assert ready(plan(of))[:2] == ("True", "Verified")


def test_what_was_never_dated_is_read_at_once() -> None:
    assert plan(cache(status={"verifiedAt": None}), verified_for=0).create


def test_one_round_has_one_job_and_its_end_is_the_next_rounds_beginning() -> None:
    of = cache()
    assert plan(of, jobs=[round_job(of, SCRUB)]).create == ()
    done = plan(of, jobs=[round_job(of, SCRUB, "Complete")])
    assert (done.status.verified_at, done.requeue_after) == (THEN, 0.0)
    after = cache(status={"verifiedAt": THEN})
    next_round = plan(after, jobs=[round_job(of, SCRUB, "Complete")], verified_for=0)
    assert next_round.delete == (("Job", job_names(of)[0]),)
    assert next_round.create == ()
    assert job_names(after) != job_names(of)


def test_damage_is_told_and_fetched_again_at_the_revision_that_was_staged() -> None:
    of = cache()
    planned = plan(of, jobs=[round_job(of, SCRUB, "Failed")], pods=[pod_of(SCRUB, FAILED)])
    assert ready(planned) == (
        "False",
        "Damaged",
        "x/model.safetensors: expected a, got b; it is being fetched again",
    )
    assert not stalled(planned)
    assert (planned.status.path, planned.status.digest) == (of.status.path, of.status.digest)  # services go on
    (job,) = planned.create
    spec = parse_spec(spec_of(job))
    assert spec.source.model_scope is not None
    assert (spec.source.model_scope.revision, spec.digest, spec.verify) == ("9c3d", given.DIGEST, True)
    assert spec.user == "c1_search_u-2"
    assert job["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "HTTPS_PROXY", "value": "http://p:1"}]


def test_a_hub_without_commits_is_asked_for_the_branch_and_held_to_the_digest() -> None:
    of = cache(status={"revision": "listing-0123"})
    (job,) = plan(of, jobs=[round_job(of, SCRUB, "Failed")], pods=[pod_of(SCRUB, FAILED)]).create
    spec = parse_spec(spec_of(job))
    assert spec.source.model_scope is not None
    assert (spec.source.model_scope.revision, spec.digest) == ("master", given.DIGEST)
    assert spec.directory == of.status.path, "the branch may be called otherwise by now"


@pytest.mark.parametrize(("mended", "words"), [(1, "1 file was damaged"), (2, "2 files were damaged"), (0, "verified")])
def test_what_is_mended_is_verified_again_and_says_so(mended: int, words: str) -> None:
    of = cache()
    staged = {"result": "Staged", "digest": given.DIGEST, "path": of.status.path, "mended": mended}
    jobs = [round_job(of, SCRUB, "Failed"), round_job(of, MEND, "Complete")]
    planned = plan(of, jobs=jobs, pods=[pod_of(SCRUB, FAILED), pod_of(MEND, staged)])
    assert ready(planned)[:2] == ("True", "Verified")
    assert words in ready(planned)[2]
    assert planned.status.verified_at == THEN


def test_while_it_is_mended_and_if_that_fails_it_stays_damaged() -> None:
    of = cache()
    under_way = plan(of, jobs=[round_job(of, SCRUB, "Failed"), round_job(of, MEND)], pods=[pod_of(SCRUB, FAILED)])
    assert (ready(under_way)[1], under_way.create, stalled(under_way)) == ("Damaged", (), False)
    gone = {"result": "Failed", "reason": "NotFound", "message": "the hub has no a/b"}
    failed = plan(
        of,
        jobs=[round_job(of, SCRUB, "Failed"), round_job(of, MEND, "Failed")],
        pods=[pod_of(SCRUB, FAILED), pod_of(MEND, gone)],
    )
    assert stalled(failed)
    assert "could not be fetched again: the hub has no a/b" in ready(failed)[2]
    assert f"kubectl delete job {job_names(of)[1]} -n search" in ready(failed)[2]


def test_files_that_somebody_else_put_there_are_not_ours_to_mend() -> None:
    of = cache(source={"path": {"path": "models/mine"}})
    planned = plan(of, jobs=[round_job(of, SCRUB, "Failed")], pods=[pod_of(SCRUB, FAILED)])
    assert planned.create == ()
    assert stalled(planned)
    assert "put the files there again, then `kubectl delete job " in ready(planned)[2]


@pytest.mark.parametrize(
    "pods", [[], [pod_of(SCRUB, {"result": "Failed", "reason": "BadSource", "message": "cannot be read"})]]
)
def test_a_reading_that_cannot_run_is_no_damage(pods: list[Any]) -> None:
    of = cache()
    planned = plan(of, jobs=[round_job(of, SCRUB, "Failed")], pods=pods)
    assert (planned.create, ready(planned)[0]) == ((), "True")
    assert "could not be read again: " in ready(planned)[2]


def test_what_the_api_server_refuses_is_told_and_takes_nothing_away() -> None:
    of = cache()
    refused = PlanError(Reason.APPLY_REFUSED, "exceeded quota")
    assert "could not be read again: exceeded quota" in ready(plan(of, refused=refused))[2]
    jobs, pods = [round_job(of, SCRUB, "Failed")], [pod_of(SCRUB, FAILED)]
    damaged = plan(of, refused=refused, jobs=jobs, pods=pods)
    assert (damaged.create, ready(damaged)[1]) == ((), "Damaged")
    assert "could not be fetched again: exceeded quota" in ready(damaged)[2]


def test_an_interval_that_is_taken_away_ends_what_goes_on() -> None:
    of = cache()
    planned = plan(given.cache(verifiedAt=AT), jobs=[round_job(of, SCRUB)])
    assert planned.delete == (("Job", job_names(of)[0]),)
