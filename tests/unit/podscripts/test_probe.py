"""The startup probe says yes to real numbers of the task only, and otherwise in one line what is missing."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from embedding_operator.podscripts import probe
from embedding_operator.podscripts.middleware import Middleware
from tests.ports import free_ports
from tests.standins.secretvolume import SecretVolume
from tests.unit.podscripts.conftest import Serve, StartDouble, json_app

PROBE = str(Path(probe.__file__))


async def run_probe(port: int, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", PROBE, "--port", str(port), "--model", "tiny", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


def vectors(embedding: Any) -> bytes:
    return json.dumps({"data": [{"index": 0, "embedding": embedding}]}).encode()


REFUSALS = {
    "not JSON": (200, b"<html>hello", "the answer holds no vector: <html>hello"),
    "no data": (200, b'{"data": []}', "the answer holds no vector"),
    "another shape": (200, b"[1]", "the answer holds no vector"),
    "empty vector": (200, vectors([]), "the vector is empty or not a list"),
    "text": (200, vectors("AAAA"), "the vector is empty or not a list"),
    "all zero": (200, vectors([0.0, 0, -0.0]), "all 3 numbers of the vector are zero"),
    "not a number": (200, vectors([0.1, float("nan")]), "not finite"),
    "infinite": (200, vectors([0.1, float("-inf")]), "not finite"),
    "null inside": (200, vectors([0.1, None]), "not finite numbers"),
    "boolean inside": (200, vectors([0.1, True]), "not finite numbers"),
    "unknown model": (
        404,
        b'{"error": {"message": "The model `tiny` does not exist."}}',
        "no /v1/embeddings for the model 'tiny' (HTTP 404): The model `tiny` does not exist.",
    ),
    "error object": (500, b'{"error": {"message": "EngineCore\\nis dead"}}', "HTTP 500: EngineCore is dead"),
    "error page": (502, b"bad gateway", "HTTP 502: bad gateway"),
    "too long a message": (500, b"x" * 5000, "HTTP 500: xxx"),
}


@pytest.mark.parametrize(("status", "body", "message"), REFUSALS.values(), ids=REFUSALS.keys())
async def test_an_answer_without_a_vector_is_told_in_one_line(
    serve: Serve, status: int, body: bytes, message: str
) -> None:
    code, out, err = await run_probe(await serve(json_app(status, body)))
    assert (code, out) == (1, "")
    assert message in err
    assert err.count("\n") == 1
    assert len(err) <= 301


async def test_a_server_that_does_not_listen_yet_is_still_loading() -> None:
    code, _, err = await run_probe(port := free_ports(1)[0])
    assert code == 1
    assert err == f"port {port} refuses connections: the model is still loading\n"


async def test_a_server_that_does_not_answer_is_given_up_on(serve: Serve) -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    code, _, err = await run_probe(await serve(silent), "--timeout", "0.2")
    assert code == 1
    assert err == "no answer to a request to /v1/embeddings within 0.2 s\n"


async def test_a_server_that_hangs_up_is_told(serve: Serve) -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        code, _, err = await run_probe(server.sockets[0].getsockname()[1])
    assert code == 1
    assert err.startswith("the request to /v1/embeddings failed: ")


RANKER = {"architectures": ["BertForSequenceClassification"], "num_labels": 1}
CLASSIFIER = {"architectures": ["BertForSequenceClassification"], "num_labels": 3}


@pytest.mark.parametrize(
    ("task", "config", "told"),
    [
        ("embed", {}, "tiny: a vector of 64 numbers\n"),
        ("rerank", {}, "tiny: a list of scores of 2 numbers\n"),
        ("rerank", RANKER, "tiny: a list of scores of 2 numbers\n"),
        ("classify", CLASSIFIER, "tiny: a list of probabilities of 3 numbers\n"),
    ],
)
def test_the_numbers_of_each_task_pass(task: str, config: dict[str, Any], told: str, double: StartDouble) -> None:
    with double(config=config) as server:
        ended = server.run_script("probe", "--port", str(server.port), "--model", "tiny", "--task", task)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == told


@pytest.mark.parametrize(
    ("task", "config", "path"), [("embed", RANKER, "/v1/embeddings"), ("classify", {}, "/classify")]
)
def test_a_model_for_another_task_is_never_ready(
    task: str, config: dict[str, Any], path: str, double: StartDouble
) -> None:
    with double(config=config) as server:
        ended = server.run_script("probe", "--port", str(server.port), "--model", "tiny", "--task", task)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"no {path} for the model 'tiny' (HTTP 404): ")


ANSWERS = {
    "no results": ("rerank", {"results": []}, "the list of scores is empty or not a list"),
    "another shape": ("rerank", {"data": []}, "the answer holds no list of scores"),
    "not a number": (
        "rerank",
        {"results": [{"relevance_score": None}]},
        "the list of scores holds values that are not",
    ),
    "no classes": ("classify", {"data": [{"probs": []}]}, "the list of probabilities is empty"),
    "not finite": ("classify", {"data": [{"probs": [float("nan")]}]}, "holds values that are not finite numbers"),
}


@pytest.mark.parametrize(("task", "answer", "message"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_an_answer_without_the_tasks_numbers_is_told(serve: Serve, task: str, answer: Any, message: str) -> None:
    code, out, err = await run_probe(await serve(json_app(200, json.dumps(answer).encode())), "--task", task)
    assert (code, out) == (1, "")
    assert message in err


async def test_a_score_of_zero_is_a_score(serve: Serve) -> None:
    answer = json.dumps({"results": [{"relevance_score": 0.0}, {"relevance_score": 0}]}).encode()
    assert (await run_probe(await serve(json_app(200, answer)), "--task", "rerank"))[0] == 0


async def test_the_probe_gets_in_with_a_key_of_the_mounted_secret(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = SecretVolume(tmp_path / "keys", a="", b="two\nlines", c="the-key\n")
    monkeypatch.setenv("EMBEDDING_OPERATOR_API_KEYS", str(secret.directory))
    port = await serve(Middleware(json_app(200, vectors([0.5]))))
    assert (await run_probe(port, "--api-keys", str(secret.directory)))[0] == 0
    code, _, err = await run_probe(port)
    assert code == 1
    assert "HTTP 401: the server wants an API key" in err


@pytest.mark.parametrize("data", [{}, {"a": ""}, {"a": "two\nlines"}, {"a": b"\xff"}])
async def test_a_secret_without_a_key_is_told_and_no_key_is(serve: Serve, tmp_path: Path, data: Any) -> None:
    secret = SecretVolume(tmp_path / "keys", **data)
    code, _, err = await run_probe(await serve(json_app(200, b"{}")), "--api-keys", str(secret.directory))
    assert code == 1
    assert err == f"no API key in {secret.directory}, so nobody is let in: put one into the Secret\n"


async def test_a_secret_that_is_not_there_is_told(serve: Serve, tmp_path: Path) -> None:
    code, _, err = await run_probe(await serve(json_app(200, b"{}")), "--api-keys", str(tmp_path / "keys"))
    assert code == 1
    assert err == f"the API keys in {tmp_path / 'keys'} cannot be read: No such file or directory\n"


BUDGET = ["--budget", "1", "--pid", str(os.getpid())]  # this process is much older
NO_BUDGET = ["--budget", "1e9", "--pid", str(os.getpid())]


async def test_before_the_kubelet_gives_up_the_last_reason_is_put_into_the_termination_message(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = tmp_path / "last-words"
    monkeypatch.setenv("EMBEDDING_OPERATOR_TERMINATION_LOG", str(words))
    failing = await serve(json_app(500, b'{"error": {"message": "not on this chip"}}'))
    assert (await run_probe(failing, *NO_BUDGET))[0] == 1
    assert (await run_probe(failing))[0] == 1
    assert not exists(words)  # there is time left, or nobody knows
    assert (await run_probe(failing, *BUDGET))[0] == 1
    assert re.fullmatch(
        r"embedding-operator probe: gave up after \d+ s: the request to /v1/embeddings got HTTP 500: not on this chip",
        read(words),
    )
    working = await serve(json_app(200, vectors([1.0])))
    assert (await run_probe(working, *BUDGET))[0] == 0
    assert read(words) == ""  # it has started after all
    write(words, "others' words")
    assert (await run_probe(working, *BUDGET))[0] == 0
    assert read(words) == "others' words"


def exists(path: Path) -> bool:
    return path.exists()


def read(path: Path) -> str:
    return path.read_text()


def write(path: Path, text: str) -> None:
    path.write_text(text)


def test_how_long_a_process_runs_is_0_where_nobody_knows() -> None:
    assert probe.running_seconds(os.getpid()) > 0
    assert probe.running_seconds(2**30) == 0
