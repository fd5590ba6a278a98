"""Turns runs into a summary, a table for the terminal, and a Markdown table for docs/performance.md."""

from __future__ import annotations

import os
import platform
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.arms import BARE, OPERATOR
from benchmarks.measure import Run


@dataclass(frozen=True)
class Spread:
    """The median of some runs, and the least and the most."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        if self.least == self.most:
            return f"{self.median:.1f}"
        return f"{self.median:.1f} ({self.least:.1f} to {self.most:.1f})"


@dataclass(frozen=True)
class Summary:
    """All runs with the same number of services."""

    services: int
    operator: tuple[Run, ...]
    bare: tuple[Run, ...]

    def spread(self, arm: str, value: Callable[[Run], float]) -> Spread | None:
        """Of one value over the runs of one arm; None where there was none."""
        values = [value(run) for run in (self.operator if arm == OPERATOR else self.bare)]
        return Spread(statistics.median(values), min(values), max(values)) if values else None

    def rate_ratio(self, value: Callable[[Run], float]) -> Spread | None:
        """The operator's rate as a part of the bare client's: of each round, then the median."""
        ratios = [value(bare) / value(operator) for operator, bare in zip(self.operator, self.bare, strict=False)]
        return Spread(statistics.median(ratios), min(ratios), max(ratios)) if ratios else None


def children(run: Run) -> float:
    """Seconds until all children exist."""
    return run.children_seconds


def ready(run: Run) -> float:
    """Seconds until all statuses are true."""
    return run.ready_seconds


def summaries(runs: Iterable[Run]) -> list[Summary]:
    """One per number of services."""
    by_size: dict[int, list[Run]] = {}
    for run in runs:
        by_size.setdefault(run.services, []).append(run)
    return [
        Summary(
            services,
            tuple(run for run in found if run.arm == OPERATOR),
            tuple(run for run in found if run.arm == BARE),
        )
        for services, found in sorted(by_size.items())
    ]


_HEADER = (
    "services",
    "arm",
    "created s",
    "all children s",
    "all ready s",
    "services/s to ready",
    "CPU s",
    "API server CPU s",
    "peak MB",
    "writes",
    "reads",
)


def rows(summary: Summary) -> list[list[str]]:
    """A row per arm, then one with the ratios."""
    table = []
    for arm, runs in ((OPERATOR, summary.operator), (BARE, summary.bare)):
        if runs:
            values: list[Callable[[Run], float]] = [
                lambda run: run.created_seconds,
                children,
                ready,
                lambda run: run.services / run.ready_seconds,
                lambda run: run.cpu_seconds,
                lambda run: run.apiserver_cpu_seconds,
                lambda run: run.peak_mb,
                lambda run: sum(run.writes.values()),
                lambda run: sum(run.reads.values()),
            ]
            table.append([str(summary.services), arm, *(str(summary.spread(arm, value)) for value in values)])
    ratio_children, ratio_ready = summary.rate_ratio(children), summary.rate_ratio(ready)
    if ratio_children and ratio_ready:
        ratios = [_ratio(ratio_children), _ratio(ratio_ready)]
        table.append([str(summary.services), "operator's rate / bare client's", "", *ratios, *[""] * 6])
    return table


def _ratio(spread: Spread) -> str:
    if spread.least == spread.most:
        return f"{spread.median:.2f}"
    return f"{spread.median:.2f} ({spread.least:.2f} to {spread.most:.2f})"


def requests_per_service(run: Run) -> list[list[str]]:
    """Rows of verb, kind, and how often per service."""
    counts = Counter(run.writes) + Counter(run.reads)
    found = []
    for key, number in counts.most_common():
        verb, _, kind = key.partition(" ")
        failed = sum(n for told, n in run.failed.items() if told.startswith(f"{key} "))
        found.append([verb, kind, f"{number / run.services:.2f}", str(number), str(failed or "")])
    return found


def text(runs: Sequence[Run], *, markdown: bool = False) -> str:
    """Everything, as a person reads it."""
    table = _markdown if markdown else _plain
    parts = [machine(), ""]
    found = summaries(runs)
    if found:
        parts += [table(_HEADER, [row for summary in found for row in rows(summary)]), ""]
    for summary in found:
        for run in (*summary.operator[-1:], *summary.bare[-1:]):
            head = ("verb", "kind", "per service", "in all", "refused")
            parts += [f"Requests of the {run.arm}, {run.services} services:", ""]
            parts += [table(head, requests_per_service(run)), ""]
        parts += [_at_rest(run) for run in summary.operator if run.quiet]
    return "\n".join(parts)


def machine() -> str:
    """Where this was measured."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    python = platform.python_version()
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}, Python {python}"


def _at_rest(run: Run) -> str:
    quiet: dict[str, Any] = run.quiet
    writes = ", ".join(f"{number} {key}" for key, number in quiet["writes"].items()) or "none"
    reads = ", ".join(f"{number} {key}" for key, number in quiet["reads"].items()) or "none"
    return (
        f"At rest with {run.services} services, {quiet['seconds']:.0f} s: writes {writes}; "
        f"{quiet['lease_requests']} requests for the Lease; reads {reads}; {quiet['cpu_seconds']:.2f} s of CPU\n"
    )


def _plain(header: Sequence[str], table: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in (list(header), *table)) for column in range(len(header))]
    lines = [list(header), ["-" * width for width in widths], *table]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _markdown(header: Sequence[str], table: list[list[str]]) -> str:
    lines = [list(header), ["---"] * len(header), *table]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tabulated(header: Sequence[str], table: list[list[str]], *, markdown: bool) -> str:
    """Rows under their header."""
    return (_markdown if markdown else _plain)(header, table)
