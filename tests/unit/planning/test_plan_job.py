"""One EmbeddingJob from its first look to its end: which Job is made when, and what its status says."""

import pytest

from tests.unit.planning.jobs import FINISH, SPLIT, Cluster, by_service, job, service


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


def test_workers_that_are_made_later_have_their_scripts_though_somebody_deletes_the_config_map() -> None:
    cluster = Cluster(job())
    made = cluster.step().apply
    assert made == ()
    cluster.end("split", SPLIT)
    made = cluster.step().apply
    assert [one["kind"] for one in made] == ["ConfigMap"]
    assert cluster.step().apply == made
    another = {"launch": "print('of another version of the operator')"}
    assert cluster.step(script_sources=another).apply == (), "what an older one's pods mount is not known any more"
    by_a_service = Cluster(by_service(), service=service())
    by_a_service.embed()
    assert by_a_service.step().apply == ()


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
