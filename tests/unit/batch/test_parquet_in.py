"""Parquet files as input: cut by row groups, read a little at a time."""

import errno
import io
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from embedding_operator.batch.cutting import cut
from embedding_operator.batch.errors import BatchError
from embedding_operator.batch.jobspec import JobSpec
from embedding_operator.batch.places import input_of
from embedding_operator.batch.rows import BadRow, Row, Shard
from tests.unit.batch.test_values import PNG, PNG_URL

from .given import Volume, rows_of


def write(volume: Volume, columns: dict[str, Any], path: str = "a.parquet", group: int = 1000, **options: Any) -> None:
    place = volume.input / path
    place.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table(columns), place, row_group_size=group, **options)


def shards_of(job: JobSpec) -> list[Shard]:
    return [shard for file in input_of(job).listed(job.input.files) for shard in cut(job, file)]


def job_of(volume: Volume, **fields: Any) -> JobSpec:
    return volume.job(**{"format": "Parquet", "idField": "id"} | fields)


@pytest.mark.parametrize(
    ("ids", "kind", "told"),
    [
        ([3, 1], pa.int64(), [3, 1]),
        ([3, 1], pa.uint8(), [3, 1]),
        (["x", "y"], pa.string(), ["x", "y"]),
        (["x", "y"], pa.large_string(), ["x", "y"]),
        (["x", "y"], pa.dictionary(pa.int8(), pa.string()), ["x", "y"]),
    ],
)
@pytest.mark.parametrize("output", ["Parquet", "JsonLines"])
def test_ids_are_as_the_input_has_them(
    volume: Volume, ids: list[Any], kind: pa.DataType, told: list[Any], output: str
) -> None:
    write(volume, {"id": pa.array(ids, kind), "text": ["a", "b"], "other": [1.0, 2.0]})
    job = job_of(volume, output={"format": output})

    assert rows_of(job, shards_of(job)) == [Row(0, told[0], text="a"), Row(1, told[1], text="b")]


@given(st.integers(0, 60), st.integers(1, 20), st.integers(1, 3000))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_cut_gives_every_row_once_in_order(tmp_path: Path, rows: int, group: int, shard_bytes: int) -> None:
    volume = Volume(tmp_path)
    write(volume, {"id": list(range(rows)), "text": [f"text {n} " * (n % 9) or "-" for n in range(rows)]}, group=group)
    job = job_of(volume, shard_bytes=shard_bytes)
    shards = shards_of(job)

    found = [row.id if isinstance(row, Row) else row for row in rows_of(job, shards)]

    assert found == list(range(rows))
    assert sum(shard.rows or 0 for shard in shards) == rows


def test_rows_without_ids_are_named_by_file_and_row(volume: Volume) -> None:
    write(volume, {"text": ["a", "b", "c"]}, group=2)
    job = job_of(volume, idField=None, shard_bytes=1)

    assert [row.id for row in rows_of(job, shards_of(job))] == ["a.parquet:1", "a.parquet:2", "a.parquet:3"]


def test_values_that_are_none_or_no_text_are_bad_rows(volume: Volume) -> None:
    broken = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff"))
    texts = pa.chunked_array([pa.array(["a", None, " "], pa.string()), broken])
    write(volume, {"id": [1, 2, 3, 4], "text": texts})
    job = job_of(volume)

    good, *bad = rows_of(job, shards_of(job))

    assert good == Row(0, 1, text="a")
    assert [row.reason for row in bad if isinstance(row, BadRow)] == ["MissingField", "EmptyText", "NotText"]


def test_images_are_bytes_or_paths_as_data_sets_have_them(volume: Volume) -> None:
    volume.write("pictures/a.png", PNG)
    images = [{"bytes": PNG, "path": None}, {"bytes": None, "path": "pictures/a.png"}, {"bytes": b"x", "path": None}]
    write(volume, {"id": [1, 2, 3], "image": images})
    write(volume, {"id": [4], "image": [PNG]}, path="b.parquet")
    job = job_of(volume, textField=None, imageField="image", files=["*.parquet"])

    first, second, bad, other = rows_of(job, shards_of(job))

    assert [row.image for row in (first, second, other) if isinstance(row, Row)] == [PNG_URL] * 3
    assert isinstance(bad, BadRow)
    assert bad.reason == "BrokenImage"


def test_a_column_that_is_not_there_is_told_before_any_work(volume: Volume) -> None:
    write(volume, {"id": [1], "body": ["a"]})
    job = job_of(volume)

    with pytest.raises(BatchError, match=r"a\.parquet has no column 'text'; it has id, body") as caught:
        shards_of(job)
    assert caught.value.exit_code == 3


def test_what_is_no_parquet_is_told_before_any_work(volume: Volume) -> None:
    volume.write("a.parquet", b"x" * 100)

    with pytest.raises(BatchError, match=r"a\.parquet cannot be read as Parquet"):
        shards_of(job_of(volume))


def test_a_storage_that_fails_is_not_taken_for_a_broken_file(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(io.FileIO):
        def readinto(self, buffer: Any) -> int:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    write(volume, {"id": [1], "text": ["a"]})
    job = job_of(volume)
    shards = shards_of(job)
    monkeypatch.setattr(Path, "open", lambda place, *_, **__: io.BufferedReader(Failing(place)))

    with pytest.raises(BatchError, match=r"a\.parquet: Stale file handle") as caught:
        rows_of(job, shards)
    assert (caught.value.reason, caught.value.exit_code) == ("Internal", 1)


def test_a_page_whose_bytes_changed_is_not_believed(volume: Volume) -> None:
    texts = [f"text {n}" for n in range(1000)]
    options: dict[str, Any] = {"write_page_checksum": True, "compression": "none", "use_dictionary": False}
    write(volume, {"id": list(range(1000)), "text": texts}, **options)
    place = volume.input / "a.parquet"
    place.write_bytes(place.read_bytes().replace(b"text 500", b"text 501"))
    job = job_of(volume)

    with pytest.raises(BatchError, match=r"a\.parquet cannot be read"):
        rows_of(job, shards_of(job))
