"""A table of staging runs, and what the goals say of it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from benchmarks.report import Spread, machine, tabulated
from benchmarks.staging_arms import ARIA2, ARMS, CP, CURL_PARALLEL, HUB_TOOLS, STAGER
from benchmarks.staging_measure import Run

_HEADER = ("", "over", "s", "MB/s", "disk behind s", "CPU s", "nginx CPU s", "cores busy", "peak MB", "verifies")
_VERIFIES = {arm.name: arm.verifies for arm in ARMS}

# who, over what, may take so many times as long as whom
_GOALS = (
    (STAGER, "http", 1.5, CP, ""),
    (STAGER, "https", 1.5, CURL_PARALLEL, "https"),
    *((STAGER, scheme, 1.0, ARIA2, scheme) for scheme in ("http", "https")),
    *((STAGER, scheme, 0.5, tool, scheme) for tool in HUB_TOOLS for scheme in ("http", "https")),
)


def text(runs: Sequence[Run], *, markdown: bool = False) -> str:
    """Everything."""
    keys = sorted({(run.scheme, run.arm) for run in runs}, key=lambda key: (key[0] == "", key[0], _seconds(runs, *key)))
    rows = [_row([run for run in runs if (run.scheme, run.arm) == key]) for key in keys]
    parts = [f"{runs[0].bytes / 1e9:.1f} GB; {machine()}", tabulated(_HEADER, rows, markdown=markdown)]
    return "\n\n".join([*parts, "\n".join(_ratios(runs))])


def _row(runs: Sequence[Run]) -> list[str]:
    def spread(value: Callable[[Run], float]) -> str:
        values = [value(run) for run in runs]
        return str(Spread(statistics.median(values), min(values), max(values)))

    run = runs[0]
    return [
        run.arm,
        run.scheme or "-",
        spread(lambda run: run.seconds),
        f"{statistics.median(run.bytes / 1e6 / run.seconds for run in runs):.0f}"
        if run.moved or not run.scheme
        else "-",
        spread(lambda run: run.sync_seconds),
        spread(lambda run: run.cpu_seconds),
        spread(lambda run: run.server_cpu_seconds),
        f"{statistics.median(run.busy for run in runs):.0%}",
        f"{max(run.peak_mb for run in runs):.0f}",
        _VERIFIES.get(run.arm) or "-",
    ]


def _ratios(runs: Sequence[Run]) -> list[str]:
    told = []
    for arm, scheme, goal, other, its_scheme in _GOALS:
        if _has(runs, scheme, arm) and _has(runs, its_scheme, other):
            ratio = _seconds(runs, scheme, arm) / _seconds(runs, its_scheme, other)
            over = f" over {its_scheme}" if its_scheme else ""
            word = "reached" if ratio <= goal else "missed"
            told.append(f"{arm} over {scheme} / {other}{over}: {ratio:.2f} (goal {goal:g}: {word})")
    return told


def _has(runs: Sequence[Run], scheme: str, arm: str) -> bool:
    return any((run.scheme, run.arm) == (scheme, arm) for run in runs)


def _seconds(runs: Sequence[Run], scheme: str, arm: str) -> float:
    return statistics.median(run.seconds for run in runs if (run.scheme, run.arm) == (scheme, arm))
