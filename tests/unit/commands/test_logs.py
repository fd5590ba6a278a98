"""`embedding-operator logs`: several pods in order of time, the stager first, and what goes on while there is none."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embedding_operator import cli
from tests.unit.commands.apiserver import ApiServer, pod, running, service

Logs = Callable[..., tuple[int, list[str], list[str]]]
STAGER = {"embedding-operator.io/cache": "weights"}
T = "2026-03-04T12:00:{:02}.000000000Z {}"


def stager(name: str = "stage-weights-ab-xyz12") -> dict[str, Any]:
    made = pod(name, created="2026-03-04T11:00:00Z", **STAGER)
    made["spec"]["containers"] = [{"name": "stage"}]
    return made


@pytest.fixture
def logs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Logs:
    def run(server: ApiServer, *arguments: str) -> tuple[int, list[str], list[str]]:
        with running(server, tmp_path) as kubeconfig:
            code = cli.main(["logs", "qwen", *arguments, "--kubeconfig", kubeconfig])
        told = capsys.readouterr()
        return code, told.out.splitlines(), told.err.splitlines()

    return run


@pytest.mark.parametrize("words", [("logs", "qwen"), ("history", "qwen"), ("bench", "show", "load")])
def test_where_the_kind_is_not_there_a_name_is_not_what_is_missing(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is the wrong cluster, mostly."""
    with running(ApiServer(is_bare=True), tmp_path) as kubeconfig:
        assert cli.main([*words, "--kubeconfig", kubeconfig]) == 1
    told = f"embedding-operator {words[0]}: 404 page not found: is embedding-operator installed there?\n"
    assert capsys.readouterr().err == told


def two_pods(**more: Any) -> ApiServer:
    return ApiServer(
        services=[service()],
        pods=[pod("qwen-a"), pod("qwen-b"), stager()],
        logs={
            "qwen-a": [T.format(1, "one"), T.format(4, "four")],
            "qwen-b": [T.format(2, "two"), T.format(3, "three \x1b[2J")],
            "stage-weights-ab-xyz12": [T.format(0, "staged")],
        },
        **more,
    )


def test_lines_of_all_pods_come_in_order_of_time_each_with_its_pod(logs: Logs) -> None:
    code, out, err = logs(two_pods())
    assert (code, err) == (0, [])
    assert out == [
        "stager/xyz12 | staged",
        "qwen-a       | one",
        "qwen-b       | two",
        "qwen-b       | three \x1b[2J",  # in a file as it is
        "qwen-a       | four",
    ]


def job(**status: Any) -> dict[str, Any]:
    metadata = {"name": "qwen", "namespace": "search"}
    return {"metadata": metadata, "spec": {}, "status": {"model": {"cache": "weights"}} | status}


def worker(name: str, *, has_server: bool = True) -> dict[str, Any]:
    made = pod(name, **{"embedding-operator.io/job": "qwen"})
    server = [{"name": "vllm", "restartPolicy": "Always"}] if has_server else []
    return made | {"spec": {"containers": [{"name": "driver"}], "initContainers": server}}


def test_a_job_has_logs_too_of_its_drivers_or_of_their_servers(logs: Logs) -> None:
    server = ApiServer(
        jobs=[job()],
        pods=[worker("split-a", has_server=False), worker("embed-b"), pod("qwen-of-a-service"), stager()],
        logs={"split-a": [T.format(1, "cut")], "embed-b": [T.format(2, "embedded")], "stage-weights-ab-xyz12": []},
    )
    assert logs(server)[:2] == (0, ["split-a      | cut", "embed-b      | embedded"])
    code, out, _ = logs(server, "-c", "vllm", "--from", "pods")
    assert (code, out) == (0, ["embed-b | embedded"])
    assert server.asked[-1]["container"] == "vllm"


def test_a_job_without_pods_says_why(logs: Logs) -> None:
    waits = {"type": "Ready", "status": "False", "reason": "WaitingForService", "message": "it answers nobody"}
    code, out, err = logs(ApiServer(jobs=[job(conditions=[waits])]))
    assert (code, out) == (1, [])
    assert err[0].endswith("no pods yet. WaitingForService: it answers nobody")


@pytest.mark.parametrize("refusals", [{}, {"embeddingjobs/qwen": (403, "forbidden")}])
def test_a_name_that_nothing_has_is_told(refusals: dict[str, tuple[int, str]], logs: Logs) -> None:
    code, _, err = logs(ApiServer(refusals=refusals))
    told = "qwen: there is no such EmbeddingService or EmbeddingJob in namespace search (-n names another)"
    assert (code, err) == (1, [f"embedding-operator logs: {told}"])


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ((), {"tailLines": "100"}),
        (("--tail", "5"), {"tailLines": "5"}),
        (("--tail", "-1"), {}),
        (("--since", "1h30m"), {"sinceSeconds": "5400"}),
        (("--since", "10s", "--tail", "1"), {"sinceSeconds": "10", "tailLines": "1"}),
    ],
)
def test_how_much_is_asked_for(arguments: tuple[str, ...], asked: dict[str, str], logs: Logs) -> None:
    server = two_pods()
    logs(server, "--from", "pods", *arguments)
    of_a = next(query for query in server.asked if query.pop("pod") == "qwen-a")
    assert of_a == {"container": "vllm", "timestamps": "true"} | asked


def test_who_is_asked_can_be_chosen_and_times_be_shown(logs: Logs) -> None:
    assert logs(two_pods(), "--from", "stager")[1] == ["stager/xyz12 | staged"]
    assert logs(two_pods(), "--from", "pods", "--timestamps")[1][0] == f"qwen-a | {T.format(1, 'one')}"
    code, out, err = logs(two_pods(), "-c", "vllm")
    assert (code, len(out), err) == (0, 4, [])  # of the server, which a stager has not
    code, _, err = logs(two_pods(), "-c", "sidecar")
    assert (code, err) == (
        1,
        ["embedding-operator logs: pod stage-weights-ab-xyz12 has no container sidecar: it has stage"],
    )


def test_what_one_pod_cannot_tell_is_said_and_the_others_go_on(logs: Logs) -> None:
    server = two_pods()
    server.logs["qwen-a/previous"] = [T.format(1, "before")]
    code, out, err = logs(server, "--previous", "--from", "pods")
    assert (code, out) == (0, ["qwen-a | before"])
    assert [line.partition(" ")[2] for line in err] == [
        'qwen-b: previous terminated container "vllm" not found',
    ]
    assert logs(two_pods(), "-p", "-f")[2] == [
        "embedding-operator logs: what ended says nothing more: leave out --follow or --previous"
    ]


def test_of_a_pod_that_no_node_has_it_is_said(logs: Logs) -> None:
    """An API server answers without a content, and without a word."""
    server = two_pods()
    server.unscheduled.append("qwen-a")
    code, out, err = logs(server, "--from", "pods")
    assert (code, out) == (0, ["qwen-b | two", "qwen-b | three \x1b[2J"])
    assert [line.partition(" ")[2] for line in err] == ["qwen-a: it is on no node yet"]


def test_a_right_that_is_missing_ends_it(logs: Logs) -> None:
    code, _, err = logs(two_pods(refusals={"/log": (403, 'cannot get resource "pods/log"')}))
    assert (code, err) == (1, ['embedding-operator logs: cannot get resource "pods/log"'])


def test_while_there_is_no_pod_it_is_said_why_and_how_far_staging_is(logs: Logs) -> None:
    code, out, err = logs(ApiServer(services=[service()]))
    assert (code, out) == (1, [])
    assert [line.partition(" ")[2] for line in err] == ["no pods yet. WaitingForWeights: weights come: 42 %"]
    progress = {"percent": 50, "bytes": 8_000_000_000, "totalBytes": 16_000_000_000}
    weights = {"metadata": {"name": "weights", "namespace": "search"}, "spec": {}, "status": {"progress": progress}}
    _, _, err = logs(ApiServer(services=[service()], caches=[weights]))
    assert err[0].endswith("no pods yet. [############............]  50 %  8.0 GB of 16.0 GB")


def read_until(lines: list[str], count: int, output: Any) -> None:
    while len(lines) < count:
        line = output.readline()
        assert line, "it ended"
        lines.append(line.rstrip("\n"))


def test_following_goes_on_with_pods_that_come_and_ends_when_interrupted(tmp_path: Path) -> None:
    server = ApiServer(services=[service()], pods=[pod("qwen-a")], logs={"qwen-a": [T.format(1, "one")]})
    with running(server, tmp_path) as kubeconfig:
        command = [sys.executable, "-m", "embedding_operator.cli", "logs", "qwen", "-f", "--kubeconfig", kubeconfig]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONSAFEPATH": "1"}
        )
        try:
            lines: list[str] = []
            read_until(lines, 1, process.stdout)
            server.logs["qwen-a"].append(T.format(2, "two"))  # its stream has ended, and it is asked again
            read_until(lines, 2, process.stdout)
            server.logs["qwen-b"] = [T.format(3, "three")]
            server.pods.append(pod("qwen-b"))
            read_until(lines, 3, process.stdout)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
    assert lines == ["qwen-a | one", "qwen-a | two", "qwen-b | three"]
    assert (process.returncode, errors) == (cli.INTERRUPTED, "")
    assert json.dumps(server.asked).count("sinceTime") > 0


def test_on_a_terminal_a_log_cannot_clear_the_screen(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    _, out, _ = logs(two_pods())
    assert "qwen-b       | three [2J" in out
