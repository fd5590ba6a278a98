"""The planner and the stager are two programs with one contract: what one writes, the other reads.

Layers keep them from importing one another, so it is held here.
"""

import json
from typing import Any, get_args

import pytest

from embedding_operator import cli
from embedding_operator.api import modelcache
from embedding_operator.api.conditions import Reason
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.planning.cacheplan import plan_cache
from embedding_operator.planning.cachestate import ObservedCache
from embedding_operator.planning.stagejob import PERMANENT_EXIT_CODE, PROGRESS_PORT, StagingSite, job
from embedding_operator.planning.stagereport import PERMANENT, newest_report
from embedding_operator.staging import errors, progress, usage
from embedding_operator.staging.result import Excluded, StageResult, failure_document, success_document
from embedding_operator.staging.spec import parse_spec
from tests.unit.planning import given

REASONS = get_args(errors.Reason)


def written(source: dict[str, Any], **spec: Any) -> str:
    """The spec that the staging Job of such a cache is given."""
    obj = given.cache(staged=False).to_dict()
    obj["spec"] |= {"source": source, **spec}
    made = job(ModelCache.from_dict(obj), StagingSite("example.com/operator:1"))
    *_, text = made["spec"]["template"]["spec"]["containers"][0]["args"]
    return str(text)


def test_a_long_list_of_files_is_given_in_parts_that_a_kernel_takes() -> None:
    """As many and as long as the schema allows; Linux takes 128 KiB in one argument."""
    files = [{"path": f"{n}.json", "url": f"https://x/{n}?$(X)$$={'é' * 990}", "sha256": "0" * 64} for n in range(256)]
    obj = given.cache(staged=False).to_dict()
    obj["spec"] |= {"source": {"http": {"files": files}}}
    made = job(ModelCache.from_dict(obj), StagingSite("example.com/operator:1"))
    words = [word.replace("$$", "$") for word in made["spec"]["template"]["spec"]["containers"][0]["args"]]
    assert max(map(len, words)) < 128 << 10
    arguments = cli.parsed(words)
    spec = parse_spec(arguments.spec)
    assert spec.source.http is not None
    assert {one.url for one in spec.source.http.files or ()} == {one["url"] for one in files}


@pytest.mark.parametrize(
    "source",
    [
        {"modelScope": {"repo": "Qwen/Qwen3-Embedding-0.6B"}},
        {
            "modelScope": {
                "repo": "a/b",
                "revision": "v1",
                "endpoint": "http://hub:8080/",
                "secretRef": {"name": "hub", "key": "token"},
                "include": ["*.json"],
                "exclude": [],
            }
        },
        {"huggingFace": {"repo": "a/b", "secretRef": {"name": "hub", "key": "token"}, "exclude": []}},
        {"http": {"url": "https://x/a.zip", "sha256": "0" * 64, "secretRef": {"name": "hub", "key": "token"}}},
        {"http": {"files": [{"path": "a", "url": "https://x/a", "sha256": "0" * 64}]}},
        {"s3": {"bucket": "models", "prefix": "a/b", "secretRef": {"name": "token"}, "exclude": []}},
        {"path": {"path": "models/mini"}},
    ],
)
def test_the_stager_reads_what_the_planner_writes(source: dict[str, Any]) -> None:
    text = written(source, digest=given.DIGEST, download={"parallelism": 3})
    spec = parse_spec(text)
    assert (spec.digest, spec.parallelism, spec.progress_port) == (given.DIGEST, 3, PROGRESS_PORT)
    assert "token" not in text


@pytest.mark.parametrize("kind", usage.TOKEN_VARIABLES)
def test_the_stager_looks_for_a_token_where_the_planner_puts_it(kind: str) -> None:
    secret = {"name": "hub", "key": "token"}
    obj = given.cache(staged=False).to_dict()
    what = {"url": "https://x/a.zip", "sha256": "0" * 64} if kind == "http" else {"repo": "a/b"}
    obj["spec"]["source"] = {kind: what | {"secretRef": secret}}
    made = job(ModelCache.from_dict(obj), StagingSite("example.com/operator:1"))
    env = made["spec"]["template"]["spec"]["containers"][0]["env"]
    assert env == [{"name": usage.TOKEN_VARIABLES[kind], "valueFrom": {"secretKeyRef": secret}}]


def test_the_keys_of_a_bucket_come_from_one_secret_and_the_session_token_may_be_missing() -> None:
    obj = given.cache(staged=False).to_dict()
    obj["spec"]["source"] = {"s3": {"bucket": "models", "secretRef": {"name": "reader"}}}
    pod = job(ModelCache.from_dict(obj), StagingSite("example.com/operator:1"))["spec"]["template"]["spec"]
    references = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in pod["containers"][0]["env"]}
    assert tuple(references) == usage.S3_VARIABLES
    assert {name: one["key"] for name, one in references.items()} == dict(zip(references, references, strict=True))
    assert [name for name, one in references.items() if one.get("optional")] == ["AWS_SESSION_TOKEN"]


def test_a_workload_identity_is_the_pod_s_and_brings_no_token_for_the_api() -> None:
    obj = given.cache(staged=False).to_dict()
    obj["spec"] |= {"source": {"s3": {"bucket": "models"}}, "stager": {"serviceAccountName": "reader"}}
    pod = job(ModelCache.from_dict(obj), StagingSite("example.com/operator:1"))["spec"]["template"]["spec"]
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("reader", False)
    assert pod["containers"][0]["env"] == []


def test_the_planner_reads_what_the_stager_says_when_all_is_well() -> None:
    left_out = Excluded(1, 5)
    result = StageResult("9c3d", given.DIGEST, "modelscope/a--b/9c3d", 3, 100, left_out, adopted=False, context=8192)
    report = newest_report([ended(success_document(result))])
    assert report is not None
    assert report.is_staged
    assert (report.path, report.files, report.excluded) == (result.path, 3, modelcache.Excluded(1, 5))
    assert report.context == 8192


@pytest.mark.parametrize("reason", REASONS)
def test_the_planner_reads_why_the_stager_failed(reason: errors.Reason) -> None:
    report = newest_report([ended(failure_document(errors.StageError(reason, "words")))])
    assert report is not None
    assert (report.is_staged, str(report.known_reason), report.words) == (False, reason, "words")


def ended(message: str) -> dict[str, Any]:
    return given.pod("stage-x", containerStatuses=[{"state": {"terminated": {"message": message}}}])


def test_both_know_the_same_failures_that_no_further_try_mends() -> None:
    assert {str(reason) for reason in PERMANENT} == set(REASONS) - errors.WORTH_ANOTHER_TRY
    assert PERMANENT_EXIT_CODE == errors.EXIT_PERMANENT


def test_every_phase_of_the_stager_is_a_reason_that_a_condition_shows() -> None:
    assert get_args(progress.Phase) == get_args(modelcache.Phase)
    cache = given.cache(staged=False)
    mine = job(cache, StagingSite("example.com/operator:1"))
    for phase in get_args(progress.Phase):
        shown = modelcache.Progress.from_dict(json.loads(json.dumps(at(phase))))
        seen = ObservedCache(jobs=[mine], pods=[given.pod("stage-x")], progress=shown)
        (ready, *_) = plan_cache(cache, seen, StagingSite("x:1")).status.conditions
        assert ready.reason == Reason(phase)


def at(phase: progress.Phase) -> dict[str, str | int]:
    """What the stager serves to the operator in that phase."""
    now = progress.Progress()
    now.start(phase, 1000)
    now.work(10)
    return now.snapshot()
