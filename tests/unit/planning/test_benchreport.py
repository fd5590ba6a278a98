"""What came of a run: figures, and whether anything disturbed them."""

from dataclasses import replace
from typing import Any

from embedding_operator.api.conditions import Type
from embedding_operator.planning.benchloads import best
from embedding_operator.planning.benchplan import plan_benchmark
from tests.unit.planning import benchmarks
from tests.unit.planning.benchmarks import (
    NUMBERS,
    UNREADY,
    benchmark,
    condition,
    ended,
    job_of,
    measured,
    ready,
    seen,
    service,
)


def test_figures_are_the_medians_of_the_repeats_with_all_that_they_belong_to() -> None:
    slow = [*NUMBERS[:3], 25.0, 40.0, 8000.0, *NUMBERS[6:]]
    fast = [*NUMBERS[:3], 16.0, 62.5, 12500.0, *NUMBERS[6:]]
    planned = measured(benchmark(), NUMBERS, slow, fast)
    assert ready(planned) == ("True", "Measured", "the run is done: 50.00 requests/s, p99 1900.0 ms")
    (one,) = planned.status.results or ()
    assert (one.run, one.requests, one.failed, one.requests_per_second, one.duration) == (1, 3000, 0, "50.00", "20.00")
    assert [repeat.requests_per_second for repeat in one.repeats or ()] == ["50.00", "40.00", "62.50"]
    assert (one.service.generation, one.service.replicas, one.service.vllm) == (3, 4, "0.23.0")
    assert (one.service.image, one.service.digest) == ("quay.io/ascend/vllm-ascend:v0.23.0", "sha256:" + "ab" * 32)
    assert one.valid
    valid = condition(planned, Type.VALID)
    assert valid is not None
    assert (valid.status, valid.reason) == ("True", "Undisturbed")
    assert (planned.status.progress, planned.status.best.requests_per_second) == ("1/1", "50.00")


def disturbed_by(**observed: Any) -> str | None:
    (one,) = measured(benchmark(), **observed).status.results or ()
    assert one.valid == (one.disturbed is None)
    return one.disturbed


def test_what_disturbed_a_run_makes_its_figures_worthless() -> None:
    made = benchmarks.revisions()
    assert disturbed_by() is None
    assert disturbed_by(servers=benchmarks.servers(made[0], restarts=1)) == "servers restarted 4 times"
    replaced = benchmarks.servers(made[0])
    replaced[0]["metadata"]["uid"] = "another"
    assert disturbed_by(servers=replaced) == "1 of 4 pods were replaced"
    changed = replace(service(), metadata=replace(service().metadata, generation=4))
    changed = replace(changed, status=replace(changed.status, observed_generation=4))
    assert disturbed_by(service=changed) == "the service was changed (generation 3, then 4)"
    assert disturbed_by(service=service(UNREADY)) == (
        "at the end of the run EmbeddingService qwen is not serving with all replicas: RollingOut, "
        "1 of 4 replicas are new"
    )
    assert disturbed_by(service=None) == "at the end of the run the service is gone"


def test_failed_requests_make_figures_worthless_and_are_counted() -> None:
    planned = measured(benchmark(), [990, 10, *NUMBERS[2:]], NUMBERS)
    (one,) = planned.status.results or ()
    assert (one.failed, one.disturbed) == (10, "10 of 2000 requests failed")
    valid = condition(planned, Type.VALID)
    assert valid is not None
    assert (valid.status, valid.reason, valid.message) == ("False", "Disturbed", "run 1: 10 of 2000 requests failed")


def test_the_best_run_is_one_that_nothing_disturbed() -> None:
    good = (measured(benchmark()).status.results or ())[0]
    bad = replace(good, run=2, valid=False, requests_per_second="99.00")
    assert best((good, bad)) == good
    assert best((bad,)) == bad
    assert best(()) is None


def test_an_annotation_that_somebody_took_away_is_no_proof() -> None:
    began = plan_benchmark(benchmark(), seen())
    job, pod = ended(job_of(began), {"repeats": [NUMBERS]})
    job["metadata"]["annotations"] = {}
    (one,) = plan_benchmark(benchmark(), seen(jobs=[job], pods=[pod])).status.results or ()
    assert not one.valid
    assert one.disturbed == "nobody knows any more what was measured: the Job's annotation is gone"
