"""Benchmarks that are done, and a screen to show them on."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

from embedding_operator.api.benchmark import EmbeddingBenchmark
from embedding_operator.commands.terminal import Screen
from tests.unit.planning import benchmarks
from tests.unit.planning.benchmarks import NUMBERS, measured

SCREEN = Screen(io.StringIO())


def named(name: str, before: EmbeddingBenchmark, *repeats: list[float], **observed: Any) -> EmbeddingBenchmark:
    """A benchmark whose runs are all done, each with these figures."""
    made = replace(before, metadata=replace(before.metadata, name=name))
    while not (
        made.status.results and made.status.progress == f"{len(made.status.results)}/{len(made.status.results)}"
    ):
        made = benchmarks.after(made, measured(made, *repeats, **observed))
    return made


def faster(by: float) -> list[list[float]]:
    """Three repeats that are a little apart."""
    return [
        [*NUMBERS[:4], NUMBERS[4] * by * around, NUMBERS[5] * by * around, *(n / by / around for n in NUMBERS[6:])]
        for around in (1.0, 0.99, 1.01)
    ]
