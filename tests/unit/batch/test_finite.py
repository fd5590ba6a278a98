"""NaN and infinity are found wherever they are, and nothing else is taken for them."""

from __future__ import annotations

import math
import struct
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_operator.batch.finite import is_finite


@pytest.mark.parametrize(("kind", "width"), [("f", 32), ("e", 16)])
@given(data=st.data())
def test_it_is_what_each_number_says(kind: str, width: Literal[16, 32], data: st.DataObject) -> None:
    numbers = data.draw(st.lists(st.floats(width=width), min_size=1, max_size=20))
    values = struct.pack(f"<{len(numbers)}{kind}", *numbers)
    assert is_finite(values, kind) == all(math.isfinite(number) for number in numbers)


@pytest.mark.parametrize("kind", ["f", "e"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_among_many_is_found(kind: str, bad: float) -> None:
    biggest = 65504.0 if kind == "e" else 3.4028234e38
    fine = [biggest, -biggest, 0.0, -0.0, 6e-8, 1.0] * 100
    assert is_finite(struct.pack(f"<600{kind}", *fine), kind)
    for place in (0, 299, 599):
        numbers = [*fine[:place], bad, *fine[place + 1 :]]
        assert not is_finite(struct.pack(f"<600{kind}", *numbers), kind)
