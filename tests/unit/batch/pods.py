"""The phases of a job in processes of their own, and a server that is started anew whenever it ends: a pod, but for its
walls."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import embedding_operator
from embedding_operator.batch.jobspec import JobSpec
from tests.standins.vllm.process import ServerProcess


@contextmanager
def pod(
    spec: JobSpec, *words: str, log: Path, phase: str = "work", **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, as in a pod."""
    source = str(Path(embedding_operator.__file__).parent.parent)
    own = spec.model_copy(update={"progress_port": 0})  # several at once have no 8081 each, as pods have
    document = own.model_dump_json(by_alias=True, exclude_none=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "embedding_operator.cli", "batch", phase, "--job", document, *words],
        env={**os.environ, "PYTHONPATH": source, "TERMINATION_LOG": str(log), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


async def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code, and all that it said."""
    out, err = await asyncio.to_thread(process.communicate)
    return process.returncode, out + err


@contextmanager
def kept(server: ServerProcess) -> Iterator[list[int]]:
    """The server, and another one after each of its ends, as a kubelet does it; gives their exit codes as they come."""
    codes: list[int] = []
    over = threading.Event()

    def keep() -> None:
        while not over.is_set():
            codes.append(server.process.wait())
            with suppress(RuntimeError):  # it ended again before anybody here saw it up
                if not over.is_set():
                    server.__enter__()

    with server:
        keeper = threading.Thread(target=keep)
        keeper.start()
        try:
            yield codes
        finally:
            over.set()
            server.kill()
            keeper.join()
