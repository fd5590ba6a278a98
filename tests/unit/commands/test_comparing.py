"""What `embedding-operator bench compare` says of two benchmarks."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from embedding_operator.commands import comparing
from embedding_operator.commands.comparing import BETTER, SAME, UNKNOWN, WORSE, WORTHLESS, verdict
from embedding_operator.planning.benchplan import subject_of
from tests.unit.commands.benches import SCREEN, faster, named
from tests.unit.planning import benchmarks
from tests.unit.planning.benchmarks import benchmark


@pytest.mark.parametrize(
    ("before", "after", "more_is_better", "expected"),
    [
        ([10, 11, 12], [20, 21, 22], True, BETTER),
        ([10, 11, 12], [20, 21, 22], False, WORSE),
        ([20, 21, 22], [10, 11, 12], False, BETTER),
        ([10, 11, 12], [12, 13, 14], True, SAME),  # one repeat lies among the others
        ([10, 11, 12], [12.5, 12.9, 14], True, SAME),  # apart, and no further than repeats are
        ([10], [20, 21, 22], True, UNKNOWN),
        ([10, 10], [10, 10], True, SAME),
    ],
)
def test_what_is_beyond_the_noise(before: list[float], after: list[float], more_is_better: bool, expected: str) -> None:
    middles = (sorted(before)[len(before) // 2], sorted(after)[len(after) // 2])
    assert verdict(before, after, middles, more_is_better) == expected


def test_a_comparison_says_what_changed_and_what_came_of_it() -> None:
    before = named("before", benchmark(), *faster(1))
    tuned = benchmarks.revisions(serving={"maxBatchedTokens": 16384})
    tuned = [replace(tuned[0], resolved=tuned[0].resolved | {"vllm": "0.32.0"})]
    after = named("after", benchmark(), *faster(1.5))
    (result,) = after.status.results or ()
    subject = benchmarks.seen(revisions=tuned, servers=benchmarks.servers(tuned[0]))
    changed = subject_of(subject)
    assert not isinstance(changed, str)
    after = replace(after, status=replace(after.status, results=(replace(result, service=changed.measured()),)))
    lines = comparing.compared(before, after, SCREEN)
    assert lines[:3] == ["changed:", "  vllm: 0.23.0 -> 0.32.0", "  --max-num-batched-tokens: unset -> 16384"]
    assert "req/s       50.00      75.00      +50.0 %   better" in lines
    assert "p99 ms      1900.00    1266.70    -33.3 %   better" in lines
    assert lines[-1] == comparing.RULE
    described = json.loads(json.dumps(comparing.described(before, after)))
    assert described["changed"] == ["vllm: 0.23.0 -> 0.32.0", "--max-num-batched-tokens: unset -> 16384"]
    assert {figure["verdict"] for figure in described["runs"][0]["figures"]} == {BETTER}


def test_the_same_twice_is_within_the_noise() -> None:
    one, other = named("one", benchmark(), *faster(1)), named("other", benchmark(), *faster(1.005))
    lines = comparing.compared(one, other, SCREEN)
    assert lines[0] == "nothing was changed: both measured the same"
    assert sum(line.endswith("within the noise") for line in lines) == 6


def test_what_something_disturbed_is_neither_better_nor_worse() -> None:
    one, other = named("one", benchmark(), *faster(1)), named("other", benchmark(), *faster(1.5))
    spoilt = tuple(replace(result, valid=False, disturbed="x") for result in other.status.results or ())
    other = replace(other, status=replace(other.status, results=spoilt))
    lines = comparing.compared(one, other, SCREEN)
    assert sum(line.endswith(WORTHLESS) for line in lines) == 6
    assert "  run 1 of other is worthless: x" in lines
    described = json.loads(json.dumps(comparing.described(one, other)))
    assert {figure["verdict"] for figure in described["runs"][0]["figures"]} == {WORTHLESS}


def test_runs_without_a_counterpart_are_named_and_not_left_out_in_silence() -> None:
    one = named("one", benchmark(sweep={"maxConcurrency": [1, 8, 64]}), *faster(1))
    other = named("other", benchmark(sweep={"maxConcurrency": [8, 32]}), *faster(1))
    lines = comparing.compared(one, other, SCREEN)
    assert [line for line in lines if line.startswith("not compared")] == [
        "not compared: run 1 of one, 1000 x 200 tokens, 1 at a time",
        "not compared: run 3 of one, 1000 x 200 tokens, 64 at a time",
        "not compared: run 2 of other, 1000 x 200 tokens, 32 at a time",
    ]
    described = json.loads(json.dumps(comparing.described(one, other)))
    assert [(left["benchmark"], left["run"]) for left in described["notCompared"]] == [
        ("one", 1),
        ("one", 3),
        ("other", 2),
    ]


def test_other_prompts_and_other_services_are_among_what_changed() -> None:
    run = {"dataset": "custom", "prompts": 10, "file": "queries.jsonl"}
    one, other = (
        named(claim, benchmark(runs=[run], input={"claimName": claim}), *faster(1)) for claim in ("mine", "yours")
    )
    another = replace(other.spec.service_ref, name="qwen-2")
    other = replace(other, spec=replace(other.spec, service_ref=another))
    expected = ["service: qwen -> qwen-2", "claim of the prompts: mine -> yours"]
    assert comparing.compared(one, other, SCREEN)[1:3] == [f"  {line}" for line in expected]
    assert comparing.described(one, other)["changed"] == expected
