"""What Prometheus' clients tell of any process, by the names that they all use."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from embedding_operator.metrics.text import Family, Metric

CPU: Final = Metric("process_cpu_seconds_total", "counter", "CPU time used, of user and system, in seconds.")
RESIDENT: Final = Metric("process_resident_memory_bytes", "gauge", "Resident memory.")
VIRTUAL: Final = Metric("process_virtual_memory_bytes", "gauge", "Virtual memory.")
OPEN_FILES: Final = Metric("process_open_fds", "gauge", "Open file descriptors.")
MOST_FILES: Final = Metric("process_max_fds", "gauge", "The most file descriptors that may be open.")
STARTED: Final = Metric("process_start_time_seconds", "gauge", "When the process began, in seconds since 1970.")

PROCESS: Final = (CPU, RESIDENT, VIRTUAL, OPEN_FILES, MOST_FILES, STARTED)
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def process(proc: Path = Path("/proc")) -> Iterator[Family]:
    """Of this process; nothing where there is no /proc."""
    try:
        fields = (proc / "self/stat").read_text().rpartition(")")[2].split()
        booted = next(line for line in (proc / "stat").read_text().splitlines() if line.startswith("btime "))
        files = len(os.listdir(proc / "self/fd"))  # noqa: PTH208 - names are all that is wanted
    except (OSError, StopIteration):
        return
    # proc(5) counts from 1, and the name that may hold blanks and the process id come before these
    user, system, since, virtual, pages = (int(fields[at - 3]) for at in (14, 15, 22, 23, 24))
    for metric, value in (
        (CPU, (user + system) / _TICKS),
        (RESIDENT, pages * _PAGE),
        (VIRTUAL, virtual),
        (OPEN_FILES, files),
        (MOST_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        (STARTED, int(booted.split()[1]) + since / _TICKS),
    ):
        yield Family(metric, [((), value)])
