"""The benchmark of many services works: what holds of its numbers on any machine, however slow, and however many."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.scale import main

TURNS = 2
KINDS = ("services", "deployments", "controllerrevisions", "poddisruptionbudgets")
Found = dict[str, Any]


def run(directory: Path, *, restart: int, life: int, rest: float, first: str = "created", turns: int = TURNS) -> Found:
    """What it wrote and drew."""
    output, picture = directory / "results.json", directory / "flames.svg"
    arguments = [f"--restart={restart}", f"--life={life}", f"--turns={turns}", f"--rest={rest}", f"--settle={rest}"]
    arguments += [f"--first={first}", "--quiet=5"]
    arguments += [f"--output={output}", f"--flames={picture}", f"--logs={directory / 'logs'}"]
    assert main(arguments) == 0
    return json.loads(output.read_text()) | {"picture": picture.read_text() if restart else "", "turns": turns}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Few services: two models, the second with fewer copies."""
    return run(tmp_path_factory.mktemp("benchmark"), restart=25, life=5, rest=1.5)


def step(found: Found, name: str) -> Found:
    [one] = [one for one in found["steps"] if one["name"].startswith(name)]
    return dict(one)


def writes_per_service_are_bounded(found: Found) -> None:
    for name, most in {"created": 12, "one replica": 6, "a new profile": 12, "deleted": 1}.items():
        one = step(found, name)
        assert sum(one["writes"].values()) <= most * one["services"], one


def holds(found: Found) -> None:
    """What is so however many services there are."""
    for restart in found["restarts"]:
        assert restart["writes"] == {}, "the seeded services are as the operator leaves them, and it leaves them alone"
        assert restart["received_mb"] > 0
        assert restart["listed_seconds"] <= restart["seconds"]
    assert step(found, "left alone")["writes"] == {}
    assert 0 < step(found, "a new profile")["at_once"] <= found["turns"]
    assert all(one["received_mb"] > 0 for one in found["steps"] if one["writes"])


def test_an_operator_started_where_all_is_in_force_and_one_left_alone_write_nothing(found: Found) -> None:
    holds(found)


def test_no_step_takes_more_writes_than_it_must(found: Found) -> None:
    writes_per_service_are_bounded(found)
    created = step(found, "created")["writes"]
    assert {kind: created[f"patch {kind}"] for kind in KINDS} == dict.fromkeys(KINDS, 5)


def test_the_picture_names_what_an_operator_does_when_it_starts(found: Found) -> None:
    """So few services that most of it is importing."""
    assert "<title>embedding_operator." in found["picture"]
    assert "25 services" in found["picture"]


@pytest.mark.long
@pytest.mark.parametrize(("first", "steps"), [("alone", 4), ("profile", 2)])
def test_a_life_may_begin_where_services_are_put_in_some_namespaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, steps: int
) -> None:
    monkeypatch.setattr("benchmarks.manifests.PER_NAMESPACE", 20)
    found = run(tmp_path, restart=0, life=50, rest=1.5, first=first)
    assert len(found["steps"]) == steps
    assert all(not one["writes"] for one in found["steps"] if one["name"].startswith("left alone"))
    assert 0 < step(found, "a new profile")["at_once"] <= TURNS
    assert step(found, "a new profile")["writes"]["patch deployments"] == 50


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_so_it_is_with_thousands(tmp_path: Path) -> None:
    found = run(tmp_path, restart=10_000, life=2_000, rest=4.0, turns=20)
    holds(found)
    writes_per_service_are_bounded(found)
    [restart] = found["restarts"]
    assert restart["peak_mb"] < 250
