"""The same as test_replay.py, with other examples each time, and many of them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.replay.effort import effort
from tests.replay.replaying import (
    CHANCE,
    ENDS,
    Replay,
    any_prefix_in_any_order,
    any_share_of_the_news_lost,
    every_moment_of_it,
)

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]


class TestReplayMany(Replay.TestCase):
    settings = effort(examples=400, steps=50, repeatable=False)


@effort(examples=1000, repeatable=False)
@given(ENDS, CHANCE, st.floats(0, 0.5))
def test_any_prefix_in_any_order_many_times(end: int, chance: random.Random, again: float) -> None:
    any_prefix_in_any_order(end, chance, again)


@effort(examples=1000, repeatable=False)
@given(ENDS, CHANCE, st.floats(0, 1))
def test_any_share_of_the_news_lost_many_times(end: int, chance: random.Random, share: float) -> None:
    any_share_of_the_news_lost(end, chance, share)


@effort(examples=60, repeatable=False)
@given(CHANCE)
def test_every_moment_many_times(chance: random.Random) -> None:
    every_moment_of_it(chance)
