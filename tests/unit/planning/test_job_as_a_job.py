"""What an EmbeddingJob has in common with a Job: it is suspended, widened, and ends in time."""

import pytest

from tests.unit.planning.jobs import FINISH, SPLIT, Cluster, by_service, job, service


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
