"""No field exists that nothing implements: each one of an EmbeddingBenchmark's spec changes the Job that is made."""

import copy
from typing import Any

import pytest

from embedding_operator.planning.benchplan import plan_benchmark
from tests.unit.planning import benchmarks
from tests.unit.planning.test_every_field import fields
from tests.unit.test_crds import schema_of

SPEC = schema_of("EmbeddingBenchmark")["properties"]["spec"]
OF_A_RUN = sorted(SPEC["properties"]["runs"]["items"]["properties"])
OTHERS = sorted(set(fields(SPEC)) - {"runs", "serviceRef.name"})  # another service has another everything
CUSTOM = {"dataset": "custom", "prompts": 10, "file": "a.jsonl"}
RANDOM = benchmarks.RUN | {"name": "short", "inputsPerRequest": 8, "requestRate": 5, "maxConcurrency": 9, "seed": 7}
EVERYTHING: dict[str, Any] = {
    "repeats": 5,
    "warmupPrompts": 10,
    "input": {"claimName": "corpus"},
    "output": {"claimName": "results", "path": "a"},
}
OTHER = {"dataset": "random-rerank", "prompts": 999, "inputTokens": 8, "file": "b.jsonl"}
OTHERWISE = {"input.claimName": "other", "output.claimName": "other"}
SWEEPS = {"sweep.maxConcurrency": {"maxConcurrency": [1]}, "sweep.requestRate": {"requestRate": [1]}}


def made(run: dict[str, Any], spec: dict[str, Any]) -> str:
    """All that comes of it: what is created, and what is said."""
    task = "Rerank" if run["dataset"] == "random-rerank" else "Embed"
    planned = plan_benchmark(
        benchmarks.benchmark(runs=[run], **spec), benchmarks.seen(service=benchmarks.service(task=task))
    )
    assert planned.create
    return f"{planned.create} {planned.status}"


@pytest.mark.parametrize("field", OF_A_RUN)
def test_every_field_of_a_run_changes_what_is_made(field: str) -> None:
    run = CUSTOM if field == "file" else RANDOM
    changed = {name: value for name, value in run.items() if name != field}
    if field in OTHER:
        changed |= {field: OTHER[field]}
    assert made(run, EVERYTHING) != made(changed, EVERYTHING), f"nothing comes of {field}"


@pytest.mark.parametrize("field", OTHERS)
def test_every_other_field_changes_what_is_made(field: str) -> None:
    if field in SWEEPS:
        without = {name: value for name, value in RANDOM.items() if name not in SWEEPS[field]}
        assert made(without, EVERYTHING | {"sweep": SWEEPS[field]}) != made(without, EVERYTHING)
        return
    changed = copy.deepcopy(EVERYTHING)
    *groups, name = field.split(".")
    group = changed
    for one in groups:
        group = group[one]
    if field in OTHERWISE:
        group[name] = OTHERWISE[field]
    else:
        del group[name]
    assert made(RANDOM, EVERYTHING) != made(RANDOM, changed), f"nothing comes of {field}"


def test_the_service_that_is_named_is_the_one_that_is_measured() -> None:
    planned = plan_benchmark(benchmarks.benchmark(serviceRef={"name": "other"}), benchmarks.seen(service=None, age=99))
    assert "there is no EmbeddingService other" in planned.status.conditions[0].message
