"""The real operator as a process of its own, against any API server: started, stopped, killed by tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType

from tests.ports import free_ports

IMAGE = "example.com/embedding-operator:test"


class OperatorProcess:
    """`with OperatorProcess(kubeconfig, directory): ...`; it is ready when its cache is full."""

    def __init__(
        self,
        kubeconfig: Path,
        directory: Path,
        *arguments: str,
        name: str = "operator",
        module: str = "embedding_operator.cli",
    ) -> None:
        self.log = directory / f"{name}.log"
        self.port = free_ports(1)[0]
        self._name = name
        self._command = [sys.executable, "-m", module, "run", f"--kubeconfig={kubeconfig}"]
        self._command += [f"--image={IMAGE}", f"--health-port={self.port}", *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it (again); returns when /readyz says so."""
        with self.log.open("ab") as log:
            path = {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(Path(__file__).parents[1])}  # for modules of tests
            env = os.environ | {"POD_NAME": f"{self._name}-{time.monotonic_ns()}"} | path
            self._process = subprocess.Popen(self._command, stderr=log, stdout=log, env=env)
        while not self._ready():
            if self._process.poll() is not None:
                raise AssertionError(f"the operator ended: {self.log.read_text()[-2000:]}")
            time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        self._end(signal.SIGKILL)

    def terminate(self) -> int:
        """SIGTERM; returns the exit code."""
        return self._end(signal.SIGTERM)

    def send(self, what: signal.Signals) -> None:
        """Any signal."""
        assert self._process is not None
        self._process.send_signal(what)

    def wait(self) -> int:
        """Until it has ended by itself; returns the exit code."""
        assert self._process is not None
        code = self._process.wait(timeout=60)
        self._process = None
        return code

    def is_running(self) -> bool:
        """Whether it is the process that was started last, and has not ended."""
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> OperatorProcess:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.terminate()

    def _end(self, how: signal.Signals) -> int:
        self.send(how)
        return self.wait()

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
