"""The operator as processes of this machine, which can be killed a hundred times without the kubelet's back-off.

It is the same program with the rights of the installed one's service account and no others; the installed one is
scaled to nothing meanwhile. A killed one's Lease is taken away, as if it had run out: that it is waited for is shown
elsewhere, and would cost a quarter of a minute each time.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import yaml

from demo.install import ROOT
from demo.mark import OPERATOR_NAMESPACE
from tests.chaos.faults import InstalledOperator
from tests.ports import free_ports

IMAGE = "docker.io/embedding-operator/operator:test"
_ENVIRONMENT = {"PYTHONPATH": "operator:."}
Process = subprocess.Popen[bytes]


@dataclass
class HostOperators:
    """Starts them, one at a time, and keeps what they log in one file."""

    installed: InstalledOperator
    directory: Path
    running: Process | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.log = self.directory / "operators.log"
        self._port = 0
        self._kubeconfig = self.directory / "kubeconfig"
        content = yaml.safe_load(self.installed.cluster.kubeconfig.read_text())
        content["users"][0]["user"] = {"token": self.installed.token()}
        self._kubeconfig.write_text(yaml.safe_dump(content))

    def start(self, *arguments: str, module: tuple[str, ...] = ("embedding_operator.cli",)) -> Process:
        """One that leads at once: whoever led before is dead."""
        self.kill()
        self.installed.release()
        command = [sys.executable, "-m", *module, "run", f"--kubeconfig={self._kubeconfig}", f"--image={IMAGE}"]
        self._port = free_ports(1)[0]
        command += [f"--lease-namespace={OPERATOR_NAMESPACE}", f"--health-port={self._port}", "--log-level=warning"]
        command += arguments
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(command, cwd=ROOT, env=os.environ | _ENVIRONMENT, stdout=log, stderr=log)
        return self.running

    def is_ready(self) -> bool:
        """Whether it has listed all there is, and so begins to work."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> int:
        """SIGKILL; returns how it had ended."""
        if self.running is None:
            return 0
        self.running.kill()
        code = self.running.wait()
        self.running = None
        return code


class KilledAtRandom:
    """`with KilledAtRandom(operators, seed) as killer: ...`: each works for some seconds, then the next one does."""

    def __init__(self, operators: HostOperators, seed: int, *, most: float = 4.0) -> None:
        self.kills = 0
        self._operators, self._most = operators, most
        self._random = random.Random(seed)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> KilledAtRandom:
        self._operators.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while self._lets_it_work(self._random.uniform(0, self._most)):
            self._operators.start()
            self.kills += 1

    def _lets_it_work(self, seconds: float) -> bool:
        """For so long, counted from its first moment of work; False when all is over."""
        while not self._operators.is_ready():
            if self._over.wait(0.2):
                return False
        return not self._over.wait(seconds)
