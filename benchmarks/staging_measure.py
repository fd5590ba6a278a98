"""One run of one arm: how long, how much CPU on both sides, how much memory, and how long the disk took after it."""

from __future__ import annotations

import filecmp
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.staging_arms import AGAIN, STAGER, Arm, Task
from benchmarks.staging_hub import Hub, counted
from benchmarks.usage import usage_of

_LOOK = 0.02
_TOUCH = """
import mmap, sys
memory = mmap.mmap(-1, int(sys.argv[1]))
for position in range(0, len(memory), mmap.PAGESIZE):
    memory[position] = 1
"""


@dataclass(frozen=True)
class Run:
    """What was measured."""

    arm: str
    scheme: str
    bytes: int
    moved: int
    """Bytes of files that the hub sent."""
    seconds: float
    sync_seconds: float
    """Until the disk had everything, from when the program had ended."""
    cpu_seconds: float
    server_cpu_seconds: float
    busy: float
    """Share of the machine's cores that did something."""
    peak_mb: float

    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))


def measure(hub: Hub, arm: Arm, scheme: str, directory: Path, *, compare: bool) -> list[Run]:
    """Run it on a quiet disk and with memory at hand, see that all files are there, and leave nothing behind."""
    task = Task(hub, scheme, directory / "to", directory / "home")
    for place in (task.to, task.home):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
    os.sync()
    _have_memory(hub.bytes)
    try:
        runs = [_run(arm, task)]
        if arm.writes:
            _require_all(hub, arm, task.to, compare)
        if arm.name == STAGER:
            told = json.loads((task.home / "termination-log").read_text())
            runs.append(replace(_run(arm, replace(task, digest=told["digest"])), arm=AGAIN))
        return runs
    finally:
        shutil.rmtree(task.to)


def _have_memory(count: int) -> None:
    """Take so much, as far as it is there, and give it back.

    A virtual machine may have returned to its host what nobody used for some seconds. To get it again costs several
    times what filling it does, and whether an arm had to pay that would be chance.
    """
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    there = int(fields["MemAvailable"].split()[0]) << 10
    subprocess.run([sys.executable, "-c", _TOUCH, str(min(count, there // 2))], check=True)


def _run(arm: Arm, task: Task) -> Run:
    command = arm.command(task)
    log = task.home / "output.log"
    with counted(task.hub) as moved, log.open("wb") as output:
        before, idle, total = task.hub.cpu_seconds(), *_idle_and_total()
        began = time.monotonic()
        process = subprocess.Popen(command.arguments, env=command.variables(task), stdout=output, stderr=output)
        peak, usage = _followed(process)
        seconds = time.monotonic() - began
        idle_after, total_after = _idle_and_total()
        after = task.hub.cpu_seconds()
    if process.returncode:
        raise RuntimeError(f"{arm.name} failed: {log.read_text(errors='replace')[-2000:]}")
    began = time.monotonic()
    os.sync()
    return Run(
        arm=arm.name,
        scheme=task.scheme if arm.downloads else "",
        bytes=task.hub.bytes,
        moved=moved[0],
        seconds=seconds,
        sync_seconds=time.monotonic() - began,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        server_cpu_seconds=after - before,
        busy=1 - (idle_after - idle) / max(1, total_after - total),
        peak_mb=peak,
    )


def _followed(process: subprocess.Popen[bytes]) -> tuple[float, resource.struct_rusage]:
    """Until it ends. Its peak is looked at on the way: what wait4 tells begins with the peak of whoever started it."""
    peak = 0.0
    try:
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                return peak, usage
            with suppress(OSError, KeyError, ValueError):  # it is ending just now
                peak = max(peak, usage_of(process.pid).peak_mb)
            time.sleep(_LOOK)
    except BaseException:
        process.kill()
        raise


def _idle_and_total() -> tuple[int, int]:
    """Ticks of all cores since the start; waiting for the disk is idle."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def _require_all(hub: Hub, arm: Arm, directory: Path, compare: bool) -> None:
    for file in hub.files:
        found = [path for path in directory.rglob(file.name) if path.stat().st_size == file.size]
        if not found or (compare and not _same(hub.files_directory / file.name, found)):
            raise RuntimeError(f"{arm.name} has not fetched {file.name}")


def _same(source: Path, found: Iterable[Path]) -> bool:
    return any(filecmp.cmp(source, path, shallow=False) for path in found)
