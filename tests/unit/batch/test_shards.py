"""A shard's way from the input to the output."""

import json

import pytest

from embedding_operator.batch.errors import BatchError
from embedding_operator.batch.records import (
    data_paths,
    is_finished,
    read_shards,
    record_of,
    record_path,
    shards_of,
    write_shards,
)
from embedding_operator.batch.rows import BadRow, Row
from embedding_operator.batch.writing import ShardWriter

from .given import Volume, embed, rows_of, vector


def corpus(rows: int) -> bytes:
    return b"".join(json.dumps({"id": n, "text": f"text {n}"}).encode() + b"\n" for n in range(rows))


def test_rows_become_vectors_in_their_order(volume: Volume) -> None:
    volume.write("wiki/a.jsonl", corpus(40))
    job = volume.job(idField="id", files=["wiki/*.jsonl"], shard_bytes=300)
    shards = volume.shards(job)
    write_shards(job, shards)

    for index in range(3):
        for shard in shards_of(job, index, 3):
            embed(job, shard)

    lines = [
        json.loads(line)
        for place in sorted(volume.output.glob("wiki/*.jsonl"))
        for line in place.read_text().splitlines()
    ]
    assert [line["id"] for line in lines] == list(range(40))
    rows = [row for row in rows_of(job, shards) if isinstance(row, Row)]
    assert [line["vector"] for line in lines] == [list(memoryview(vector(row).values).cast("f")) for row in rows]
    assert all(is_finished(job, shard) for shard in shards)
    assert read_shards(job) == shards


def test_nothing_is_seen_of_a_shard_that_is_not_committed(volume: Volume) -> None:
    volume.write("a.jsonl", corpus(3))
    job = volume.job(idField="id")
    (shard,) = volume.shards(job)
    writer = ShardWriter(job, shard)
    writer.add([vector(row) for row in rows_of(job, [shard]) if isinstance(row, Row)])

    assert not list(volume.output.rglob("a*"))
    assert not is_finished(job, shard)
    writer.abandon()
    assert not [place for place in volume.output.rglob("*") if place.is_file()]


@pytest.mark.parametrize("numbers", [[1], [0, 2], [0, 0]])
def test_a_row_that_is_left_out_or_comes_twice_is_an_error(volume: Volume, numbers: list[int]) -> None:
    volume.write("a.jsonl", corpus(3))
    job = volume.job(idField="id")
    (shard,) = volume.shards(job)

    with pytest.raises(BatchError, match="came for row"):
        ShardWriter(job, shard).add([vector(Row(number, "x", "y")) for number in numbers])


def test_a_shard_without_all_of_its_rows_is_not_committed(volume: Volume) -> None:
    volume.write("a.jsonl", corpus(3))
    job = volume.job()
    (shard,) = volume.shards(job)
    writer = ShardWriter(job, shard)
    writer.add([vector(row) for row in rows_of(job, [shard])[:2] if isinstance(row, Row)])

    with pytest.raises(BatchError, match="has 3 rows, and 2 came"):
        writer.commit(0)
    assert not is_finished(job, shard)


def test_a_record_whose_data_is_gone_or_cut_finishes_nothing(volume: Volume) -> None:
    volume.write("a.jsonl", corpus(3))
    job = volume.job(idField="id")
    (shard,) = volume.shards(job)
    embed(job, shard)
    data = volume.output / data_paths(job, shard)[0]
    whole = data.read_bytes()

    data.write_bytes(whole[:-1])
    assert not is_finished(job, shard)
    data.unlink()
    assert not is_finished(job, shard)
    data.write_bytes(whole)
    assert is_finished(job, shard)
    (volume.output / record_path(job, shard)).write_text("{}")
    assert not is_finished(job, shard)


def test_bad_rows_are_told_and_have_no_vector(volume: Volume) -> None:
    volume.write("a.jsonl", b'{"id": "x", "text": "fine"}\nno json\n\n{"id": "y", "text": " "}\n')
    job = volume.job(idField="id")
    (shard,) = volume.shards(job)
    embed(job, shard)

    record = record_of(job, shard)
    assert record is not None
    assert (record.rows, record.errors, record.tokens, record.dimensions) == (1, 2, 7, 4)
    assert record.errors_file is not None
    told = [json.loads(line) for line in (volume.output / record.errors_file.path).read_text().splitlines()]
    assert [(one["row"], one["id"], one["reason"]) for one in told] == [(1, None, "InvalidJSON"), (2, "y", "EmptyText")]


def test_a_vector_that_is_not_finite_is_a_bad_row(volume: Volume) -> None:
    volume.write("a.jsonl", corpus(2))
    job = volume.job(idField="id")
    (shard,) = volume.shards(job)
    one, two = (row for row in rows_of(job, [shard]) if isinstance(row, Row))
    writer = ShardWriter(job, shard)
    writer.add([vector(one, float("nan"), 0, 0, 0), vector(two)])

    record = writer.commit(1)

    assert (record.rows, record.errors) == (1, 1)
    assert record.errors_file is not None
    assert json.loads((volume.output / record.errors_file.path).read_text())["reason"] == "NotFinite"


def test_a_vector_of_another_length_ends_the_job(volume: Volume) -> None:
    volume.write("a.jsonl", corpus(2))
    job = volume.job(idField="id")
    (shard,) = volume.shards(job)

    with pytest.raises(BatchError, match="a vector of 3 numbers where 4 were expected") as caught:
        ShardWriter(job, shard).add([vector(Row(0, "x", "y"), 1, 2, 3)])
    assert caught.value.exit_code == 3


def test_a_shard_of_bad_rows_alone_has_no_data(volume: Volume) -> None:
    volume.write("a.jsonl", b"no\nno\n")
    job = volume.job(idField="id")
    (shard,) = volume.shards(job)
    embed(job, shard)

    record = record_of(job, shard)

    assert record is not None
    assert (record.files, record.rows, record.errors) == ([], 0, 2)
    assert isinstance(rows_of(job, [shard])[0], BadRow)


def test_a_file_that_changed_since_it_was_listed_ends_the_job(volume: Volume) -> None:
    place = volume.write("a.jsonl", corpus(3))
    job = volume.job(idField="id")
    (shard,) = volume.shards(job)
    place.write_bytes(corpus(4))

    with pytest.raises(BatchError, match=r"a\.jsonl was changed or replaced") as caught:
        rows_of(job, [shard])
    assert caught.value.exit_code == 3


def test_a_file_that_changes_while_it_is_read_ends_the_job(volume: Volume) -> None:
    place = volume.write("a.jsonl", corpus(3))
    job = volume.job(idField="id")
    (shard,) = volume.shards(job)
    from embedding_operator.batch.reading import open_shard

    rows = open_shard(job, shard)
    next(rows)
    with place.open("ab") as stream:
        stream.write(b"{}\n")

    with pytest.raises(BatchError, match=r"a\.jsonl was changed"):
        list(rows)


def test_two_jobs_with_the_same_key_have_lists_of_their_own(volume: Volume) -> None:
    volume.write("a.jsonl", corpus(1))
    volume.write("b.jsonl", corpus(1))
    one, other = volume.job(idField="id", files=["a.jsonl"]), volume.job(idField="id", files=["b.jsonl"])
    write_shards(one, volume.shards(one))
    write_shards(other, volume.shards(other))

    assert [shard.file for shard in read_shards(one)] == ["a.jsonl"]
    assert [shard.file for shard in read_shards(other)] == ["b.jsonl"]
