"""Any cut of any file gives every line exactly once, in order."""

import io

from hypothesis import given, settings
from hypothesis import strategies as st

from embedding_operator.batch.globs import InputFile
from embedding_operator.batch.lines import first_byte, lines_of
from embedding_operator.batch.sharding import RowGroup, counted, cut_groups, cut_lines

LINES = st.lists(st.sampled_from([b"\n", b"\r\n", b"a", b"bb\n", b"\xff\xfe", b"{}\r\n", b"c" * 9]), max_size=40)


def cut(data: bytes, shard_bytes: int, limit: int = 1 << 20) -> list[bytes | None]:
    file = InputFile("f", len(data), "1")
    found: list[bytes | None] = []
    for shard in cut_lines("key", file, shard_bytes):
        stream = io.BytesIO(data)
        stream.seek(first_byte(shard.offset))
        found += lines_of(stream, shard.offset, shard.offset + shard.length, limit)
    return found


def as_one(data: bytes) -> list[bytes]:
    lines = data.split(b"\n")
    ended = [line.removesuffix(b"\r") for line in lines[:-1]]
    return ended + ([lines[-1]] if lines[-1] else [])


@given(LINES, st.integers(1, 70))
@settings(max_examples=400, deadline=None)
def test_every_line_is_in_exactly_one_shard(pieces: list[bytes], shard_bytes: int) -> None:
    data = b"".join(pieces)

    assert cut(data, shard_bytes) == as_one(data)


@given(LINES, st.integers(1, 70), st.integers(2, 12))
@settings(max_examples=300, deadline=None)
def test_lines_that_are_too_long_keep_their_place_wherever_the_file_is_cut(
    pieces: list[bytes], shard_bytes: int, limit: int
) -> None:
    data = b"".join(pieces)
    whole = cut(data, len(data) or 1, limit)

    assert cut(data, shard_bytes, limit) == whole
    assert len(whole) == len(as_one(data))
    assert all(line is None or line == one for line, one in zip(whole, as_one(data), strict=True))
    assert all(line is not None for line, one in zip(whole, as_one(data), strict=True) if len(one) + 2 <= limit)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 50)), max_size=30), st.integers(1, 120))
@settings(max_examples=300, deadline=None)
def test_every_row_group_is_in_exactly_one_shard(told: list[tuple[int, int]], shard_bytes: int) -> None:
    groups = [RowGroup(rows, size) for rows, size in told]
    shards = cut_groups("key", InputFile("f", 99, "1"), groups, shard_bytes)

    assert [n for shard in shards for n in range(shard.offset, shard.offset + shard.length)] == list(range(len(groups)))
    assert all(shard.length == 1 or shard.bytes <= shard_bytes for shard in shards)
    assert sum(shard.rows or 0 for shard in shards) == sum(group.rows for group in groups)
    for shard in shards:
        assert shard.first_row == sum(group.rows for group in groups[: shard.offset])


def test_the_id_of_a_shard_tells_the_key_the_file_and_the_piece() -> None:
    file = InputFile("a", 10, "1")
    others = [
        cut_lines("other", file, 5),
        cut_lines("key", InputFile("b", 10, "1"), 5),
        cut_lines("key", InputFile("a", 11, "1"), 5),
        cut_lines("key", InputFile("a", 10, "2"), 5),
        cut_lines("key", file, 4),
    ]

    ids = {shard.id for shards in [cut_lines("key", file, 5), *others] for shard in shards[:1]}

    assert len(ids) == 6
    assert cut_lines("key", file, 5) == cut_lines("key", file, 5)


def test_counted_shards_know_the_rows_before_them() -> None:
    shards = counted(cut_lines("key", InputFile("a", 10, "1"), 4), [3, 0, 2])

    assert [(shard.first_row, shard.rows) for shard in shards] == [(0, 3), (3, 0), (3, 2)]
