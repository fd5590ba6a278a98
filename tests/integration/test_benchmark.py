"""The benchmark works: what holds of its numbers on any machine, however slow."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.control_plane import main

SERVICES = 20  # and four before the clock starts: more than one namespace
QUIET = 5
CHILDREN = ("deployments", "services", "poddisruptionbudgets", "controllerrevisions")
Run = dict[str, Any]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One round: what it printed, wrote and drew."""
    directory = tmp_path_factory.mktemp("benchmark")
    capture = pytest.MonkeyPatch()
    lines: list[str] = []
    capture.setattr("benchmarks.manifests.PER_NAMESPACE", 20)
    capture.setattr("builtins.print", lambda *words, **_: lines.append(" ".join(map(str, words))))
    output, picture = directory / "results.json", directory / "picture.svg"
    arguments = [f"--services={SERVICES}", "--runs=1", f"--quiet={QUIET}", "--rest=1.5", "--settle=1.5"]
    arguments += [f"--output={output}", f"--picture={picture}", f"--logs={directory / 'logs'}"]
    try:
        assert main(arguments) == 0, lines
    finally:
        capture.undo()
    return {"text": "\n".join(lines), "runs": json.loads(output.read_text())["runs"], "picture": picture.read_text()}


def of(told: dict[str, Any], arm: str) -> Run:
    [run] = [run for run in told["runs"] if run["arm"] == arm]
    return dict(run)


@pytest.mark.parametrize("arm", ["operator", "bare client"])
def test_each_child_of_each_service_is_written_once(told: dict[str, Any], arm: str) -> None:
    """That they are all there, and all statuses true, the benchmark itself has checked."""
    writes = of(told, arm)["writes"]
    made = {kind: sum(n for key, n in writes.items() if key.split(" ")[1] == kind) for kind in CHILDREN}
    assert made == dict.fromkeys(CHILDREN, SERVICES)


def test_the_bare_client_writes_what_is_left_when_nothing_can_be_left_out(told: dict[str, Any]) -> None:
    run = of(told, "bare client")
    assert run["writes"] == {f"patch {kind}": SERVICES for kind in CHILDREN} | {
        "patch embeddingservices/status": 2 * SERVICES,
        "create events": 2 * SERVICES,
        "patch configmaps": 1,
    }
    assert (run["reads"], run["failed"]) == ({}, {})


def test_the_operator_at_rest_writes_nothing_but_its_lease(told: dict[str, Any]) -> None:
    quiet = of(told, "operator")["quiet"]
    assert quiet["writes"] == {}
    assert quiet["lease_requests"] > 0


def test_children_exist_before_statuses_are_true(told: dict[str, Any]) -> None:
    for run in told["runs"]:
        assert 0 < run["children_seconds"] <= run["ready_seconds"]
        assert run["cpu_seconds"] > 0
        assert run["peak_mb"] > 10


def test_table_and_picture_name_both(told: dict[str, Any]) -> None:
    for arm in ("operator", "bare client"):
        assert f"{SERVICES}        {arm}" in told["text"]
        assert f"{SERVICES}: all ready, {arm}" in told["picture"]
    assert "writes none" in told["text"]
