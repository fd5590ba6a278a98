"""A fresh input and output for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from .given import Volume


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    made = Volume(tmp_path)
    made.input.mkdir()
    made.output.mkdir()
    return made
