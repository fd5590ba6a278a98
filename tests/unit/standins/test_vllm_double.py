"""What the vLLM double does beyond the contract: how it refuses to start, and what its vectors are good for."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.contract.client import Client
from tests.standins.vllm.model import Model
from tests.standins.vllm.process import DOUBLE, ServerProcess, write_model

TASK = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
QUERIES = ["What is the capital of China?", "Explain gravity"]
DOCUMENTS = [
    "The capital of China is Beijing.",
    "Gravity is a force that attracts two bodies towards each other.",
]


def serve(model: Path, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A start that is expected to fail."""
    return subprocess.run(
        [DOUBLE, "serve", str(model), *flags],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_weights_no_start(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    (model / "model.safetensors").unlink()
    ended = serve(model)
    assert (ended.returncode, ended.stderr) == (1, f"RuntimeError: Cannot find any model weights with `{model}`\n")


def test_a_longer_context_than_the_checkpoints_is_refused(tmp_path: Path) -> None:
    ended = serve(write_model(tmp_path / "model", max_position_embeddings=512), "--max-model-len", "8k")
    assert ended.returncode == 1
    assert "max_model_len (8000) is greater than the derived max_model_len (512)" in ended.stderr


def test_a_chat_template_that_is_not_there_ends_the_start(tmp_path: Path) -> None:
    ended = serve(write_model(tmp_path / "model"), "--chat-template", "/nowhere/x.jinja")
    assert ended.returncode == 1
    assert "/nowhere/x.jinja" in ended.stderr


def test_a_service_named_vllm_breaks_the_start_unless_links_are_off(tmp_path: Path) -> None:
    ended = serve(write_model(tmp_path / "model"), VLLM_PORT="tcp://10.0.0.1:8000")
    assert ended.returncode == 1
    assert "VLLM_PORT 'tcp://10.0.0.1:8000' appears to be a URI" in ended.stderr


def test_it_tells_its_version(tmp_path: Path) -> None:
    ended = subprocess.run(
        [DOUBLE, "--version"], env={**os.environ, "VLLM_DOUBLE_VERSION": "0.18.0"}, capture_output=True, check=True
    )
    assert ended.stdout == b"0.18.0\n"


def test_with_a_shutdown_timeout_leftovers_fail_at_once(tmp_path: Path) -> None:
    """What vLLM does with --shutdown-timeout: the work is done, and then every client gets a 500."""
    model = write_model(tmp_path / "model")
    settings = {"VLLM_DOUBLE_START_SECONDS": "0", "VLLM_DOUBLE_LATENCY_MS": "500"}
    server = ServerProcess(
        tmp_path / "server", model, ["tiny"], flags=["--shutdown-timeout", "5"], environment=settings
    )
    with server, ThreadPoolExecutor(1) as pool:
        client = Client(server.port)
        answer = pool.submit(client.embed, "hello")
        while True:
            if client.get("/-/inflight").json["inflight"] == 1:
                break
        server.terminate()
        assert server.process.wait() == 0
        error = answer.result().json["error"]
    assert (error["code"], error["message"]) == (500, "cannot schedule new futures after shutdown")


@pytest.mark.parametrize("prefix", ["", TASK])
def test_the_guides_questions_find_their_answers(tmp_path: Path, prefix: str) -> None:
    model = Model.load(str(write_model(tmp_path / "model", hidden_size=4096)), None, {})
    vectors = [model.embed(model.tokenize(text)) for text in [*(prefix + query for query in QUERIES), *DOCUMENTS]]
    scores = [[sum(a * b for a, b in zip(q, d, strict=True)) for d in vectors[2:]] for q in vectors[:2]]
    assert scores[0][0] > scores[0][1] + 0.1
    assert scores[1][1] > scores[1][0] + 0.1


def test_dimensions_shorten_the_vector_of_a_matryoshka_model_only(tmp_path: Path) -> None:
    path = str(write_model(tmp_path / "model"))
    assert not Model.load(path, None, {}).matryoshka
    model = Model.load(path, None, {"is_matryoshka": True})
    assert model.matryoshka
    assert len(model.embed(model.tokenize("hello"), 16)) == 16


def test_a_vision_language_models_sizes_are_its_text_parts(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model", hidden_size=1, text_config={"hidden_size": 4096})
    assert Model.load(str(path), None, {}).hidden_size == 4096
