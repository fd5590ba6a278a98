"""The staging benchmark works: what holds of its numbers on any machine, however slow."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.staging import main
from benchmarks.staging_arms import AGAIN, ARMS, STAGER

Run = dict[str, Any]

MEMORY_MB = 150
LONG = (pytest.mark.long, pytest.mark.timeout(3600))


@dataclass(frozen=True)
class Told:
    """What one round printed, wrote and left."""

    text: str
    runs: list[Run]
    left: list[Path]

    def of(self, arm: str) -> list[Run]:
        return [run for run in self.runs if run["arm"] == arm]


@pytest.fixture(scope="module", params=[0.5, pytest.param(6, marks=LONG)], ids=lambda size: f"{size}GB")
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Each file that anybody has fetched was compared, or the benchmark would have failed."""
    directory = tmp_path_factory.mktemp("benchmark")
    scratch, output = directory / "scratch", directory / "results.json"
    scratch.mkdir()
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as capture:
        capture.setattr("builtins.print", lambda *words, **_: lines.append(" ".join(map(str, words))))
        arguments = [f"--gigabytes={request.param}", "--compare", f"--directory={scratch}", f"--output={output}"]
        assert main(arguments) == 0, lines
    return Told("\n".join(lines), json.loads(output.read_text())["runs"], list(scratch.iterdir()))


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
def test_each_arm_is_measured_and_told(told: Told, arm: Any) -> None:
    runs = told.of(arm.name)
    if not runs and shutil.which("aria2c") is None:
        pytest.skip("aria2c is not installed, and you are not root")
    assert [run["scheme"] for run in runs] == (["http", "https"] if arm.downloads else [""])
    assert all(min(run["seconds"], run["cpu_seconds"], run["peak_mb"], run["busy"]) > 0 for run in runs)
    assert f"\n{arm.name}  " in told.text


def test_the_stager_fetches_each_byte_once(told: Told) -> None:
    assert [run["moved"] for run in told.of(STAGER)] == [told.runs[0]["bytes"]] * 2


def test_the_same_weights_again_move_no_byte(told: Told) -> None:
    assert [run["moved"] for run in told.of(AGAIN)] == [0, 0]


def test_the_stager_s_memory_is_bounded_whatever_the_size(told: Told) -> None:
    assert max(run["peak_mb"] for run in told.of(STAGER)) < MEMORY_MB


def test_the_goals_are_held_against_what_was_measured(told: Told) -> None:
    assert f"{STAGER} over http / cp: " in told.text
    assert f"{STAGER} over https / curl, in parallel over https: " in told.text


def test_nothing_is_left(told: Told) -> None:
    assert told.left == []
