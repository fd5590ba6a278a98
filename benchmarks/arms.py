"""The two that are measured, as processes: the operator as a user starts it, and its bare peer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Final

from benchmarks.site import Site
from benchmarks.usage import Usage, usage_of
from charts.manifests import NAMESPACE as OPERATOR_NAMESPACE
from tests.cluster.waiting import wait_until
from tests.ports import free_ports

IMAGE: Final = "example.com/embedding-operator:benchmark"
OPERATOR: Final = "operator"
BARE: Final = "bare client"


class Arm:
    """A process that serves EmbeddingServices, until it is ended."""

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        self.name = name
        self.log = log
        self._began = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, *command],
                stdout=output,
                stderr=output,
                env=os.environ | {"PYTHONSAFEPATH": "", "POD_NAME": f"benchmark-{time.monotonic_ns()}"},
            )

    def check(self) -> None:
        """Raise if it has ended."""
        if self._process.poll() is not None:
            raise RuntimeError(f"the {self.name} ended: {self.log.read_text()[-3000:]}")

    def said(self) -> str:
        """What it has logged since it began."""
        return self.log.read_bytes()[self._began :].decode(errors="replace")

    def usage(self) -> Usage:
        """CPU and memory by now; raises if it has ended."""
        self.check()
        return usage_of(self._process.pid)

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Signal it, and wait until it has gone."""
        if self._process.poll() is None:
            self._process.send_signal(how)
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def start_operator(
    site: Site, *, runner: tuple[str, ...] = ("-m", "embedding_operator.cli"), workers: int, wait: bool = True
) -> Arm:
    """Start it with the chart's rights and leader election; returns when its cache is full, or at once."""
    (port,) = free_ports(1)
    command = [*runner, "run", f"--kubeconfig={site.operator_kubeconfig}", f"--image={IMAGE}"]
    command += [f"--health-port={port}", f"--lease-namespace={OPERATOR_NAMESPACE}", f"--workers={workers}"]
    arm = Arm(OPERATOR, command, site.directory / "operator.log")
    if not wait:
        return arm
    try:
        wait_until("the operator is ready", lambda: _is_ready(arm, port), timeout=120)
    except BaseException:
        arm.end()
        raise
    return arm


def start_bare(site: Site, recording: Path) -> Arm:
    """Start it with the operator's rights; returns when it watches."""
    arm = Arm(
        BARE, ["-m", "benchmarks.bare", str(site.operator_kubeconfig), str(recording)], site.directory / "bare.log"
    )

    def watches() -> bool:
        arm.check()
        return "ready" in arm.log.read_text()

    wait_until("the bare client watches", watches)
    return arm


def _is_ready(arm: Arm, port: int) -> bool:
    arm.check()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
