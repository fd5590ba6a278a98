"""What a process has used: CPU and memory, as /proc tells."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """What a process has used so far."""

    cpu_seconds: float
    rss_mb: float
    peak_mb: float


def session_cpu_seconds(leader: int) -> float:
    """What the processes that live in a session have used so far, and those of their children that have ended."""
    used = 0
    for place in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = place.read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader:
                used += sum(map(int, fields[11:15]))
    return used / _TICKS


def usage_of(pid: int) -> Usage:
    """CPU and memory of any process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    megabytes = {name: int(status[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")}
    return Usage((int(fields[11]) + int(fields[12])) / _TICKS, megabytes["VmRSS"], megabytes["VmHWM"])
