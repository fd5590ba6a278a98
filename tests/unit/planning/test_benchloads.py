"""From a benchmark's spec to its loads, in words of vLLM and of people."""

from dataclasses import replace
from typing import Any

import pytest

from embedding_operator.api.conditions import Type
from embedding_operator.planning.benchloads import loads, told
from embedding_operator.planning.benchplan import plan_benchmark
from tests.unit.planning import benchmarks
from tests.unit.planning.benchmarks import RUN, after_flag, arguments, benchmark, condition, ready, seen, service


@pytest.mark.parametrize(
    ("run", "task", "expected"),
    [
        (RUN, "Embed", "--backend openai-embeddings --dataset-name random --random-input-len 200"),
        (RUN | {"inputsPerRequest": 32}, "Embed", "--random-input-len 200 --random-batch-size 32"),
        (RUN | {"requestRate": 20, "maxConcurrency": 8}, "Embed", "--request-rate 20 --max-concurrency 8"),
        (RUN | {"requestRate": "inf"}, "Embed", "--request-rate inf"),
        (RUN | {"dataset": "random-rerank"}, "Rerank", "--backend vllm-rerank --endpoint /v1/rerank"),
        (
            {"dataset": "custom", "prompts": 10, "file": "a/b.jsonl"},
            "Embed",
            "--as-they-are --dataset-name custom --dataset-path /input/a/b.jsonl",
        ),
    ],
)
def test_a_load_is_told_in_vllms_words(run: dict[str, Any], task: str, expected: str) -> None:
    more = {"input": {"claimName": "corpus"}} if "file" in run else {}
    made = benchmarks.revisions(task=task, model={"source": {"modelScope": {"repo": "Qwen/X"}}})
    given = seen(service=service(task=task), revisions=made, servers=benchmarks.servers(made[0]))
    words = arguments(plan_benchmark(benchmark(runs=[run], **more), given))
    asked = expected.split()
    pairs = {word: following for word, following in zip(asked, [*asked[1:], "--"], strict=True) if word[:2] == "--"}
    for flag, value in pairs.items():
        assert flag in words
        assert value[:2] == "--" or after_flag(words, flag) == value


@pytest.mark.parametrize(
    ("run", "task", "version", "words"),
    [
        (RUN, "Rerank", "0.23.0", "has task Rerank: make a benchmark with dataset random-rerank"),
        (RUN | {"dataset": "random-rerank"}, "Embed", "0.23.0", "make a benchmark with dataset random or custom"),
        (RUN, "Classify", "0.23.0", "vllm bench serve has no load for that: measure one that embeds or ranks"),
        (RUN | {"dataset": "random-rerank"}, "Rerank", "0.11.0", "no load for reranking before 0.12.0"),
    ],
)
def test_a_load_that_the_service_cannot_be_given_is_refused(
    run: dict[str, Any], task: str, version: str, words: str
) -> None:
    made = benchmarks.revisions()
    made = [replace(made[0], resolved=made[0].resolved | {"vllm": version})]
    given = seen(service=service(task=task), revisions=made, servers=benchmarks.servers(made[0]))
    planned = plan_benchmark(benchmark(runs=[run]), given)
    assert (planned.create, ready(planned)[1]) == ((), "InvalidSpec")
    assert words in ready(planned)[2]
    assert condition(planned, Type.STALLED)


def test_each_run_of_a_sweep_draws_other_inputs_and_two_benchmarks_draw_others() -> None:
    one = benchmark(runs=[RUN, RUN], sweep={"maxConcurrency": [1, 8]})
    made = loads(one)
    assert [(load.max_concurrency, load.request_rate) for load in made] == [(1, None), (8, None), (1, None), (8, None)]
    assert len({load.seed for load in made}) == 4
    assert loads(replace(one, metadata=replace(one.metadata, uid="b-2")))[0].seed != made[0].seed
    same = [loads(benchmark(runs=[RUN | {"seed": 7}]))[0].seed for _ in range(2)]
    assert same == [7, 7]
    assert [load.request_rate for load in loads(benchmark(sweep={"requestRate": [5, "2.5"]}))] == ["5", "2.5"]


def test_a_load_is_told_in_a_few_words() -> None:
    (one,) = loads(
        benchmark(runs=[RUN | {"name": "short", "inputsPerRequest": 8, "requestRate": 5, "maxConcurrency": 9}])
    )
    assert told(one) == "short: 1000 x 200 tokens, 8 in a request, 5 requests/s and 9 at a time"
