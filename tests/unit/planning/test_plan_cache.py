"""Given a ModelCache and what was observed, its Job and its status."""

import json
from typing import Any

import pytest

from embedding_operator.api import names
from embedding_operator.api.conditions import Reason
from embedding_operator.api.modelcache import ModelCache, Progress
from embedding_operator.planning.cacheplan import has_ended_in_silence, human_bytes
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.stagejob import StagingSite, job, job_name
from tests.unit.planning import given
from tests.unit.planning.caches import plan, ready, stage_job

STAGED = {
    "result": "Staged",
    "revision": "9c3d",
    "digest": given.DIGEST,
    "path": "modelscope/Qwen--X/9c3d",
    "files": 17,
    "bytes": 17_534_341_120,
    "excluded": {"files": 2, "bytes": 1_200_000_000},
    "context": 32768,
}


def ended_pod(message: object, phase: str = "Succeeded") -> dict[str, Any]:
    text = message if isinstance(message, str) else json.dumps(message)
    pod = given.pod("stage-x", phase=phase, conditions=[])
    pod["status"]["containerStatuses"] = [{"state": {"terminated": {"exitCode": 0, "message": text}}}]
    return pod


def test_a_new_cache_gets_one_job_once_its_claim_is_there() -> None:
    missing = plan(given.cache(staged=False), claim_exists=False)
    assert missing.create == ()
    assert ready(missing)[1] == "ClaimNotFound"
    assert "'model-weights' does not exist in namespace search" in ready(missing)[2]
    assert missing.requeue_after
    made = plan(given.cache(staged=False), claim_exists=True)
    assert [one["kind"] for one in made.create] == ["Job"]
    assert plan(given.cache(staged=False), jobs=[stage_job(given.cache(staged=False))]).create == ()


def test_progress_is_shown_and_looked_at_again() -> None:
    cache = given.cache(staged=False)
    progress = Progress("Downloading", 42, 7_364_423_270, 17_534_341_120)
    planned = plan(cache, jobs=[stage_job(cache)], progress=progress)
    assert ready(planned) == ("False", "Downloading", "42 %, 7.4 GB of 17.5 GB")
    assert planned.status.progress == progress
    assert planned.requeue_after


@pytest.mark.parametrize(
    ("pods", "reason", "words"),
    [
        ([], "Staging", "the staging Job makes a pod"),
        ([given.pod("p", phase="Pending", conditions=[])], "Staging", "pod p has not started yet"),
        ([ended_pod({"result": "Failed", "reason": "NotFound", "message": "no a/b"}, "Failed")], "NotFound", "no a/b"),
        (
            [ended_pod({"result": "Failed", "reason": "HubUnavailable", "message": "no answer"}, "Failed")],
            "Retrying",
            "the last attempt failed: no answer",
        ),
    ],
)
def test_a_job_without_progress_says_what_it_waits_for(pods: list[dict[str, Any]], reason: str, words: str) -> None:
    cache = given.cache(staged=False)
    planned = plan(cache, jobs=[stage_job(cache)], pods=pods)
    assert ready(planned)[1] == reason
    assert words in ready(planned)[2]
    assert planned.requeue_after


def test_a_look_that_fails_shows_what_was_seen_last() -> None:
    shown = {"phase": "Downloading", "percent": 42, "bytes": 7_364_423_270, "totalBytes": 17_534_341_120}
    cache = given.cache(staged=False, progress=shown)
    running = given.pod("stage-x", conditions=[])
    planned = plan(cache, jobs=[stage_job(cache)], pods=[running], progress=None)
    assert ready(planned)[1] == "Downloading"
    assert planned.status.progress == cache.status.progress
    assert plan(cache, jobs=[stage_job(cache)], pods=[], progress=None).status.progress is None


def test_the_jobs_result_becomes_the_status() -> None:
    cache = given.cache(staged=False)
    planned = plan(cache, jobs=[stage_job(cache, "Complete")], pods=[ended_pod(STAGED)], users=["b", "a"])
    status = planned.status
    assert (status.revision, status.digest, status.path, status.files) == ("9c3d", given.DIGEST, STAGED["path"], 17)
    assert status.context_length == 32768
    assert status.verified_at == "2026-01-02T03:04:05Z"
    assert ready(planned)[:2] == ("True", "Verified")
    assert "1.2 GB" in ready(planned)[2]
    assert [user.name for user in status.used_by or ()] == ["a", "b"]
    assert plan(cache, users=[]).status.used_by is None


@pytest.mark.parametrize(
    "pods",
    [
        [],
        [ended_pod("not json")],
        [ended_pod("null")],
        [ended_pod({"result": "Failed"})],
        [ended_pod(STAGED | {"digest": None})],
        [ended_pod(STAGED | {"files": "many"})],
        [ended_pod(STAGED | {"excluded": [1]})],
    ],
)
def test_a_lost_result_runs_the_job_again(pods: list[dict[str, Any]]) -> None:
    cache = given.cache(staged=False)
    planned = plan(cache, jobs=[stage_job(cache, "Complete")], pods=pods)
    assert planned.delete == (("Job", job_name(cache)),)
    assert ready(planned)[1] == "Retrying"


AWAY = {"result": "Failed", "reason": "HubUnavailable", "message": "no answer"}


@pytest.mark.parametrize(
    ("staged", "condition", "pods", "silent"),
    [
        (False, None, [], False),
        (False, "Complete", [], True),
        (False, "Failed", [], True),
        (False, "Complete", [ended_pod("not json")], True),
        (False, "Complete", [ended_pod(STAGED)], False),
        (True, "Complete", [], False),  # long known, and the pod long gone
        (False, "Complete", [ended_pod(AWAY, "Failed")], True),  # an earlier attempt's
        (False, "Failed", [ended_pod(AWAY, "Failed")], False),
        (False, "Failed", [ended_pod(AWAY, "Failed"), given.pod("p")], True),  # the last one has ended, too
    ],
)
def test_a_job_that_has_ended_without_a_word_is_asked_for_its_pods_before_that_is_believed(
    staged: bool, condition: str | None, pods: list[dict[str, Any]], silent: bool
) -> None:
    cache = given.cache(staged=staged)
    jobs = [stage_job(given.cache(staged=False), condition)]
    for one in (*jobs, *pods):
        one["metadata"].setdefault("labels", {})["app.kubernetes.io/name"] = names.STAGING_TASK
    assert has_ended_in_silence(cache, jobs, pods) is silent


def test_a_failed_job_stalls_in_the_stagers_words_and_says_how_to_try_again() -> None:
    cache = given.cache(staged=False)
    told = {"result": "Failed", "reason": "ChecksumMismatch", "message": "model.safetensors: expected a, got b"}
    planned = plan(cache, jobs=[stage_job(cache, "Failed")], pods=[ended_pod(told, "Failed")])
    assert ready(planned)[1] == "ChecksumMismatch"
    assert "expected a, got b" in ready(planned)[2]
    assert f"kubectl delete job {job_name(cache)} -n search" in ready(planned)[2]
    assert "Stalled" in [c.type for c in planned.status.conditions]


@pytest.mark.parametrize("reason", ["InventedLater", None, ["NotFound"]])
def test_a_reason_that_nobody_knows_is_internal(reason: Any) -> None:
    cache = given.cache(staged=False)
    told = {"result": "Failed", "reason": reason, "message": "words"}
    planned = plan(cache, jobs=[stage_job(cache, "Failed")], pods=[ended_pod(told, "Failed")])
    assert ready(planned)[1] == "Internal"


@pytest.mark.parametrize(
    ("waiting", "reason"),
    [
        ({"reason": "CreateContainerConfigError", "message": 'secret "hub" not found'}, "SecretNotFound"),
        (
            {"reason": "CreateContainerConfigError", "message": "couldn't find key token in Secret search/hub"},
            "SecretNotFound",
        ),
        ({"reason": "CreateContainerConfigError", "message": "runAsNonRoot"}, "CrashLooping"),
        ({"reason": "ErrImagePull", "message": "example.com/secret:1: not found"}, "ImagePullFailed"),
    ],
)
def test_a_staging_pod_that_cannot_start_says_why(waiting: dict[str, str], reason: str) -> None:
    cache = given.cache(staged=False)
    pod = given.pod("p", phase="Pending", conditions=[], containerStatuses=[{"state": {"waiting": waiting}}])
    planned = plan(cache, jobs=[stage_job(cache)], pods=[pod])
    assert ready(planned)[1] == reason
    assert waiting["message"] in ready(planned)[2]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (17_534_341_120, "17.5 GB"),
        (3 * 10**15, "3000.0 TB"),
    ],
)
def test_bytes_are_told_as_people_read_them(count: int, text: str) -> None:
    assert human_bytes(count) == text


def test_a_job_of_other_inputs_ends_with_the_one_that_has_staged() -> None:
    cache = given.cache(staged=False)
    old = {"kind": "Job", "metadata": {"name": "stage-old", "namespace": "search"}, "status": {}}
    planned = plan(cache, jobs=[old, stage_job(cache, "Complete")], pods=[ended_pod(STAGED)])
    assert planned.delete == (("Job", "stage-old"),)


def test_a_failed_job_without_words_has_the_jobs_own() -> None:
    cache = given.cache(staged=False)
    planned = plan(cache, jobs=[stage_job(cache, "Failed")])
    assert ready(planned)[1] == "Internal"
    assert "Job's own words" in ready(planned)[2]


def test_staged_weights_need_no_job_ever_again() -> None:
    planned = plan(given.cache(), jobs=[], claim_exists=None)
    assert (planned.create, planned.delete, planned.requeue_after) == ((), (), None)
    assert ready(planned)[0] == "True"


def test_another_wish_makes_another_job_and_the_old_one_goes() -> None:
    cache = given.cache(staged=False)
    old = {"kind": "Job", "metadata": {"name": "stage-old", "namespace": "search"}, "status": {}}
    planned = plan(cache, jobs=[old], claim_exists=True)
    assert planned.delete == (("Job", "stage-old"),)
    assert len(planned.create) == 1


def test_the_job_is_named_by_its_inputs_and_never_by_the_image() -> None:
    cache = given.cache(staged=False)
    names = {job(cache, StagingSite(image))["metadata"]["name"] for image in ("a:1", "b:2")}
    assert names == {job_name(cache)}


def test_a_token_reaches_the_job_alone_and_only_as_a_reference() -> None:
    source = {"modelScope": {"repo": "a/b", "secretRef": {"name": "hub", "key": "token"}}}
    obj = given.cache(staged=False).to_dict()
    obj["spec"]["source"] = source
    made = job(ModelCache.from_dict(obj), StagingSite("x:1"))
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert "hub" not in str(container["args"])
    assert {"name": "hub", "key": "token"} in [
        variable["valueFrom"]["secretKeyRef"] for variable in container["env"] if "valueFrom" in variable
    ]


def test_what_the_api_server_refused_stalls_the_cache_in_its_words() -> None:
    problem = PlanError(Reason.APPLY_REFUSED, "the API server refused: exceeded quota")
    planned = plan(given.cache(staged=False), claim_exists=True, refused=problem)
    assert ready(planned) == ("False", "ApplyRefused", "the API server refused: exceeded quota")
    assert "Stalled" in [c.type for c in planned.status.conditions]
    assert planned.create == ()


def test_no_more_users_are_named_than_a_status_holds() -> None:
    planned = plan(given.cache(), users=[f"s{number:04}" for number in range(2000)])
    assert len(planned.status.used_by or ()) == 1024
