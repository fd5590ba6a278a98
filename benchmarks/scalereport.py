"""Tables of what benchmarks/scale.py found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from benchmarks.report import tabulated
from benchmarks.restart import Restart
from benchmarks.scenarios import Step

BASE_MB: Final = 48  # of a process that has imported all and listed nothing
_RESTARTED: Final = (
    "services",
    "listed s",
    "caught up s",
    "CPU s",
    "CPU ms per service",
    "API server CPU s",
    "peak MB",
    "MB per 1,000 services",
    "received MB",
    "writes",
    "reads",
)
_STEP: Final = ("services", "step", "s", "CPU s", "CPU ms per service", "peak MB", "received MB", "writes", "reads")


def text(restarts: Sequence[Restart], steps: Sequence[Step], *, markdown: bool = False) -> str:
    """Both tables; of what was not measured, none."""
    parts = []
    if restarts:
        parts.append(tabulated(_RESTARTED, [_restarted(one) for one in restarts], markdown=markdown))
    if steps:
        parts.append(tabulated(_STEP, [_step(one) for one in steps], markdown=markdown))
        parts += [
            f"Of {one.services:,} services that adopted a new profile, at most {one.at_once} did at the same time."
            for one in steps
            if one.at_once is not None
        ]
    return "\n\n".join(parts)


def _restarted(restart: Restart) -> list[str]:
    """Of the memory, what Python and libraries take is no service's."""
    return [
        f"{restart.services:,}",
        f"{restart.listed_seconds:.1f}",
        f"{restart.seconds:.1f}",
        f"{restart.cpu_seconds:.1f}",
        f"{1000 * restart.cpu_seconds / restart.services:.2f}",
        f"{restart.apiserver_cpu_seconds:.1f}",
        f"{restart.peak_mb:.0f}",
        f"{1000 * (restart.peak_mb - BASE_MB) / restart.services:.1f}",
        f"{restart.received_mb:.0f}",
        f"{sum(restart.writes.values()):,}",
        f"{sum(restart.reads.values()):,}",
    ]


def _step(step: Step) -> list[str]:
    return [
        f"{step.services:,}",
        step.name,
        f"{step.seconds:.0f}",
        f"{step.cpu_seconds:.1f}",
        f"{1000 * step.cpu_seconds / step.services:.2f}",
        f"{step.peak_mb:.0f}",
        f"{step.received_mb:.1f}",
        f"{sum(step.writes.values()):,}",
        f"{sum(step.reads.values()):,}",
    ]
