"""What an EmbeddingJob embeds by: what it waits for, what is refused, and what may not change under it."""

from typing import Any

import pytest

from embedding_operator.api.conditions import Reason
from embedding_operator.planning.errors import PlanError
from tests.unit.planning import given
from tests.unit.planning.jobs import Cluster, by_service, job, service


def test_a_job_waits_for_its_weights_and_makes_nothing() -> None:
    cluster = Cluster(job(), cache=given.cache(staged=False))
    plan = cluster.step()
    assert (plan.create, plan.apply) == ((), ())
    assert cluster.conditions()["Ready"] == ("False", "WaitingForWeights")
    assert cluster.conditions()["WeightsReady"] == ("False", "WaitingForWeights")
    assert "startTime" not in cluster.status


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


def test_workers_whose_service_is_gone_or_silent_are_said_to_wait() -> None:
    cluster = Cluster(by_service(), service=service())
    cluster.embed()
    cluster.pod("embed", index=0)
    cluster.step()
    assert cluster.conditions()["Ready"] == ("False", "Embedding")

    for seen, words in ((service(available=False), "answers no requests"), (None, "is gone")):
        cluster.step(service=seen)
        assert cluster.conditions()["Reconciling"] == ("True", "WaitingForService")
        assert cluster.message().startswith(f"EmbeddingService qwen {words}")
        assert "; the workers go on when it answers: 0 %, 0 rows; 1 of 4 workers running" in cluster.message()
        assert cluster.phases() == ["split", "embed"]

    cluster.step()
    assert cluster.conditions()["Ready"] == ("False", "Embedding")


def test_a_service_that_serves_other_weights_ends_the_job() -> None:
    """The rest of the rows would lie in another space."""
    cluster = Cluster(by_service(), service=service())
    cluster.embed()
    other = "sha256:" + "cd" * 32
    cluster.step(service=service(digest=other))
    assert cluster.conditions()["Failed"] == ("True", "ModelChanged")
    assert f"the job began with weights {given.DIGEST}, and the service has {other} by now" in cluster.message()
    assert cluster.phases() == ["split"]
