"""From an EmbeddingBenchmark to its next Job and its status: given this and these observations, expect that."""

from typing import Any

import pytest

from embedding_operator.api.conditions import Reason, Type
from embedding_operator.planning.benchplan import is_in_line, is_over, plan_benchmark, subject_of, turn_of
from embedding_operator.planning.errors import PlanError
from tests.unit.planning import benchmarks
from tests.unit.planning.benchmarks import (
    SERVING,
    UNREADY,
    after_flag,
    arguments,
    benchmark,
    condition,
    ended,
    job_of,
    measured,
    ready,
    seen,
    service,
)


@pytest.mark.parametrize(
    ("given", "reason", "words"),
    [
        ({"service": None, "age": 99}, "ServiceNotFound", "there is no EmbeddingService qwen in namespace search"),
        ({"ahead": "other"}, "WaitingForTurn", "EmbeddingBenchmark other has its turn at qwen"),
        ({"service": service(UNREADY)}, "WaitingForService", "RollingOut, 1 of 4 replicas are new"),
        ({"service": service(SERVING, generation=2)}, "WaitingForService", "has just been changed"),
        ({"servers": []}, "WaitingForService", "pods of EmbeddingService qwen are being replaced"),
        ({"refused": PlanError(Reason.APPLY_REFUSED, "no quota")}, "ApplyRefused", "no quota"),
    ],
)
def test_nothing_is_measured_before_all_is_as_it_should_be(given: dict[str, Any], reason: str, words: str) -> None:
    planned = plan_benchmark(benchmark(), seen(**given))
    assert planned.create == ()
    assert ready(planned)[1] == reason
    assert words in ready(planned)[2]
    assert planned.waits_for == given.get("ahead", "")


def test_a_service_that_is_applied_together_with_it_may_come() -> None:
    planned = plan_benchmark(benchmark(), seen(service=None, age=1))
    assert condition(planned, Type.STALLED) is None
    assert planned.requeue_after


def test_runs_go_one_after_the_other_and_none_is_measured_twice() -> None:
    before = benchmark(sweep={"maxConcurrency": [1, 8]})
    first = measured(before)
    assert (ready(first)[0], first.status.progress, first.requeue_after) == ("False", "1/2", 0.0)
    then = benchmarks.after(before, first)
    second = plan_benchmark(then, seen())
    assert job_of(second)["metadata"]["name"].endswith("-2")
    assert after_flag(arguments(second), "--max-concurrency") == "8"
    done = benchmarks.after(then, measured(then))
    assert [one.run for one in done.status.results or ()] == [1, 2]
    again = plan_benchmark(done, seen(service=None))  # whatever becomes of the service
    assert (again.create, again.status) == ((), done.status)
    assert is_over(done.status.conditions)


def test_the_same_observations_give_the_same_plan() -> None:
    assert plan_benchmark(benchmark(), seen()) == plan_benchmark(benchmark(), seen())


def test_lost_figures_are_measured_again() -> None:
    before = plan_benchmark(benchmark(), seen())
    job, pod = ended(job_of(before), None)
    for pods in ([], [pod]):
        planned = plan_benchmark(benchmark(), seen(jobs=[job], pods=pods))
        assert planned.delete == (("Job", job["metadata"]["name"]),)
        assert ready(planned)[1] == "Retrying"
        assert planned.status.results is None


def test_a_run_that_cannot_be_done_needs_a_person_and_says_how_to_go_on() -> None:
    job, pod = ended(
        job_of(plan_benchmark(benchmark(), seen())), {"reason": "Unreachable", "message": "no answer"}, failed=True
    )
    planned = plan_benchmark(benchmark(), seen(jobs=[job], pods=[pod]))
    assert ready(planned)[1] == "BenchmarkFailed"
    assert (
        f"no answer; when mended, try again with `kubectl delete job {job['metadata']['name']} -n search`"
        in (ready(planned)[2])
    )
    unheard = plan_benchmark(benchmark(), seen(jobs=[job]))
    assert "it has failed; when mended" in ready(unheard)[2]
    assert is_over(planned.status.conditions)


def test_its_next_pod_has_its_script_though_somebody_deletes_the_config_map() -> None:
    script, job = plan_benchmark(benchmark(), seen()).create
    assert plan_benchmark(benchmark(), seen(jobs=[job])).create == (script,)
    another = plan_benchmark(benchmark(), seen(jobs=[job], script="of_another_version()"))
    assert another.create == (), "what an older one's pods mount is not known any more"


def test_while_it_runs_it_says_what_it_waits_for() -> None:
    job = job_of(plan_benchmark(benchmark(), seen()))
    job = job | {"metadata": job["metadata"] | {"uid": "j-1"}}
    pod: dict[str, Any] = {
        "metadata": {"name": "bench-x", "ownerReferences": [{"uid": "j-1"}]},
        "status": {"phase": "Running"},
    }
    run = "run 1 of 1 (1000 x 200 tokens, all at once)"
    assert ready(plan_benchmark(benchmark(), seen(jobs=[job])))[2] == f"{run}: its Job makes a pod"
    assert ready(plan_benchmark(benchmark(), seen(jobs=[job], pods=[pod])))[1:] == ("Measuring", run)
    pod["status"] = {"phase": "Pending"}
    assert ready(plan_benchmark(benchmark(), seen(jobs=[job], pods=[pod])))[2] == f"{run}: its pod has not started yet"
    waiting = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}
    pod["status"] = {"phase": "Pending", "conditions": [waiting]}
    assert ready(plan_benchmark(benchmark(), seen(jobs=[job], pods=[pod])))[1] == "Unschedulable"


def test_a_job_goes_by_itself_only_when_its_figures_are_kept() -> None:
    """One that failed stays for as long as a person leaves it: without it, the run would begin once more."""
    job = job_of(plan_benchmark(benchmark(), seen()))
    assert "ttlSecondsAfterFinished" not in job["spec"]
    goes = ((job["metadata"]["name"], {"spec": {"ttlSecondsAfterFinished": 86400}}),)
    assert measured(benchmark()).patch == goes
    assert measured(benchmark(sweep={"maxConcurrency": [1, 8]})).patch == goes
    failed, pod = ended(job, {"reason": "Unreachable", "message": "no answer"}, failed=True)
    assert plan_benchmark(benchmark(), seen(jobs=[failed], pods=[pod])).patch == ()


RUNS: dict[str, Any] = {"status": {}}
FAILED = {"status": {"conditions": [{"type": "Failed", "status": "True"}]}}
COMPLETE = {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}


def stored(name: str, created: str = "", **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "creationTimestamp": created}, "status": status}


def test_whose_job_runs_is_first_then_who_has_begun_and_then_who_came_first() -> None:
    early, late = stored("b", "2026-03-04T12:00:00Z"), stored("a", "2026-03-04T12:00:01Z")
    assert turn_of(early, []) < turn_of(late, [])
    assert turn_of(late, [COMPLETE]) < turn_of(early, [])
    assert turn_of(stored("a", "2026-03-04T12:00:01Z", results=[{}]), []) < turn_of(early, [])
    assert turn_of(stored("a"), []) < turn_of(stored("b"), [])
    again = stored("b", "2026-03-04T12:00:00Z", results=[{}])  # whose Job a person deleted, for another try
    assert turn_of(late, [RUNS]) < turn_of(again, [])
    assert turn_of(late, [COMPLETE, RUNS]) < turn_of(again, [COMPLETE])


@pytest.mark.parametrize(
    ("benchmark", "jobs", "expected"),
    [
        (stored("a"), [], True),
        (stored("a", conditions=[{"type": "Ready", "status": "True", "reason": "Measured"}]), [COMPLETE], False),
        (stored("a", conditions=[{"type": "Stalled", "status": "True", "reason": "BenchmarkFailed"}]), [FAILED], False),
        (stored("a", conditions=[{"type": "Stalled", "status": "True", "reason": "BenchmarkFailed"}]), [RUNS], True),
        ({"metadata": {"name": "a", "deletionTimestamp": "2026-03-04T12:00:00Z"}}, [], False),
        ({"metadata": {"name": "a", "deletionTimestamp": "2026-03-04T12:00:00Z"}}, [RUNS], True),
        (stored("a", conditions=["nobody can read this"]), [], False),
    ],
)
def test_who_keeps_others_from_their_turn(benchmark: Any, jobs: list[Any], expected: bool) -> None:
    assert is_in_line(benchmark, jobs) == expected


def test_pods_that_end_are_none_of_what_is_measured() -> None:
    made = benchmarks.revisions()
    ending = benchmarks.servers(made[0], 5)
    ending[4]["metadata"]["deletionTimestamp"] = "2026-03-04T12:00:00Z"
    subject = subject_of(seen(servers=ending))
    assert not isinstance(subject, str)
    assert len(subject.pods) == 4
