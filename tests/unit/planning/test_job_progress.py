"""What the status of an EmbeddingJob says of its workers: how far they are, and what keeps them."""

import pytest

from tests.unit.planning.jobs import SPLIT, Cluster, job, page


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
        "rows": 910,
        "errors": 3,
        "tokens": 10,
    }
    assert cluster.status["shards"] == {"total": 100, "done": 8, "reused": 0}
    assert cluster.status["workers"] == {"indexes": 32, "active": 4, "completed": "0-1"}
    progress = cluster.status["progress"]
    assert (progress["percent"], progress["rowsPerSecond"], progress["tokensPerSecond"]) == (9, 80, 1800)
    assert progress["secondsLeft"] == round(910 * (1 - 0.09) / 0.09 / 80)
    assert cluster.message() == "9 %, 910 rows, 80 rows/s, 3 errors; 2 of 4 workers running"
    before = cluster.status
    cluster.step()  # nobody looked at the pods
    assert cluster.status == before
    cluster.step(pages={})  # and nothing could be seen of them
    assert (cluster.status["rows"], cluster.status["progress"]) == (910, {"percent": 9})


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


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ('secret "s3" not found', "SecretNotFound"),
        ("couldn't find key token in Secret search/web", "SecretNotFound"),
        ('configmap "ca" not found', "CrashLooping"),
    ],
)
def test_a_secret_that_is_missing_is_told_by_its_own_reason(words: str, reason: str) -> None:
    cluster = Cluster(job())
    cluster.step()
    waits = {"waiting": {"reason": "CreateContainerConfigError", "message": words}}
    cluster.pod("split", phase="Pending", containerStatuses=[{"name": "driver", "state": waits}])
    cluster.step()
    assert cluster.conditions()["Ready"] == ("False", reason)
    assert words in cluster.message()


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
