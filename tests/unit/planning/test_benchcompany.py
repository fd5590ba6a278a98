"""A job that has a service embed, and a benchmark of that service: figures of both together are of neither."""

from typing import Any

import pytest

from embedding_operator.planning.benchcompany import company
from embedding_operator.planning.benchplan import plan_benchmark
from tests.unit.planning.benchmarks import benchmark, measured, ready, seen

BEGAN = "2026-03-04T11:00:00Z"


def embedder(reason: str = "Embedding", failed_at: str = "", **status: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "False", "reason": reason, "lastTransitionTime": BEGAN}]
    if failed_at:
        conditions.append({"type": "Failed", "status": "True", "reason": reason, "lastTransitionTime": failed_at})
    return {"metadata": {"name": "nightly"}, "status": {"conditions": conditions, "workers": {"active": 1}} | status}


def test_a_run_waits_for_a_job_that_has_the_service_embed() -> None:
    planned = plan_benchmark(benchmark(), seen(embedders=[embedder()]))
    assert planned.create == ()
    assert ready(planned)[1] == "WaitingForTurn"
    assert ready(planned)[2].endswith("waits: EmbeddingJob nightly embeds by the service")
    others = [embedder("Suspended"), embedder(workers={"active": 0}), {"metadata": {"name": "new"}}]
    assert plan_benchmark(benchmark(), seen(embedders=others)).create


def test_figures_beside_a_job_are_worthless() -> None:
    (result,) = measured(benchmark(), embedders=[embedder()]).status.results or ()
    assert (result.valid, result.disturbed) == (False, "EmbeddingJob nightly embeds by the service")
    (result,) = measured(benchmark(), embedders=[embedder("Suspended")]).status.results or ()
    assert result.valid


@pytest.mark.parametrize(
    ("job", "disturbs"),
    [
        (embedder("Completed", completionTime="2026-03-04T11:00:01Z"), True),
        (embedder("Completed", completionTime="2026-03-04T10:59:59Z"), False),
        (embedder("BadInput", failed_at="2026-03-04T11:00:01Z"), True),
        (embedder("BadInput", failed_at="2026-03-04T10:59:59Z"), False),
        (embedder("WaitingForService"), False),
    ],
)
def test_a_job_that_ended_while_it_was_measured_disturbed_it(job: dict[str, Any], disturbs: bool) -> None:
    assert (company([job], since=BEGAN) is not None) is disturbs
    assert company([job]) is None
