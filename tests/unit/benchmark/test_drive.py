"""The script in a benchmark's pod."""

from __future__ import annotations

import ast
import json
import os
import signal
import sys
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.unit.benchmark.driven import SOURCE, Pod, refusal, url


def flag(call: dict[str, Any], name: str) -> str:
    words: list[str] = call["words"]
    return words[words.index(name) + 1]


def test_it_warms_up_and_then_measures_each_repeat_with_other_inputs(pod: Pod, server: HTTPServer) -> None:
    ended = pod.run(url(server), "--warmup", "10", "--seed", "7000")
    assert ended.returncode == 0, ended.stderr
    assert [(flag(call, "--num-prompts"), flag(call, "--seed")) for call in pod.calls] == [
        ("10", "7999"),
        ("100", "7000"),
        ("100", "7001"),
    ]
    assert ["--save-result" in call["words"] for call in pod.calls] == [False, True, True]
    assert pod.said == {"repeats": [[99, 1, 2000, 2.0, rate, 10000.0, 9.123, 8.0, 15.0, 19.0] for rate in (52.0, 53.0)]}
    assert "embedding-operator bench: repeat 2 of 2: 100 prompts" in ended.stdout
    assert ended.stdout.count("Serving Benchmark Result") == 3  # what vLLM says is in the log


def test_what_was_not_completed_has_failed_whatever_went_into_one_request(pod: Pod, server: HTTPServer) -> None:
    assert pod.run(url(server), "--inputs-per-request", "32", FAKE_RESULT='{"completed": 3}').returncode == 0
    assert [repeat[:2] for repeat in pod.said["repeats"]] == [[3, 1], [3, 1]]  # 100 inputs are 4 requests


def test_the_figures_of_the_most_repeats_fit_into_the_termination_message(pod: Pod, server: HTTPServer) -> None:
    large = {"completed": 999_999, "total_input_tokens": 10**12, "duration": 123456.789, "request_throughput": 98765.43}
    large |= {f"{name}_e2el_ms": 1234567.891 for name in ("mean", "median", "p90", "p99")}
    more = ("--repeats", "20", "--prompts", "1000000")
    assert pod.run(url(server), *more, FAKE_RESULT=json.dumps(large)).returncode == 0
    assert len(pod.said["repeats"]) == 20


def test_prompts_of_a_file_are_sent_as_they_are_by_whatever_flag_there_is(pod: Pod, server: HTTPServer) -> None:
    assert pod.run(url(server), "--as-they-are").returncode == 0
    assert all("--custom-skip-chat-template" in call["words"] for call in pod.calls)


def test_a_key_reaches_vllm_by_its_environment_and_is_shown_nowhere(
    pod: Pod, server: HTTPServer, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "..data").write_text("not this one")
    (keys / "b").write_text("second")
    (keys / "a").write_text("s3cr3t\n")
    ended = pod.run(url(server), "--api-keys", str(keys))
    assert {call["OPENAI_API_KEY"] for call in pod.calls} == {"s3cr3t"}
    assert "s3cr3t" not in ended.stdout + ended.stderr + str([call["words"] for call in pod.calls]) + str(pod.said)


def test_raw_results_are_kept_whole(pod: Pod, server: HTTPServer, tmp_path: Path) -> None:
    assert pod.run(url(server), "--keep", str(tmp_path / "out/table"), "--keep-as", "run-3").returncode == 0
    kept = sorted(path.name for path in (tmp_path / "out/table").iterdir())
    assert kept == ["run-3-repeat-1.json", "run-3-repeat-2.json"]
    assert json.loads((tmp_path / "out/table" / kept[1]).read_text())["request_throughput"] == 52.0


def test_what_vllm_cannot_do_is_told_in_its_last_words(pod: Pod, server: HTTPServer) -> None:
    reason, message = refusal(pod, pod.run(url(server), FAKE_FAILS="no such model"), 1)
    assert (reason, message) == ("BenchFailed", "vllm bench serve ended with 1: ValueError: no such model")


def test_last_words_in_any_script_fit_into_the_termination_message(pod: Pod, server: HTTPServer) -> None:
    reason, message = refusal(pod, pod.run(url(server), FAKE_FAILS="\N{PILE OF POO}" * 1000, PYTHONUTF8="1"), 1)
    assert reason == "BenchFailed"
    assert message.endswith("\N{PILE OF POO}")


def test_a_pod_that_is_deleted_sends_no_more_and_does_not_wait_to_be_killed(pod: Pod, server: HTTPServer) -> None:
    with pod.start(url(server), FAKE_HANGS="yes") as process:
        assert process.stdout is not None
        load = next(int(line.split()[1]) for line in process.stdout if line.startswith("pid"))
        process.terminate()
        assert process.wait(20) == 128 + signal.SIGTERM  # handled: a container's first process is not ended else
    with pytest.raises(ProcessLookupError):
        os.kill(load, 0)


def test_a_result_that_lacks_figures_is_none(pod: Pod, server: HTTPServer) -> None:
    reason, message = refusal(pod, pod.run(url(server), FAKE_RESULT='{"p99_e2el_ms": null}'), 3)
    assert (reason, message) == ("NoResult", "the result of vllm bench serve has no p99_e2el_ms: None")


def test_an_image_without_vllm_is_no_use(pod: Pod, server: HTTPServer) -> None:
    (pod.directory / "vllm").unlink()
    reason, message = refusal(pod, pod.run(url(server)), 3)
    assert reason == "NoVllm"
    assert message.endswith("vllm cannot be run: No such file or directory")


def test_an_empty_secret_lets_nobody_in(pod: Pod, server: HTTPServer, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    reason, message = refusal(pod, pod.run(url(server), "--api-keys", str(keys)), 3)
    assert (reason, message) == (
        "NoApiKey",
        "no value of the service's API key Secret is a key: put one into it",
    )


def test_a_volume_that_may_not_be_written_is_told(pod: Pod, server: HTTPServer, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file, and no folder")
    reason, message = refusal(pod, pod.run(url(server), "--keep", str(tmp_path / "out")), 3)
    assert reason == "OutputRefused"
    assert "run-repeat-1.json cannot be kept: " in message


def test_who_does_not_answer_is_tried_again_by_the_job(pod: Pod, server: HTTPServer) -> None:
    (pod.directory / "drive.py").write_text(SOURCE.replace("_PAUSE = 5.0", "_PAUSE = 0.01"))
    reason, message = refusal(pod, pod.run("http://127.0.0.1:9"), 1)
    assert reason == "Unreachable"
    assert message.startswith("http://127.0.0.1:9 cannot be reached: ")


def test_the_script_is_for_old_pythons_and_needs_nothing_else() -> None:
    tree = ast.parse(SOURCE, feature_version=(3, 9))
    imported = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [str(node.module)])
    }
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names
    assert not any(isinstance(node, ast.Match) for node in ast.walk(tree))
