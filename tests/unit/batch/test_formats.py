"""What is written can be read by what people read vectors with, and is the same bytes each time."""

import ast
import json
import math
import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from embedding_operator.batch.jobspec import JobSpec
from embedding_operator.batch.records import data_paths, is_finished, record_of
from embedding_operator.batch.rows import Row, Shard, Vector
from embedding_operator.batch.writing import ShardWriter

from .given import Volume, rows_of

HALVES = [(0.5, -1.25), (0.1, 2.0), (65504.0, 1e-7)]


def written(
    volume: Volume,
    ids: list[Any],
    vectors: list[tuple[float, ...]],
    pieces: int = 1,
    task: str = "Embed",
    **output: Any,
) -> tuple[JobSpec, Shard]:
    """A shard with such ids and vectors, handed over in pieces of such a length."""
    volume.write("wiki/a.jsonl", b"".join(json.dumps({"id": name, "text": "x"}).encode() + b"\n" for name in ids))
    width = len(vectors[0])
    job = volume.job(idField="id", task=task, output={"dimensions": width if task == "Embed" else None} | output)
    (shard,) = volume.shards(job)
    kind = "e" if output.get("dtype") == "Float16" else "f"
    results = [
        Vector(Row(number, name, "x"), struct.pack(f"<{width}{kind}", *vector))
        for number, (name, vector) in enumerate(zip(ids, vectors, strict=True))
    ]
    writer = ShardWriter(job, shard)
    for at in range(0, len(results), pieces):
        writer.add(results[at : at + pieces])
    writer.commit(1)
    assert is_finished(job, shard)
    return job, shard


def as_float16(value: float) -> float:
    return float(struct.unpack("<e", struct.pack("<e", value))[0])


def as_float32(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


@pytest.mark.parametrize(("dtype", "kind"), [("Float32", pa.float32()), ("Float16", pa.float16())])
@pytest.mark.parametrize(("ids", "id_kind"), [([7, 8, 2**53 + 1], pa.int64()), (["a", "é", "c"], pa.string())])
def test_parquet_has_ids_as_they_were_and_lists_of_fixed_size(
    volume: Volume, dtype: str, kind: pa.DataType, ids: list[Any], id_kind: pa.DataType
) -> None:
    job, shard = written(volume, ids, HALVES, format="Parquet", dtype=dtype)

    table = parquet.read_table(volume.output / data_paths(job, shard)[0], partitioning=None)

    assert table.schema.field("id").type == id_kind
    assert table.schema.field("vector").type.list_size == 2
    assert table.schema.field("vector").type.value_type == kind
    assert table["id"].to_pylist() == ids
    rounded = as_float16 if dtype == "Float16" else as_float32
    assert table["vector"].to_pylist() == [[rounded(one) for one in vector] for vector in HALVES]
    assert table.schema.metadata[b"embedding-operator.io/space"] == b"space-1"
    assert table.schema.metadata[b"embedding-operator.io/digest"] == b"sha256:1"


def test_scores_are_a_column_of_float32(volume: Volume) -> None:
    job, shard = written(volume, ["a", "b"], [(0.25,), (0.1,)], task="Rerank", format="Parquet", dtype="Float32")

    table = parquet.read_table(volume.output / data_paths(job, shard)[0], partitioning=None)

    assert table.schema.field("score").type == pa.float32()
    assert table.to_pydict() == {"id": ["a", "b"], "score": [0.25, as_float32(0.1)]}


@pytest.mark.parametrize("form", ["Parquet", "Npy", "JsonLines"])
def test_the_bytes_are_the_same_whatever_pieces_results_come_in(
    volume: Volume, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedding_operator.batch.parquetout._GROUP_ROWS", 4)
    ids, vectors = list(range(11)), [(float(n), n / 7) for n in range(11)]
    found = []
    for pieces in (1, 3, 11):
        job, shard = written(volume, ids, vectors, pieces, format=form)
        record = record_of(job, shard)
        assert record is not None
        found.append([file.sha256 for file in record.files])

    assert len({tuple(one) for one in zip(*found, strict=True)}) == len(found[0])
    assert all(len(set(sums)) == 1 for sums in zip(*found, strict=True))
    if form == "Parquet":
        assert parquet.ParquetFile(volume.output / data_paths(job, shard)[0]).metadata.num_row_groups == 3


def read_npy(place: Path) -> tuple[dict[str, Any], bytes]:
    """Header and data, as the format's own description has it."""
    data = place.read_bytes()
    assert data[:8] == b"\x93NUMPY\x01\x00"
    (length,) = struct.unpack("<H", data[8:10])
    assert (10 + length) % 64 == 0
    told = data[10 : 10 + length].decode()
    assert told.endswith("\n")
    return ast.literal_eval(told), data[10 + length :]


@pytest.mark.parametrize(("dtype", "descr", "kind"), [("Float32", "<f4", "f"), ("Float16", "<f2", "e")])
def test_npy_has_its_length_in_the_header_and_its_ids_beside_it(
    volume: Volume, dtype: str, descr: str, kind: str
) -> None:
    job, shard = written(volume, ["a", 2, "c"], HALVES, format="Npy", dtype=dtype)
    vectors, ids = (volume.output / path for path in data_paths(job, shard))

    header, data = read_npy(vectors)

    assert header == {"descr": descr, "fortran_order": False, "shape": (3, 2)}
    assert data == b"".join(struct.pack(f"<2{kind}", *vector) for vector in HALVES)
    assert [json.loads(line) for line in ids.read_text().splitlines()] == ["a", 2, "c"]


def test_npy_of_scores_has_one_dimension(volume: Volume) -> None:
    job, shard = written(volume, ["a", "b"], [(1.0,), (2.0,)], task="Rerank", format="Npy")

    header, data = read_npy(volume.output / data_paths(job, shard)[0])

    assert header["shape"] == (2,)
    assert data == struct.pack("<2f", 1, 2)


@pytest.mark.parametrize("dtype", ["Float32", "Float16"])
def test_json_has_enough_digits_for_each_number(volume: Volume, dtype: str) -> None:
    values = tuple(math.sin(n) * 10.0 ** (n % 9 - 6) for n in range(400))
    job, shard = written(volume, ["a"], [values], format="JsonLines", dtype=dtype)

    (line,) = (volume.output / data_paths(job, shard)[0]).read_text().splitlines()

    told = json.loads(line)["vector"]
    rounded = as_float16 if dtype == "Float16" else as_float32
    assert [rounded(one) for one in told] == [rounded(one) for one in values]


def test_a_column_has_ids_of_one_type(volume: Volume) -> None:
    volume.write("a.jsonl", b"nothing\n" + b"".join(b'{"id": %s, "text": "x"}\n' % one for one in (b"1", b'"b"', b"3")))
    volume.write("b.jsonl", b"".join(b'{"id": %s, "text": "x"}\n' % one for one in (b'"b"', b"3")))
    job = volume.job(idField="id", output={"format": "Parquet"}, shard_bytes=25)

    rows = rows_of(job, volume.shards(job))

    told = [row.id if isinstance(row, Row) else f"{row.reason}: {row.message}" for row in rows]
    assert told[0].startswith("InvalidJSON")  # type: ignore[union-attr]
    assert told[1:] == [
        1,
        "BadID: 'id' is a text, and that of the file's first row an integer",
        3,
        "b",
        "BadID: 'id' is an integer, and that of the file's first row a text",
    ]
