"""What the benchmark of offline inference works out by itself, and its way over the driver's memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import offline, offline_memory
from benchmarks.offline_arms import OURS, RUN_BATCH, SCRIPT, Run
from benchmarks.offline_rows import data_sets


def runs(ours: list[float], script: list[float], batch: list[float]) -> list[Run]:
    arms = ((OURS, ours), (SCRIPT, script), (RUN_BATCH, batch))
    return [Run(arm, 100, "short", seconds) for arm, all_of_them in arms for seconds in all_of_them]


def test_a_ratio_is_of_each_round() -> None:
    """A machine that is slow for a round is slow for all."""
    made = runs([10, 20, 10], [9, 18, 9], [12, 24, 12])
    assert offline.ratio(made, "short", OURS) == pytest.approx(0.9)
    text = offline.text(made, [])
    assert "short: 0.90 of the plain script (goal 0.95: missed)" in text
    assert "short: 1.20 times run-batch (goal: faster: reached)" in text


def test_rows_are_the_same_on_every_machine() -> None:
    short, long, mixed = data_sets(0.01)
    assert short.texts() == short.texts()
    assert all(4 <= len(text.split()) <= 14 for text in short.texts())
    assert all(150 <= len(text.split()) <= 220 for text in long.texts())
    assert {len(text.split()) > 100 for text in mixed.texts() * 20} == {True, False}


def test_memory_is_looked_at_while_it_works(tmp_path: Path) -> None:
    samples = offline_memory.measure(tmp_path, 20_000)
    assert samples
    assert all(0 < sample.rows <= 20_000 and 10 < sample.rss_mb < 400 for sample in samples)


@pytest.mark.long
def test_memory_is_flat_over_a_million_rows(tmp_path: Path) -> None:
    """Once its buffers are as big as they become: from half of the rows on."""
    samples = offline_memory.measure(tmp_path, 1_000_000)
    middle, last = samples[len(samples) // 2 - 1], samples[-1]
    assert middle.rows < 600_000 < 900_000 <= last.rows
    assert last.rss_mb < middle.rss_mb * 1.1
