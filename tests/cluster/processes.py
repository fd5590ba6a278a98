"""Starts, recognises and ends the programs of a cluster.

A program is known by its pid together with its start time, so that a number that the kernel has given to
somebody else is never signalled. Nothing here ends a process by name.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.waiting import wait_until


@dataclass(frozen=True)
class Program:
    """One started program."""

    name: str
    pid: int
    born: int

    def alive(self) -> bool:
        """Whether it still runs; collects it if it was a child of ours and has ended."""
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        return _born(self.pid) == self.born

    def signal(self, number: signal.Signals) -> None:
        """Send a signal unless the program has ended."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def myself() -> Program:
    """This very process, to be recognised later by others."""
    return Program("owner", os.getpid(), _born(os.getpid()))


def start(
    name: str,
    command: Sequence[str],
    log: Path,
    *,
    netns: str = "",
    die_with_parent: bool = True,
    environment: Mapping[str, str] | None = None,
) -> Program:
    """Start ``command`` in a session of its own, its output appended to ``log``."""
    prefix = ["setpriv", "--pdeathsig", "KILL"] if die_with_parent else []
    if netns:  # never `ip netns exec`, which remounts /sys and hides the cgroups
        prefix += ["nsenter", f"--net=/run/netns/{netns}"]
    with log.open("ab") as output:
        child = subprocess.Popen(
            [*prefix, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=dict(os.environ if environment is None else environment),
        )
    child.returncode = 0  # collected by alive(); keeps Popen from warning about a running child
    return Program(name, child.pid, _born(child.pid))


def stop(programs: Iterable[Program], grace: float = 0.0) -> None:
    """End all of them: politely for ``grace`` seconds, then at once; returns when none is left."""
    left = [program for program in programs if program.alive()]
    if grace:
        for program in left:
            program.signal(signal.SIGTERM)
        deadline = time.monotonic() + grace
        while left and time.monotonic() < deadline:
            time.sleep(0.05)
            left = [program for program in left if program.alive()]
    for program in left:
        program.signal(signal.SIGKILL)
    names = ", ".join(program.name for program in left)
    wait_until(f"{names} ended", lambda: not any(program.alive() for program in left), timeout=30, every=0.02)


def tail(log: Path, lines: int = 3) -> str:
    """The end of a log, in one line, for error messages."""
    try:
        return " | ".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"


def check_alive(program: Program, log: Path) -> None:
    """Raise with the end of its log if ``program`` has ended."""
    if not program.alive():
        raise ClusterError(f"{program.name} ended: {tail(log)} (log: {log})")


def _born(pid: int) -> int:
    """Start time of a process in clock ticks since boot; zero when there is none or it is a zombie.

    A process whose first thread is a zombie still has its files and ports while other threads are ending.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    state, threads, born = fields[0], int(fields[17]), int(fields[19])
    return 0 if state in "ZX" and threads <= 1 else born
