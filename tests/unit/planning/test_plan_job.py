"""One EmbeddingJob from its first look to its end: which Job is made when, and what its status says."""

from typing import Any

import pytest

from embedding_operator.api.conditions import Reason
from embedding_operator.planning.errors import PlanError
from tests.unit.planning import given
from tests.unit.planning.jobs import FINISH, SPLIT, Cluster, by_service, job, page, service


def test_one_phase_is_made_after_the_other_and_the_end_is_told() -> None:
    cluster = Cluster(job())
    cluster.step()
    assert cluster.phases() == ["split"]
    assert cluster.conditions() == {
        "Ready": ("False", "Splitting"),
        "Reconciling": ("True", "Splitting"),
        "WeightsReady": ("True", "Verified"),
    }
    assert cluster.status["startTime"] == cluster.seen["now"]
    cluster.end("split", SPLIT)
    plan = cluster.step()
    assert cluster.phases() == ["split", "embed"]
    assert [one["kind"] for one in plan.apply] == ["ConfigMap"]
    assert cluster.conditions()["Ready"] == ("False", "Embedding")
    assert cluster.status["shards"] == {"total": 100, "done": 0, "reused": 0}
    assert cluster.status["workers"] == {"indexes": 32}
    cluster.end("embed", None, completedIndexes="0-31")
    cluster.step()
    assert cluster.phases() == ["split", "embed", "finish"]
    assert cluster.conditions()["Ready"] == ("False", "Finishing")
    cluster.end("finish", FINISH)
    cluster.step()
    assert cluster.conditions() == {"Ready": ("True", "Completed"), "WeightsReady": ("True", "Verified")}
    told = {
        name: cluster.status[name] for name in ("rows", "errors", "tokens", "outputBytes", "manifest", "errorsFile")
    }
    assert told == {
        "rows": 5000,
        "errors": 2,
        "tokens": 90_000,
        "outputBytes": 4096,
        "manifest": "manifest.json",
        "errorsFile": "errors.jsonl",
    }
    assert cluster.status["completionTime"] == "2026-11-01T12:00:00Z"
    assert cluster.status["progress"] == {"percent": 100}
    assert cluster.message() == "5,000 rows in 100 shards; 2 rows could not be embedded, see errors.jsonl"
    before = cluster.status
    plan = cluster.step()
    assert (cluster.status, plan.create, plan.delete, plan.requeue_after) == (before, (), (), None)


def test_a_job_waits_for_its_weights_and_makes_nothing() -> None:
    cluster = Cluster(job(), cache=given.cache(staged=False))
    plan = cluster.step()
    assert (plan.create, plan.apply) == ((), ())
    assert cluster.conditions()["Ready"] == ("False", "WaitingForWeights")
    assert cluster.conditions()["WeightsReady"] == ("False", "WaitingForWeights")
    assert "startTime" not in cluster.status


@pytest.mark.parametrize(
    ("finished", "parallelism", "indexes"),
    [(0, 1, 8), (0, 4, 32), (0, 50, 100), (95, 4, 5), (99, 4, 1)],
)
def test_the_work_is_divided_so_that_workers_load_the_model_once_for_several_shards(
    finished: int, parallelism: int, indexes: int
) -> None:
    cluster = Cluster(job(parallelism=parallelism))
    cluster.embed(finished=finished)
    spec = cluster.of("embed")["spec"]
    assert (spec["completions"], spec["parallelism"], spec["completionMode"]) == (indexes, parallelism, "Indexed")
    assert spec["backoffLimitPerIndex"] == 6


def test_ten_thousand_indexes_are_enough() -> None:
    cluster = Cluster(job(parallelism=1000))
    cluster.step()
    cluster.end("split", SPLIT | {"shards": 1_000_000})
    cluster.step()
    assert cluster.of("embed")["spec"]["completions"] == 8000
    cluster = Cluster(job(parallelism=2000))
    cluster.step()
    cluster.end("split", SPLIT | {"shards": 1_000_000})
    cluster.step()
    assert cluster.of("embed")["spec"]["completions"] == 10_000


def test_where_all_shards_were_finished_before_nothing_is_embedded() -> None:
    cluster = Cluster(job())
    cluster.step()
    cluster.end("split", SPLIT | {"finished": 100})
    cluster.step()
    assert cluster.phases() == ["split", "finish"]
    cluster.end("finish", FINISH | {"reused": 100, "errors": 0, "errorsFile": None})
    cluster.step()
    assert cluster.message() == "5,000 rows in 100 shards, 100 shards of them finished before"


@pytest.mark.parametrize("phase", ["split", "finish"])
def test_a_phase_whose_last_words_are_lost_is_run_again(phase: str) -> None:
    cluster = Cluster(job())
    if phase == "finish":
        cluster.embed()
        cluster.end("embed", None, completedIndexes="0-31")
    cluster.step()
    first = cluster.of(phase)["metadata"]["name"]
    cluster.end(phase, None)
    plan = cluster.step()
    assert plan.delete == (first,)
    assert cluster.conditions()["Ready"] == ("False", "Retrying")
    cluster.step()
    assert cluster.of(phase)["metadata"]["name"] == first
    assert "status" not in cluster.of(phase)


def test_the_status_alone_leads_on_where_the_jobs_are_gone() -> None:
    """A finished Job goes after a day, and a job may take longer."""
    cluster = Cluster(job())
    cluster.embed()
    del cluster.jobs[cluster.of("split")["metadata"]["name"]]
    cluster.end("embed", None, completedIndexes="0-31")
    cluster.step()
    del cluster.jobs[cluster.of("embed")["metadata"]["name"]]
    cluster.end("finish", None)
    cluster.step()
    cluster.step()
    assert cluster.phases() == ["finish"]


def test_a_work_job_that_somebody_deletes_is_made_again() -> None:
    cluster = Cluster(job())
    cluster.embed()
    del cluster.jobs[cluster.of("embed")["metadata"]["name"]]
    cluster.step()
    assert cluster.phases() == ["split", "embed"]


@pytest.mark.parametrize("phase", ["split", "embed", "finish"])
def test_a_phase_that_fails_ends_the_job_with_its_pods_last_words(phase: str) -> None:
    cluster = Cluster(job())
    if phase != "split":
        cluster.embed()
    if phase == "finish":
        cluster.end("embed", None, completedIndexes="0-31")
    cluster.step()
    told = {"reason": "TooManyErrors", "message": "7 of 100 rows cannot be embedded, see errors.jsonl"}
    cluster.end(phase, told, failed="PodFailurePolicy")
    cluster.step()
    assert cluster.conditions() == {
        "Ready": ("False", "TooManyErrors"),
        "Stalled": ("True", "TooManyErrors"),
        "Failed": ("True", "TooManyErrors"),
        "WeightsReady": ("True", "Verified"),
    }
    assert cluster.message() == (
        "7 of 100 rows cannot be embedded, see errors.jsonl; when mended, delete this job and apply it anew (kubectl "
        "replace --force -f FILE): finished shards are used again"
    )
    del cluster.jobs[cluster.of(phase)["metadata"]["name"]]  # a day later
    plan = cluster.step()
    assert (plan.create, cluster.conditions()["Failed"]) == ((), ("True", "TooManyErrors"))


@pytest.mark.parametrize(
    ("reason", "words", "expected"),
    [
        ("BackoffLimitExceeded", None, "BackoffLimitExceeded"),
        ("FailedIndexes", {"reason": "Unavailable", "message": "no answer"}, "BackoffLimitExceeded"),
        ("DeadlineExceeded", {"reason": "Unfinished", "message": "it was stopped"}, "DeadlineExceeded"),
        ("PodFailurePolicy", {"reason": "Invented", "message": "x"}, "Internal"),
        ("PodFailurePolicy", {"reason": "NoFiles", "message": "no file is meant by wiki/*.x"}, "NoFiles"),
    ],
)
def test_a_reason_is_one_that_is_known(reason: str, words: dict[str, str] | None, expected: str) -> None:
    cluster = Cluster(job())
    cluster.embed()
    cluster.end("embed", words, failed=reason)
    cluster.step()
    assert cluster.conditions()["Failed"] == ("True", expected)


def test_a_suspended_job_makes_nothing_and_its_jobs_are_suspended_and_resumed() -> None:
    cluster = Cluster(job(suspend=True))
    assert (cluster.step().create, cluster.conditions()) == (
        (),
        {"Ready": ("False", "Suspended"), "Suspended": ("True", "Suspended")},
    )
    cluster.obj["spec"]["suspend"] = False
    cluster.embed()
    work = cluster.of("embed")
    cluster.obj["spec"]["suspend"] = True
    assert cluster.step().patch == ((work["metadata"]["name"], {"spec": {"suspend": True}}),)
    assert "startTime" not in cluster.status
    assert cluster.step().patch == ()
    cluster.obj["spec"]["suspend"] = False
    assert cluster.step().patch == ((work["metadata"]["name"], {"spec": {"suspend": False}}),)
    assert "startTime" in cluster.status
    assert cluster.step().patch == ()


def test_the_number_of_workers_follows_the_spec() -> None:
    cluster = Cluster(job())
    cluster.embed()
    cluster.obj["spec"]["parallelism"] = 16
    assert cluster.step().patch == ((cluster.of("embed")["metadata"]["name"], {"spec": {"parallelism": 16}}),)
    assert cluster.step().patch == ()


def test_a_deadline_ends_what_runs() -> None:
    cluster = Cluster(job(activeDeadlineSeconds=3600))
    cluster.embed()
    assert cluster.look(started_for=3500).requeue_after == 5
    assert cluster.look(started_for=3598).requeue_after == 2
    plan = cluster.step(started_for=3600)
    assert [name.partition("-")[0] for name in plan.delete] == ["embed"]
    assert cluster.conditions()["Failed"] == ("True", "DeadlineExceeded")
    assert cluster.message().startswith("spec.activeDeadlineSeconds of 3600 are over; ")


def test_a_deadline_is_kept_while_a_person_is_waited_for() -> None:
    cluster = Cluster(by_service(activeDeadlineSeconds=3600), service=service())
    cluster.step()
    cluster.end("split", SPLIT)
    plan = cluster.step(service=None, started_for=600)  # somebody deleted it, and nobody may make it again
    assert cluster.conditions()["Stalled"] == ("True", "ServiceNotFound")
    assert plan.requeue_after == 3000


def test_a_job_that_is_resumed_has_its_whole_deadline_anew_as_its_present_phase_has() -> None:
    cluster = Cluster(job(activeDeadlineSeconds=3600))
    cluster.step()
    cluster.end("split", SPLIT)
    cluster.step(started_for=3500)
    work = cluster.of("embed")
    assert work["spec"]["activeDeadlineSeconds"] == 100
    cluster.obj["spec"]["suspend"] = True
    changes = {"spec": {"suspend": True, "activeDeadlineSeconds": 3600}}
    assert cluster.step(started_for=3500).patch == ((work["metadata"]["name"], changes),)
    assert cluster.step().patch == ()
    cluster.obj["spec"]["suspend"] = False
    assert cluster.step().patch == ((work["metadata"]["name"], {"spec": {"suspend": False}}),)


def test_a_job_of_a_phase_is_given_what_is_left_of_the_deadline() -> None:
    cluster = Cluster(job(activeDeadlineSeconds=3600))
    cluster.step()
    assert cluster.of("split")["spec"]["activeDeadlineSeconds"] == 3600
    cluster.end("split", SPLIT)
    cluster.step(started_for=600)
    assert cluster.of("embed")["spec"]["activeDeadlineSeconds"] == 3000


@pytest.mark.parametrize("ends", ["complete", "failed"])
def test_a_job_goes_when_its_time_after_its_end_is_over(ends: str) -> None:
    cluster = Cluster(job(ttlSecondsAfterFinished=100))
    cluster.embed()
    assert not cluster.look(ended_for=1000).expired
    if ends == "failed":
        cluster.end("embed", None, failed="BackoffLimitExceeded")
    else:
        cluster.end("embed", None, completedIndexes="0-31")
        cluster.step()
        cluster.end("finish", FINISH)
    assert cluster.step().requeue_after == 100
    early, late = cluster.look(ended_for=40), cluster.look(ended_for=100)
    assert (early.expired, early.requeue_after) == (False, 60)
    assert late.expired


def test_what_stands_against_a_plan_is_told_until_it_is_gone() -> None:
    cluster = Cluster(job())
    cluster.step(refused=PlanError(Reason.APPLY_REFUSED, "the API server refused: quota"))
    assert cluster.conditions()["Stalled"] == ("True", "ApplyRefused")
    cluster.step()
    assert cluster.phases() == ["split"]


@pytest.mark.parametrize(
    ("spec", "seen", "reason", "words"),
    [
        ({"runtime": {"profile": "nope"}}, {}, "ProfileNotFound", "spec.runtime.profile names 'nope'"),
        (
            {"model": {"cacheRef": {"name": "w"}}, "cache": None},
            {"cache": None},
            "CacheNotFound",
            "spec.model.cacheRef names ModelCache 'w'",
        ),
        (
            {"model": {"source": {"modelScope": {"repo": "Qwen/Qwen3-Reranker-0.6B"}}}},
            {"cache": given.cache(repo="Qwen/Qwen3-Reranker-0.6B")},
            "InvalidSpec",
            "spec.task is Embed, but a model of the family Qwen3-Reranker scores documents",
        ),
        (
            {"serving": {"promptFormat": "Model"}, "instruction": "x"},
            {"cache": given.cache(repo="a/unheard-of")},
            "InvalidSpec",
            "no format of a model of this name is known here",
        ),
        ({}, {"cache": given.cache(accessModes=["ReadWriteOncePod"])}, "ClaimNotShared", "write spec.parallelism: 1"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_made(
    spec: dict[str, Any], seen: dict[str, Any], reason: str, words: str
) -> None:
    cluster = Cluster(job(**spec), **seen)
    plan = cluster.step()
    assert plan.create == ()
    assert cluster.conditions()["Stalled"] == ("True", reason)
    assert words in cluster.message()


def test_a_reference_that_may_come_in_a_moment_is_waited_for() -> None:
    cluster = Cluster(job(runtime={"profile": "nope"}))
    plan = cluster.step(may_come=True)
    assert plan.lacks_reference
    assert cluster.conditions()["Reconciling"] == ("True", "ProfileNotFound")


def test_a_job_by_a_service_waits_until_that_answers() -> None:
    cluster = Cluster(by_service(), service=service(available=False))
    cluster.step()
    assert cluster.conditions() == {
        "Ready": ("False", "WaitingForService"),
        "Reconciling": ("True", "WaitingForService"),
    }
    cluster.seen["service"] = service()
    cluster.step()
    assert cluster.phases() == ["split"]
    cluster.seen["service"] = None
    assert Cluster(by_service()).look().status.conditions[0].reason == Reason.SERVICE_NOT_FOUND


def test_a_service_that_serves_other_weights_ends_the_job() -> None:
    """The rest of the rows would lie in another space."""
    cluster = Cluster(by_service(), service=service())
    cluster.embed()
    other = "sha256:" + "cd" * 32
    cluster.step(service=service(digest=other))
    assert cluster.conditions()["Failed"] == ("True", "ModelChanged")
    assert f"the job began with weights {given.DIGEST}, and the service has {other} by now" in cluster.message()
    assert cluster.phases() == ["split"]


def test_workers_are_summed_and_what_was_counted_never_falls() -> None:
    cluster = Cluster(job())
    cluster.embed()
    cluster.of("embed")["status"] = {"active": 4, "completedIndexes": "0-1"}
    cluster.pod("embed", phase="Succeeded", index=0, message={"index": 0, "shards": 3, "rows": 300, "tokens": 10})
    cluster.pod("embed", phase="Succeeded", index=1, message={"index": 1, "shards": 3, "rows": 310, "errors": 1})
    first, second = cluster.pod("embed", index=2), cluster.pod("embed", index=3)
    shown = {"rows": 150, "bytes": 50, "bytesTotal": 100, "shardsDone": 1, "rowsPerSecond": 40, "tokensPerSecond": 900}
    pages = {first: page(**shown), second: page(**shown | {"errors": 2})}
    plan = cluster.step(pages=pages)
    assert plan.requeue_after == 5
    assert {name: cluster.status[name] for name in ("rows", "errors", "tokens")} == {
        "rows": 907,
        "errors": 3,
        "tokens": 10,
    }
    assert cluster.status["shards"] == {"total": 100, "done": 8, "reused": 0}
    assert cluster.status["workers"] == {"indexes": 32, "active": 4, "completed": "0-1"}
    progress = cluster.status["progress"]
    assert (progress["percent"], progress["rowsPerSecond"], progress["tokensPerSecond"]) == (9, 80, 1800)
    assert progress["secondsLeft"] == round(907 * (1 - 0.09) / 0.09 / 80)
    assert cluster.message() == "9 %, 907 rows, 80 rows/s, 3 errors; 2 of 4 workers running"
    before = cluster.status
    cluster.step()  # nobody looked at the pods
    assert cluster.status == before
    cluster.step(pages={})  # and nothing could be seen of them
    assert (cluster.status["rows"], cluster.status["progress"]) == (907, {"percent": 9})


def test_what_workers_said_that_have_ended_counts_though_none_runs() -> None:
    cluster = Cluster(job())
    cluster.embed()
    cluster.of("embed")["status"] = {"completedIndexes": "0"}
    cluster.pod("embed", phase="Succeeded", index=0, message={"index": 0, "shards": 3, "rows": 300})
    cluster.step()
    assert cluster.status["rows"] == 300


def test_pods_that_cannot_start_are_told_in_the_schedulers_words() -> None:
    cluster = Cluster(job())
    cluster.embed()
    words = "0/2 nodes are available: 2 Insufficient huawei.com/Ascend910."
    cluster.pod(
        "embed",
        phase="Pending",
        index=0,
        conditions=[{"type": "PodScheduled", "status": "False", "message": words}],
    )
    cluster.step(pages={})
    assert cluster.conditions()["Ready"] == ("False", "Unschedulable")
    assert "Insufficient huawei.com/Ascend910" in cluster.message()
    cluster.pod("embed", index=1)
    cluster.step(pages={})
    assert cluster.conditions()["Ready"] == ("False", "Embedding")
    assert "1 of 4 workers running; pod " in cluster.message()


@pytest.mark.parametrize("phase", ["split", "embed"])
def test_where_no_pods_are_made_it_is_told_who_says_why(phase: str) -> None:
    cluster = Cluster(job())
    cluster.step()
    if phase == "embed":
        cluster.end("split", SPLIT)
        cluster.step()
    cluster.step()
    name = cluster.of(phase)["metadata"]["name"]
    assert cluster.message().endswith(
        f"; it has no pods yet: if that lasts, `kubectl describe job {name}` says what forbids them"
    )
    cluster.pod(phase)
    cluster.step(pages={})
    assert "no pods yet" not in cluster.message()


def test_the_last_attempt_that_failed_is_told_while_the_next_one_works() -> None:
    cluster = Cluster(job())
    cluster.embed()
    cluster.pod("embed", phase="Failed", index=0, message={"reason": "Unavailable", "message": "no answer for 30 min"})
    cluster.pod("embed", index=0)
    cluster.step(pages={})
    assert cluster.message().endswith("; the last attempt that failed: Unavailable: no answer for 30 min")
