"""How many replicas a rate needs, and what that rests on: `embedding-operator plan`."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from embedding_operator.api.benchmark import EmbeddingBenchmark
from embedding_operator.cli import main
from embedding_operator.commands import sizing
from embedding_operator.commands.comparing import pairs
from embedding_operator.commands.terminal import Screen
from embedding_operator.planning.advice import AdviceError, advise
from tests.unit.commands.apiserver import ApiServer, running
from tests.unit.commands.test_bench import named, stored
from tests.unit.planning.benchmarks import NUMBERS, RUN, benchmark


def curve(name: str, *points: tuple[float, float], args: tuple[str, ...] = (), **spec: Any) -> EmbeddingBenchmark:
    """Measured on four replicas: requests a second and p99 of each point."""
    made = named(name, benchmark(sweep={"maxConcurrency": list(range(1, len(points) + 1))}, **spec), NUMBERS)
    results = tuple(
        replace(one, requests_per_second=str(rate), p99_milliseconds=str(p99), service=replace(one.service, args=args))
        for one, (rate, p99) in zip(made.status.results or (), points, strict=True)
    )
    return replace(made, status=replace(made.status, results=results))


CURVE = curve("curve", (40.0, 100.0), (160.0, 500.0), (200.0, 1900.0), (204.0, 5000.0))


@pytest.mark.parametrize(
    ("rate", "p99", "replicas", "run"),
    [
        (500, 2000, 10, 3),  # 50 of each
        (501, 2000, 11, 3),
        (500, 1900, 10, 3),
        (500, 1899, 13, 2),  # 40 of each
        (1, 100, 1, 1),
        (500, 10_000, 10, 4),  # 51 of each
    ],
)
def test_the_fewest_replicas_by_a_point_that_was_measured(rate: float, p99: float, replicas: int, run: int) -> None:
    advice = advise([CURVE], rate, p99)
    assert (advice.replicas, advice.point.result.run) == (replicas, run)
    assert len(advice.points) == 4


@pytest.mark.parametrize(
    ("measured", "rate", "replicas"), [(181.23, 543.69, 12), (247.89, 1239.45, 20), (269.34, 2693.4, 40)]
)
def test_so_many_times_the_rate_takes_so_many_times_the_replicas(measured: float, rate: float, replicas: int) -> None:
    assert advise([curve("point", (measured, 100.0))], rate, 100).replicas == replicas


def refused(*given: EmbeddingBenchmark, p99: float = 2000) -> str:
    with pytest.raises(AdviceError) as error:
        advise(given, 500, p99)
    return str(error.value)


def test_nothing_is_guessed_beyond_the_points() -> None:
    assert refused(CURVE, p99=99) == (
        "no point has a p99 of at most 99 ms: the lowest is 100 ms (run 1 of curve: 1000 x 200 tokens, 1 at a time); "
        "measure with less at a time, or with other settings"
    )


def test_worthless_figures_are_no_points() -> None:
    spoilt = tuple(replace(one, valid=one.run != 3) for one in CURVE.status.results or ())
    advice = advise([replace(CURVE, status=replace(CURVE.status, results=spoilt))], 500, 2000)
    assert (advice.replicas, advice.point.result.run) == (13, 2)
    worthless = tuple(replace(one, valid=False) for one in spoilt)
    told = refused(replace(CURVE, status=replace(CURVE.status, results=worthless)))
    assert told == "nothing to go by in curve: all of its figures are worthless; measure first"
    assert refused(benchmark()) == "nothing to go by in table: it has no figures yet; measure first"


def test_points_of_other_inputs_are_not_mixed() -> None:
    other = curve("long", (10.0, 100.0), runs=[RUN | {"inputTokens": 2000}])
    assert refused(CURVE, other) == (
        "the points have different inputs (200 tokens; 2000 tokens): name benchmarks of one kind of input"
    )


def test_texts_and_pairs_of_the_same_length_are_other_inputs() -> None:
    scores = curve("scores", (10.0, 100.0))
    (result,) = scores.status.results or ()
    result = replace(result, load=replace(result.load, dataset="random-rerank"))
    scores = replace(scores, status=replace(scores.status, results=(result,)))
    assert refused(CURVE, scores) == (
        "the points have different inputs (200 tokens; a pair of 200 tokens): name benchmarks of one kind of input"
    )
    assert pairs(curve("texts", (10.0, 100.0)), scores) == []


def test_the_settings_that_need_fewer_are_chosen_and_the_others_told() -> None:
    tuned = curve("tuned", (300.0, 1500.0), args=("--max-num-batched-tokens", "16384"))
    advice = advise([CURVE, tuned], 500, 2000)
    assert (advice.replicas, advice.point.benchmark) == (7, "tuned")
    assert [(count, other.benchmark) for count, other in advice.others] == [(10, "curve")]


def test_of_what_was_measured_again_the_worst_counts() -> None:
    again = curve("again", (40.0, 100.0), (160.0, 600.0), (180.0, 1700.0))
    for both in ([CURVE, again], [again, CURVE]):
        advice = advise(both, 500, 2000)
        assert (advice.replicas, advice.point.benchmark, advice.point.result.run) == (12, "again", 3)
    assert advise([CURVE, again], 500, 550).point.result.run == 1  # once it was slower than that
    late = curve("again", (40.0, 150.0))
    assert "the lowest is 150 ms (run 1 of again" in refused(curve("curve", (40.0, 100.0)), late, p99=120)


def test_more_replicas_that_did_less_each_are_told_of() -> None:
    big = curve("big", (400.0, 1500.0))
    big = replace(
        big,
        status=replace(
            big.status,
            results=tuple(replace(one, service=replace(one.service, replicas=10)) for one in big.status.results or ()),
        ),
    )
    advice = advise([CURVE, big], 500, 2000)
    assert (advice.replicas, advice.point.benchmark) == (10, "curve")
    assert advice.doubt is not None
    assert (advice.doubt.benchmark, advice.doubt.needed(500)) == ("big", 13)
    told = "10 replicas did less each: by run 1 of big: 1000 x 200 tokens, 1 at a time it takes 13"
    assert told in sizing.shown(advice, 500, 2000, Screen(io.StringIO()))
    assert advise([CURVE, big], 100, 2000).doubt is None  # fewer than were measured


def test_it_is_told_with_the_point_that_it_rests_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tuned = curve("tuned", (300.0, 1500.0), args=("--max-num-batched-tokens", "16384"))
    with running(ApiServer(benchmarks=[stored(CURVE), stored(tuned)]), tmp_path) as kubeconfig:
        words = ["plan", "curve", "tuned", "--rate", "500", "--p99", "2s", "--kubeconfig", kubeconfig]
        assert main(words) == 0
        lines = capsys.readouterr().out.splitlines()
        assert main([*words, "-o", "json"]) == 0
    assert lines[0] == "7 replicas answer 500 requests/s, 99 of 100 within 2000 ms"
    assert lines[1].startswith(
        "rests on run 1 of tuned: 1000 x 200 tokens, 1 at a time: 75.00 requests/s of each of 4, p99"
    )
    assert lines[2] == "measured with 4: that 7 do the same each is not, so measure again with them"
    assert lines[-1].startswith("with --max-num-batched-tokens: 16384 -> unset: 10 replicas, by run 3 of curve")
    described = json.loads(capsys.readouterr().out)
    assert (described["replicas"], described["point"]["requestsPerSecondOfEach"]) == (7, 75.0)
    assert described["service"]["args"] == ["--max-num-batched-tokens", "16384"]


def test_what_the_benchmarks_do_not_say_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(ApiServer(benchmarks=[stored(CURVE)]), tmp_path) as kubeconfig:
        for name, p99, told in (
            ("curve", "50ms", "no point has a p99"),
            ("nobody", "1s", "there is no such Embedding"),
        ):
            assert main(["plan", name, "--rate", "5", "--p99", p99, "--kubeconfig", kubeconfig]) == 1
            assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--rate", "0", "--p99", "2s"], "'0' is not a number above 0"),
        (["--rate", "5", "--p99", "2"], "'2' is not a length of time such as 2s or 800ms"),
    ],
)
def test_wrong_arguments_are_named(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["plan", "curve", *words])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_the_number_of_prompts_makes_no_other_load() -> None:
    points = [(40.0, 100.0), (160.0, 500.0), (200.0, 1900.0), (204.0, 5000.0), (240.0, 1000.0)]
    more = curve("more", *points, runs=[RUN | {"prompts": 5000}])
    assert advise([CURVE, more], 500, 2000).point.benchmark == "more"
