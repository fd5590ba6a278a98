"""The driver's memory over a million rows of one shard, against the vLLM double."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

from benchmarks.offline_arms import NAME, cut, job_over
from benchmarks.usage import usage_of
from tests.ports import free_ports
from tests.standins.vllm.process import ServerProcess, write_model

_REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Sample:
    """The driver when it had done so many rows."""

    rows: int
    rss_mb: float
    cpu_seconds: float


def measure(directory: Path, rows: int) -> list[Sample]:
    """At a tenth of the rows, and at each further tenth."""
    given = directory / "memory" / "input" / "rows.jsonl"
    given.parent.mkdir(parents=True)
    with given.open("w") as file:
        for number in range(rows):
            file.write(f'{{"id": {number}, "text": "row {number}"}}\n')
    (port,) = free_ports(1)
    job = job_over(directory / "memory", "Parquet", progressPort=port)
    cut(job)
    model = write_model(directory / "double", hidden_size=64)
    with ServerProcess(directory / "standin", model, [NAME], environment={"VLLM_DOUBLE_START_SECONDS": "0"}) as server:
        words = ["--job", job.model_dump_json(by_alias=True), "--index", "0", "--indexes", "1", "--server", server.url]
        path = os.pathsep.join([str(_REPOSITORY), str(_REPOSITORY / "operator")])
        log = directory / "memory.log"
        with log.open("w") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "embedding_operator.cli", "batch", "work", *words],
                env={**os.environ, "PYTHONPATH": path},
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        samples = _watched(process, port, rows)
        assert process.stdout is not None
        told = process.stdout.read()
        if process.wait() != 0 or json.loads(told.splitlines()[-1])["rows"] != rows:
            raise RuntimeError(f"the driver ended with {process.returncode}: {log.read_text()[-2000:]}")
    return samples


def _watched(process: subprocess.Popen[str], port: int, rows: int) -> list[Sample]:
    samples: list[Sample] = []
    while process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/progress", timeout=5) as answer:
                done = json.load(answer)["rows"]
            usage = usage_of(process.pid)
        except (URLError, OSError, KeyError):
            time.sleep(0.1)
            continue
        if done >= (len(samples) + 1) * rows // 10:
            samples.append(Sample(done, usage.rss_mb, usage.cpu_seconds))
        time.sleep(0.1)
    return samples
