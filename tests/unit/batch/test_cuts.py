"""However a file is cut, its rows are the same, and each has its own number in the file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedding_operator.batch.rows import Row

from .given import Volume, rows_of

LINES = st.lists(
    st.sampled_from(
        [
            b"\n",
            b" \r\n",
            b'{"id": 1, "text": "a"}\n',
            b'{"id": "b", "text": "' + "é".encode() * 9 + b'"}\r\n',
            b"no json\n",
            b'{"id": 2, "text": ""}\n',
            b'{"id": 3, "text": "x\\ny"}',
            b"\xff\n",
            b"\xef\xbb\xbf",
        ]
    ),
    max_size=25,
)


@pytest.mark.parametrize("form", ["JsonLines", "Text"])
@pytest.mark.parametrize("field", ["id", None])
@given(lines=LINES, shard_bytes=st.integers(1, 120))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_are_the_same_however_a_file_is_cut(
    tmp_path: Path, form: str, field: str | None, lines: list[bytes], shard_bytes: int
) -> None:
    volume = Volume(tmp_path)
    volume.write("a", b"".join(lines))
    fields = {"format": form, "idField": field if form == "JsonLines" else None, "textField": "text"}
    whole, cut = volume.job(shard_bytes=1 << 30, **fields), volume.job(shard_bytes=shard_bytes, **fields)

    shards = volume.shards(cut)
    rows, expected = rows_of(cut, shards), rows_of(whole, volume.shards(whole))

    def told(row: object) -> object:
        return (row.id, row.text) if isinstance(row, Row) else (row.id, row.reason)  # type: ignore[attr-defined]

    assert [told(row) for row in rows] == [told(row) for row in expected]
    for shard in shards:
        numbers = [row.number for row in rows_of(cut, [shard])]
        assert numbers == list(range(len(numbers)))
        assert shard.rows in (None, len(numbers))
    if field is None:
        assert [row.id for row in rows] == [f"a:{number + 1}" for number in range(len(rows))]


def test_pyarrow_is_loaded_for_parquet_alone_and_numpy_never() -> None:
    """It takes a fifth of a second and 40 MB, of the operator and of every command."""
    modules = ("cutting", "reading", "writing", "records", "split", "finish", "npy", "objects", "webfiles")
    load = "; ".join(f"import embedding_operator.batch.{name}" for name in modules)
    script = f"{load}; import sys; print('pyarrow' in sys.modules); import embedding_operator.batch.parquetout"
    script += "; import embedding_operator.batch.parquetin; print('pyarrow' in sys.modules, 'numpy' in sys.modules)"

    told = subprocess.run([sys.executable, "-c", script], check=True, text=True, stdout=subprocess.PIPE).stdout

    assert told.split() == ["False", "True", "False"]
