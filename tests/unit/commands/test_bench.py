"""What `embedding-operator bench` makes, shows, draws and compares."""

from __future__ import annotations

import argparse
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from embedding_operator.api.benchmark import EmbeddingBenchmark
from embedding_operator.cli import main
from embedding_operator.commands import benching, comparing, curve, figures
from embedding_operator.commands.terminal import Screen
from tests.unit.commands.apiserver import ApiServer, pod, running, service
from tests.unit.commands.benches import SCREEN, faster, named
from tests.unit.planning import benchmarks
from tests.unit.planning.benchmarks import NUMBERS, benchmark


def stored(view: EmbeddingBenchmark) -> dict[str, Any]:
    """As the API server has it."""
    return {"apiVersion": "embedding-operator.io/v1alpha1", "kind": "EmbeddingBenchmark"} | view.to_dict()


def test_one_run_is_shown_in_the_shape_of_vllms_own_table() -> None:
    shown = figures.shown(named("table", benchmark(), NUMBERS, NUMBERS), SCREEN)
    assert shown[0] == "============ Serving Benchmark Result ============"
    told = dict(re.split(r" {2,}", line) for line in shown if "  " in line)
    assert told == {
        "Successful requests:": "2000",
        "Failed requests:": "0",
        "Repeats (figures are their medians):": "2",
        "Benchmark duration (s):": "20.00",
        "Total input tokens:": "400000",
        "Request throughput (req/s):": "50.00",
        "Total token throughput (tok/s):": "10000.0",
        "Mean E2EL (ms):": "900.00",
        "Median E2EL (ms):": "850.00",
        "P90 E2EL (ms):": "1500.0",
        "P99 E2EL (ms):": "1900.0",
    }
    assert shown[-1].startswith("measured: emb/qwen generation 3, 4 replicas, image quay.io/ascend/vllm-ascend:v0.23.0")


def test_several_runs_are_a_line_each_and_what_was_measured_is_told_once() -> None:
    shown = figures.shown(named("curve", benchmark(sweep={"maxConcurrency": [1, 8]}), *faster(1)), SCREEN)
    assert shown[0].split()[:5] == ["RUN", "REQUESTS", "FAILED", "REQ/S", "TOK/S"]
    assert shown[2].split()[:5] == ["2", "3000", "0", "50.00", "10000.0"]
    assert "1.0 %" in shown[2]
    assert shown[2].endswith("yes     1000 x 200 tokens, 8 at a time")
    assert [line for line in shown if line.startswith("measured")] == [shown[4]]


class Narrow(Screen):
    """A terminal of eighty columns."""

    @property
    def width(self) -> int:
        return 80


def test_in_a_usual_terminal_each_run_has_its_load_and_each_difference_what_it_means() -> None:
    """Names that `bench` makes are long, and what is cut off is at the end of a line."""
    screen = Narrow(io.StringIO())
    names = ("qwen3-vl-embedding-261126110312", "qwen3-vl-embedding-261126112301")
    one, other = (
        named(name, benchmark(sweep={"maxConcurrency": [8, 128]}), *faster(by))
        for name, by in zip(names, (1, 1.5), strict=True)
    )
    shown = figures.shown(one, screen)
    assert shown[0].split() == ["RUN", "REQ/S", "MEDIAN", "P99", "NOISE", "VALID", "LOAD"]
    assert shown[2].endswith("yes     1000 x 200 tokens, 128 at a time")
    compared = comparing.compared(one, other, screen)
    assert "FIGURE      BEFORE     AFTER      CHANGE" in compared
    assert sum(line.endswith("better") for line in compared) == 12
    assert compared[2] == f"1000 x 200 tokens, 8 at a time: run 1 of {names[0]}, run 1 of {names[1]}"


def test_worthless_figures_are_called_so() -> None:
    shown = figures.shown(named("table", benchmark(), [990, 10, *NUMBERS[2:]]), SCREEN)
    assert shown[-1] == "run 1 is worthless: 10 of 1000 requests failed"


def test_without_figures_that_is_said() -> None:
    assert figures.shown(benchmark(), SCREEN) == ["embbench/table has no figures yet"]


def test_the_curve_has_a_point_for_each_run_and_is_a_picture() -> None:
    made = named("curve", benchmark(sweep={"maxConcurrency": [1, 8, 64]}), NUMBERS)
    disturbed = replace((made.status.results or ())[0], valid=False, requests_per_second="10.00")
    made = replace(made, status=replace(made.status, results=(disturbed, *(made.status.results or ())[1:])))
    picture = ElementTree.fromstring(curve.draw(made))
    circles = picture.findall(".//{*}circle")
    assert len(circles) == 6  # median and p99
    assert [circle.get("fill") == "#ffffff" for circle in circles] == [True, False, False] * 2
    assert circles[0].findtext("{*}title") == "1 at a time: 10.00 requests/s, p99 1900.0 ms"
    words = [text.text for text in picture.findall(".//{*}text")]
    assert "Latency over throughput of qwen" in words
    places = [float(circle.get("cx") or 0) for circle in circles[:3]]
    assert places[0] < places[1] == places[2]


def wished(**values: Any) -> argparse.Namespace:
    usual = {"input_tokens": 200, "prompts": 1000, "concurrency": None, "rate": None, "repeats": None}
    return argparse.Namespace(**(usual | {"warmup": None, "benchmark": None} | values))


def test_a_benchmark_is_made_of_what_was_asked_for() -> None:
    made = benching.manifest(service(), wished(concurrency=[8], rate=[5, 10], repeats=1, benchmark="mine"))
    assert made["metadata"] == {"name": "mine", "namespace": "search"}
    assert made["spec"] == {
        "serviceRef": {"name": "qwen"},
        "runs": [{"dataset": "random", "inputTokens": 200, "prompts": 1000, "maxConcurrency": 8}],
        "sweep": {"requestRate": [5, 10]},
        "repeats": 1,
    }
    made = benching.manifest(service("q" * 52, task="Rerank"), wished(warmup=0))
    assert re.fullmatch(r"q{50}-[0-9]{12}", made["metadata"]["name"])
    assert made["spec"]["runs"][0]["dataset"] == "random-rerank"
    assert made["spec"]["warmupPrompts"] == 0


def test_what_exists_is_shown_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = stored(named("curve", benchmark(sweep={"maxConcurrency": [1, 8]}), *faster(1)))
    with running(ApiServer(benchmarks=[made]), tmp_path) as kubeconfig:
        assert main(["bench", "show", "curve", "--svg", str(tmp_path / "a.svg"), "--kubeconfig", kubeconfig]) == 0
        assert "8 at a time" in capsys.readouterr().out
        assert main(["bench", "show", "curve", "-o", "json", "--kubeconfig", kubeconfig]) == 0
    assert json.loads(capsys.readouterr().out)["status"]["progress"] == "2/2"
    assert (tmp_path / "a.svg").read_text().startswith("<svg")


def test_worthless_figures_and_failures_end_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = stored(named("bad", benchmark(), [990, 10, *NUMBERS[2:]]))
    stalled = stored(named("stalled", benchmark()))
    words = {"reason": "BenchmarkFailed", "message": "run 1 of 1: no answer"}
    stalled["status"] = {
        "conditions": [
            {"type": kind, "status": status} | words for kind, status in (("Ready", "False"), ("Stalled", "True"))
        ]
    }
    with running(ApiServer(benchmarks=[bad, stalled]), tmp_path) as kubeconfig:
        assert main(["bench", "show", "bad", "--kubeconfig", kubeconfig]) == 1
        assert main(["bench", "show", "stalled", "--kubeconfig", kubeconfig]) == 1
    assert "embedding-operator bench: embbench/stalled: run 1 of 1: no answer" in capsys.readouterr().err


def test_a_run_is_followed_with_what_its_pod_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = stored(named("table", benchmark(), NUMBERS))
    under_way = json.loads(json.dumps(done))
    message = {"reason": "Measuring", "message": "run 1 of 1 (1000 x 200 tokens, all at once)"}
    under_way["status"] = {"progress": "0/1", "conditions": [{"type": "Ready", "status": "False"} | message]}
    log = ["2026-01-02T03:04:05Z embedding-operator bench: repeat 2 of 3: 1000 prompts", "2026-01-02T03:04:06Z ====="]
    server = ApiServer(
        benchmarks=[done],
        pods=[pod("bench-x", **{"embedding-operator.io/benchmark": "table"})],
        logs={"bench-x": log},
        first={"embeddingbenchmarks/table": [under_way, under_way]},
    )
    with running(server, tmp_path) as kubeconfig:
        assert main(["bench", "show", "table", "--kubeconfig", kubeconfig]) == 0
    shown = capsys.readouterr()
    assert "[........................]   0 %  0 of 1 runs" in shown.err
    assert "all at once); repeat 2 of 3: 1000 prompts" in shown.err
    assert "Serving Benchmark Result" in shown.out


def test_one_that_is_deleted_is_followed_no_longer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = {"conditions": [{"type": "Ready", "status": "False", "reason": "Measuring", "message": "run 1 of 1"}]}
    under_way = stored(benchmark()) | {"status": status}
    server = ApiServer(first={"embeddingbenchmarks/table": [under_way, under_way]})
    with running(server, tmp_path) as kubeconfig:
        assert main(["bench", "show", "table", "--kubeconfig", kubeconfig]) == 1
    assert "embbench/table: there is no such EmbeddingBenchmark" in capsys.readouterr().err


def test_two_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = [stored(named("a", benchmark(), *faster(1))), stored(named("b", benchmark(), *faster(2)))]
    with running(ApiServer(benchmarks=pair), tmp_path) as kubeconfig:
        assert main(["bench", "compare", "a", "b", "--kubeconfig", kubeconfig]) == 0
        assert "+100.0 %   better" in capsys.readouterr().out
        assert main(["bench", "compare", "a", "b", "-o", "json", "--kubeconfig", kubeconfig]) == 0
    assert json.loads(capsys.readouterr().out)["before"] == "a"


OTHER = stored(named("other", benchmark(runs=[benchmarks.RUN | {"inputTokens": 8}]), NUMBERS))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["bench", "nobody"], "emb/nobody: there is no such EmbeddingService in namespace search"),
        (["bench", "show", "nobody"], "embbench/nobody: there is no such EmbeddingBenchmark in namespace search"),
        (["bench", "compare", "a", "new"], "embbench/new: it has no figures yet, see `bench show new`"),
        (
            ["bench", "compare", "a", "other"],
            "the loads have nothing in common, so neither have the figures: 1000 x 200",
        ),
        (["bench", "a", "b"], "write the name of a service, `show` and a benchmark, or `compare` and two benchmarks"),
        (["bench", "show", "A_B"], "'A_B' is not the name of an object"),
        (
            ["bench", "a", "--rate", "1,2", "--concurrency", "1,2"],
            "several values of --concurrency and of --rate are too",
        ),
        (
            ["bench", "show", "a", "--svg", "/nowhere/a.svg"],
            "/nowhere/a.svg cannot be written: No such file or directory",
        ),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = stored(replace(benchmark(), metadata=replace(benchmark().metadata, name="new")))
    known = [stored(named("a", benchmark(), NUMBERS)), OTHER, new]
    with running(ApiServer(benchmarks=known), tmp_path) as kubeconfig:
        assert main([*words, "--kubeconfig", kubeconfig]) == 1
    assert f"embedding-operator bench: {told}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--rate", "fast", "'fast' is not a rate a second such as 20 or 2.5"),
        ("--rate", "1,0", "'1,0' is not a rate a second"),
        ("--concurrency", "1,x", "'x' is not a number from 1 on"),
        ("--warmup", "-1", "'-1' is not a number from 0 on"),
    ],
)
def test_wrong_arguments_are_named(option: str, value: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "qwen", f"{option}={value}"])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
