"""Memory is flat, however big a shard is: looked at in a process of its own."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from embedding_operator.batch.jobspec import JobSpec
from embedding_operator.batch.records import write_shards

from .given import Volume

PASSED = 48 << 20
"""Bytes that a process may grow by: blocks, a batch of rows, a row group of the output."""

PEAK = """
def peak():
    "Bytes that were resident at most; of this program alone, which getrusage does not tell apart from its parent."
    status = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
"""

READER = (
    PEAK
    + """
import sys
from embedding_operator.batch.jobspec import JobSpec
from embedding_operator.batch.reading import open_shard
from embedding_operator.batch.records import read_shards
small, big = (JobSpec.model_validate_json(text) for text in sys.argv[1:])
for job in (small, big):
    rows = sum(1 for shard in read_shards(job) for row in open_shard(job, shard))
    print(rows, peak())
"""
)

WRITER = (
    PEAK
    + """
import sys
from embedding_operator.batch.jobspec import JobSpec
from embedding_operator.batch.records import read_shards
from embedding_operator.batch.rows import Row, Vector
from embedding_operator.batch.writing import ShardWriter
small, big = (JobSpec.model_validate_json(text) for text in sys.argv[1:])
for job, rows in ((small, 40_000), (big, 120_000)):
    (shard,) = read_shards(job)
    writer, values = ShardWriter(job, shard), bytes(4 * 256)
    for start in range(0, rows, 100):
        writer.add([Vector(Row(n, f"row {n}", "x"), values) for n in range(start, min(rows, start + 100))])
    writer.commit(0)
    print(rows, peak())
"""
)


def grown(script: str, small: JobSpec, big: JobSpec) -> tuple[int, int]:
    """How many rows there were, and bytes by which the process grew from the small shard to the big one."""
    jobs = [job.model_dump_json(by_alias=True) for job in (small, big)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    told = subprocess.run(
        [sys.executable, "-c", script, *jobs], env=environment, check=True, text=True, stdout=subprocess.PIPE
    ).stdout.splitlines()
    (_, before), (rows, after) = (map(int, line.split()) for line in told)
    return rows, after - before


def lines(place: Path, rows: int) -> None:
    text = "0123456789" * 200
    with place.open("w") as stream:
        for number in range(rows):
            stream.write(json.dumps({"id": number, "text": text}) + "\n")


def columns(place: Path, rows: int) -> None:
    """One row group, which no codec makes smaller."""
    texts = [random.Random(number).randbytes(1000).hex() for number in range(rows)]
    table = pa.table({"id": list(range(rows)), "text": texts})
    parquet.write_table(table, place, row_group_size=rows, compression="none", use_dictionary=False)


@pytest.mark.parametrize(
    ("form", "write", "rows", "size"),
    [("JsonLines", lines, 100_000, 200_000_000), ("Parquet", columns, 60_000, 110_000_000)],
)
def test_a_big_shard_is_read_in_little_memory(volume: Volume, form: str, write: object, rows: int, size: int) -> None:
    assert callable(write)
    jobs = []
    for name, count in (("small", 10), ("big", rows)):
        write(volume.input / name, count)
        job = volume.job(name=name, files=[name], idField="id", format=form, shard_bytes=1 << 40)
        write_shards(job, volume.shards(job))
        jobs.append(job)
    assert (volume.input / "big").stat().st_size > size

    read, growth = grown(READER, *jobs)

    assert read == rows

    assert growth < PASSED


@pytest.mark.parametrize("form", ["Parquet", "Npy", "JsonLines"])
def test_a_big_shard_is_written_in_little_memory(volume: Volume, form: str) -> None:
    volume.write("small", b"{}\n")
    volume.write("big", b"{}\n")
    jobs = []
    for name in ("small", "big"):
        job = volume.job(name=name, files=[name], idField="id", output={"format": form, "dimensions": 256})
        write_shards(job, volume.shards(job))
        jobs.append(job)

    rows, growth = grown(WRITER, *jobs)

    assert rows == 120_000
    assert sum(place.stat().st_size for place in volume.output.iterdir() if place.is_file()) > rows * 2 * 256

    assert growth < PASSED
