"""Rows become requests, in their order and no bigger than is good."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_operator.batch.batches import Batch, Estimate, Size, batches
from embedding_operator.batch.rows import BadRow, Row


def cost(row: Row) -> int:
    return len(row.text or "")


def bad(number: int) -> BadRow:
    return BadRow(number, None, "InvalidJSON", "it is not JSON")


def row(number: int, size: int, image: str | None = None) -> Row:
    return Row(number, number, text="x" * size, image=image)


def cut(items: Sequence[Row | BadRow], size: Size, per_byte: float = 1.0) -> list[Batch]:
    return list(batches(items, cost, Estimate(per_byte), size))


@given(
    sizes=st.lists(st.one_of(st.none(), st.integers(0, 40)), max_size=60),
    tokens=st.integers(1, 60),
    most=st.integers(1, 8),
)
def test_no_row_is_lost_or_moved_and_no_request_too_big(sizes: list[int | None], tokens: int, most: int) -> None:
    items = [bad(number) if size is None else row(number, size) for number, size in enumerate(sizes)]
    made = cut(items, Size(tokens, most))
    assert [item for batch in made for item in batch.items] == items
    for batch in made:
        assert batch.rows == [item for item in batch.items if isinstance(item, Row)]
        assert len(batch.rows) <= most
        assert batch.bytes == sum(cost(one) for one in batch.rows)
        assert batch.bytes <= tokens or len(batch.rows) == 1


def test_a_request_is_filled() -> None:
    made = cut([row(number, 10) for number in range(7)], Size(tokens=30, rows=100))
    assert [len(batch.rows) for batch in made] == [3, 3, 1]


def test_an_image_goes_alone() -> None:
    items = [row(0, 1), row(1, 1, image="data:"), row(2, 1, image="data:"), row(3, 1), row(4, 1)]
    assert [[one.number for one in batch.rows] for batch in cut(items, Size())] == [[0], [1], [2], [3, 4]]


def test_a_shard_of_bad_rows_is_not_held_as_a_whole() -> None:
    made = cut([bad(number) for number in range(1000)], Size(rows=10))
    assert max(len(batch.items) for batch in made) == 40


def test_tokens_are_learnt_from_what_the_server_counts() -> None:
    estimate = Estimate()
    assert estimate.tokens(400) == 100
    for _ in range(100):
        estimate.learn(100, 50)
    assert estimate.tokens(400) == pytest.approx(200, rel=0.01)
    estimate.learn(100, 0)  # a server that does not count
    assert estimate.tokens(400) == pytest.approx(200, rel=0.01)
