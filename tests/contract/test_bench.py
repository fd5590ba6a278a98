"""The client of a real vLLM takes the words of each load, and saves what the script in a benchmark's pod reads.

The server is the double: what is tried here is `vllm bench serve`, with the environment that its pod has.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from embedding_operator import benchmark as script
from embedding_operator.api.benchmark import Load
from embedding_operator.planning.benchjob import ENVIRONMENT
from embedding_operator.planning.benchloads import command
from images import build
from tests.contract.conftest import RELEASE, vllm_executable
from tests.standins.vllm.process import ServerProcess, write_model

pytestmark = pytest.mark.vllm

LOADS: dict[str, tuple[dict[str, Any], int]] = {  # and how many requests come of it
    "random": ({"dataset": "random", "inputTokens": 16, "prompts": 12, "requestRate": "inf"}, 12),
    "rate": ({"dataset": "random", "inputTokens": 16, "prompts": 12, "requestRate": "100", "maxConcurrency": 2}, 12),
    "several": ({"dataset": "random", "inputTokens": 16, "inputsPerRequest": 5, "prompts": 12}, 3),
    "rerank": ({"dataset": "random-rerank", "inputTokens": 16, "inputsPerRequest": 4, "prompts": 12}, 3),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("double")
    model = write_model(directory / "model", hidden_size=384, max_position_embeddings=256)
    settings = {"VLLM_DOUBLE_VERSION": RELEASE, "VLLM_DOUBLE_START_SECONDS": "0.2"}
    with ServerProcess(directory / "server", model, ["minilm"], environment=settings) as process:
        yield process


CUSTOM = {"dataset": "custom", "file": "prompts.jsonl", "prompts": 3}


def run(server: ServerProcess, written: dict[str, Any], tmp_path: Path) -> tuple[subprocess.CompletedProcess[str], Any]:
    """Run the script with a load as its pod does; what it says at last."""
    load = Load.from_dict(written)
    (tmp_path / "drive.py").write_text(script.source())
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps({"prompt": f"text {n}"}) + "\n" for n in range(5)))
    words = command(load, model="minilm", tokenizer=str(build.minilm_model()), url=server.url, files=str(tmp_path))
    options = ["--url", server.url, "--prompts", str(load.prompts), "--repeats", "1"]
    options += ["--inputs-per-request", str(load.inputs_per_request or 1)]
    options += ["--as-they-are"] if load.dataset == "custom" else []
    said = tmp_path / "said"
    environment = {"PATH": f"{vllm_executable().parent}:/usr/bin:/bin", "EMBEDDING_OPERATOR_TERMINATION_LOG": str(said)}
    ended = subprocess.run(
        [sys.executable, "-I", "drive.py", *options, "--", *words],
        cwd=tmp_path,
        env=environment | ENVIRONMENT | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended, json.loads(said.read_text())


@pytest.mark.parametrize("name", LOADS)
def test_each_load_is_sent_and_its_figures_are_read(server: ServerProcess, name: str, tmp_path: Path) -> None:
    written, requests = LOADS[name]
    ended, said = run(server, written, tmp_path)
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr
    [[done, failed, tokens, seconds, rate, tokens_a_second, *latencies]] = said["repeats"]
    assert (done, failed) == (requests, 0)
    assert all(number > 0 for number in (seconds, rate, *latencies))
    assert len(latencies) == 4
    assert name == "rerank" or (tokens > 0 and tokens_a_second > 0)  # the double does not count those of pairs
    assert "Serving Benchmark Result" in ended.stdout


def test_a_file_of_prompts_takes_pandas_and_where_it_is_not_that_is_told(server: ServerProcess, tmp_path: Path) -> None:
    ended, said = run(server, CUSTOM, tmp_path)
    assert ended.returncode == 1
    assert said["message"] == "vllm bench serve ended with 1: ModuleNotFoundError: No module named 'pandas'"
    assert "unrecognized arguments" not in ended.stdout  # the flag that leaves the chat template out was known
