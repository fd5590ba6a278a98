"""How the processes of split and finish end: exit code, termination message, and no secret in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from embedding_operator.batch.records import shards_of
from embedding_operator.cli import main

from .given import Volume, embed


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The termination message."""
    monkeypatch.setenv("TERMINATION_LOG", str(tmp_path / "termination-log"))
    return tmp_path / "termination-log"


def run(phase: str, volume: Volume, told: Path, **fields: Any) -> tuple[int, dict[str, Any]]:
    """One phase by the command line; gives the exit code and what was told."""
    code = main(["batch", phase, "--job", volume.job(**fields).model_dump_json(by_alias=True)])
    return code, json.loads(told.read_text())


def test_a_job_of_two_rows(volume: Volume, told: Path, capsys: pytest.CaptureFixture[str]) -> None:
    volume.write("a.txt", b"one\ntwo\n")
    fields: dict[str, Any] = {"format": "Text", "textField": None}

    assert run("split", volume, told, **fields) == (
        0,
        {"shards": 1, "finished": 0, "files": 1, "bytes": 8, "rows": 2},
    )
    assert run("finish", volume, told, **fields)[0] == 1
    job = volume.job(**fields)
    for shard in shards_of(job, 0, 1):
        embed(job, shard)
    code, end = run("finish", volume, told, **fields)

    assert (code, end["rows"], end["manifest"]) == (0, 2, "manifest.json")
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == end


def test_what_cannot_be_mended_by_another_try_is_permanent(volume: Volume, told: Path) -> None:
    assert run("split", volume, told) == (
        3,
        {
            "reason": "NoFiles",
            "message": "input.files: nothing below the input matches '**' ('*' stays in one directory, '**/' is any; "
            "hidden and half-written files are never meant, nor is a folder that jobs write to)",
        },
    )


def test_a_job_document_of_a_newer_operator_is_refused(told: Path) -> None:
    assert main(["batch", "split", "--job", '{"name": "x", "colour": "blue"}']) == 3
    assert json.loads(told.read_text())["reason"] == "InvalidSpec"


def test_no_secret_is_told(
    volume: Volume, told: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HTTP_SOURCE_TOKEN", "very-secret")

    code, _ = run("split", volume, told, files=["very-secret"])

    output = capsys.readouterr()
    assert code == 3
    assert "***" in told.read_text()
    assert "very-secret" not in told.read_text() + output.out + output.err
