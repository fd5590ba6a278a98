"""The loop comes to rest, and always at the same place; see converging.py."""

from __future__ import annotations

import pytest

from tests.replay.converging import Converge
from tests.replay.effort import effort

TestConverge = Converge.TestCase
TestConverge.settings = effort(examples=60, steps=30)


@pytest.mark.long
@pytest.mark.timeout(3600)
class TestConvergeMany(Converge.TestCase):
    settings = effort(examples=1500, steps=60, repeatable=False)
