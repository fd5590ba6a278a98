"""Starts a vLLM, double or real, as a serving pod does: through the launcher, with the middleware.

For tests on this machine; it must leave no process behind.
"""

import contextlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from embedding_operator import podscripts
from embedding_operator.planning import scripts
from embedding_operator.planning.flags import MIDDLEWARE
from tests.ports import free_ports

DOUBLE = Path(__file__).parent / "bin" / "vllm"


def write_model(directory: Path, **config: Any) -> Path:
    """A directory that the double takes for a model."""
    directory.mkdir(parents=True)
    settings = {"hidden_size": 64, "max_position_embeddings": 512, "vocab_size": 30522, **config}
    (directory / "config.json").write_text(json.dumps(settings))
    (directory / "model.safetensors").write_bytes(b"")
    return directory


def unverified() -> ssl.SSLContext:
    """For a client that is on the same machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass
class ServerProcess:
    """`with ServerProcess(...) as server:` has it listening."""

    state: Path  # a directory of its own
    model: Path
    names: list[str]
    vllm: Path = DOUBLE
    flags: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    start_timeout: float = 30.0
    certificate: tuple[Path, Path] | None = None  # and its key; then it speaks HTTPS
    port: int = field(default_factory=lambda: free_ports(1)[0])

    def __post_init__(self) -> None:
        self.scripts = self.state / "scripts"
        self.scripts.mkdir(parents=True)
        for name, source in scripts.config_map("default", podscripts.sources())["data"].items():
            (self.scripts / name).write_text(source)
        self.flag = self.state / "run" / "draining"
        self.vectors = self.state / "run" / "vectors.json"
        self.space = self.state / "space.json"
        self.log = self.state / "log"

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.port}"

    @property
    def variables(self) -> dict[str, str]:
        """The environment of the pod's container, which its probes and hooks share."""
        path = os.pathsep.join([str(self.vllm.parent), os.environ["PATH"]])
        own = {"PATH": path, "EMBEDDING_OPERATOR_DRAIN_FLAG": str(self.flag)}
        own |= {"EMBEDDING_OPERATOR_VECTORS": str(self.vectors), "EMBEDDING_OPERATOR_SPACE": str(self.space)}
        return {**os.environ, **self.environment, **own}

    def script(self, name: str, *arguments: str) -> list[str]:
        """A pod script's command line. It runs isolated, so it can lean on nothing of this repository."""
        return [sys.executable, "-I", str(self.scripts / f"{scripts.PREFIX}{name}.py"), *arguments]

    def run_script(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.script(name, *arguments), env=self.variables, capture_output=True, text=True, check=False
        )

    def __enter__(self) -> Self:
        command = [
            "vllm", "serve", str(self.model), "--served-model-name", *self.names, "--runner", "pooling",
            "--host", "127.0.0.1", "--port", str(self.port), "--middleware", MIDDLEWARE, *self.flags,
        ]  # fmt: skip
        if self.certificate:
            certificate, key = map(str, self.certificate)
            command += ["--ssl-certfile", certificate, "--ssl-keyfile", key, "--enable-ssl-refresh"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.script("launch", *command), env=self.variables, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self.wait_until_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.start_timeout
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5, context=unverified()) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        tail = self.log.read_text(errors="replace")[-3000:]
        raise RuntimeError(f"the server did not start (exit status {self.process.poll()}); its log ends:\n{tail}")

    def terminate(self) -> None:
        """What kubelet does once preStop is over."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the server and its engine processes, all in the session that was made for them."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.state / "run", ignore_errors=True)
