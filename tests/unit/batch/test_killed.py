"""A writer that is killed, at any moment: what is taken as finished is whole, and the next writer finishes the rest."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from embedding_operator.batch.errors import BatchError
from embedding_operator.batch.finish import finish
from embedding_operator.batch.progress import Progress
from embedding_operator.batch.records import data_paths, is_finished, read_shards, record_path
from embedding_operator.batch.split import split

from .given import Volume, embed

# Dies just before, or just after, each call that touches the volume, one after the other.
WRITER = """
import io, os, signal, sys
from pathlib import Path
from embedding_operator.batch import local
from embedding_operator.batch.jobspec import JobSpec
from embedding_operator.batch.progress import Progress
from embedding_operator.batch.records import read_shards
from tests.unit.batch.given import embed

job = JobSpec.model_validate_json(sys.argv[1])
shard = read_shards(job)[int(sys.argv[2])]
if job.output.format == "Parquet":
    import pyarrow.parquet

def dying(at):
    "Count what touches the volume, and die at one of it: at an even number before it is done, else after."
    count = 0
    def wrapped(call):
        def counted(*args, **options):
            nonlocal count
            own = count = count + 1
            if own == at // 2 + 1 and at % 2 == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return call(*args, **options)
            finally:
                if own == at // 2 + 1:
                    os.kill(os.getpid(), signal.SIGKILL)
        return counted
    os.fsync = wrapped(os.fsync)
    os.rename, os.unlink, os.mkdir = wrapped(os.rename), wrapped(os.unlink), wrapped(os.mkdir)
    Path.rename, Path.open = wrapped(Path.rename), wrapped(Path.open)
    local.LocalSink.write = wrapped(local.LocalSink.write)

at = int(sys.argv[3])
while True:
    child = os.fork()
    if child == 0:
        dying(at)
        embed(job, shard)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(at, "done" if status == 0 else "killed" if os.WTERMSIG(status) == signal.SIGKILL else "broken", flush=True)
    if sys.stdin.readline() == "":
        break
    at += 1
"""


@pytest.mark.parametrize("form", ["JsonLines", "Npy", "Parquet"])
async def test_a_shard_is_finished_whole_or_not_at_all_wherever_its_writer_dies(volume: Volume, form: str) -> None:
    rows = [b'{"id": "%d", "text": "x"}\n' % n if n % 3 else b"bad\n" for n in range(9)]
    volume.write("wiki/a.jsonl", b"".join(rows))
    job = volume.job(idField="id", output={"format": form}, maxErrors={"percent": 100})
    await split(job, Progress("Splitting"))
    (shard,) = read_shards(job)
    embed(job, shard)
    expected = contents(volume)
    await finish(job, Progress("Finishing"))

    arguments = [sys.executable, "-c", WRITER, job.model_dump_json(by_alias=True), "0", "0"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "HOSTNAME": "pod-1"}
    deaths = finished_ones = 0
    with subprocess.Popen(  # noqa: ASYNC220 - nobody else waits
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        empty(volume, expected)
        while (told := process.stdout.readline().split())[1] != "done":
            assert told[1] == "killed", told
            deaths += 1
            if is_finished(job, shard):
                finished_ones += 1
                assert contents(volume) == expected
            else:
                assert not (volume.output / record_path(job, shard)).exists()
                with pytest.raises(BatchError, match="1 of 1 shards are not finished"):
                    await finish(job, Progress("Finishing"))
            for path in data_paths(job, shard):  # what is seen is whole, whoever looks
                assert not (volume.output / path).exists() or (volume.output / path).read_bytes() == expected[path]
            embed(job, shard)  # the next one does not mind what the dead one left
            assert contents(volume) == expected
            told_by = await finish(job, Progress("Finishing"))
            assert (told_by["rows"], told_by["errors"]) == (6, 3)
            assert not list(volume.output.rglob(".*.tmp-*"))
            empty(volume, expected)
            process.stdin.write("\n")
            process.stdin.flush()
        process.stdin.close()

    assert deaths > 30
    assert finished_ones >= 1
    assert contents(volume) == expected


def contents(volume: Volume) -> dict[str, bytes]:
    """What the shard became: data, record and errors."""
    return {
        str(place.relative_to(volume.output)): place.read_bytes()
        for place in sorted(volume.output.rglob("*"))
        if place.is_file() and not place.name.startswith((".", "shards-", "manifest.", "errors."))
    }


def empty(volume: Volume, paths: dict[str, bytes]) -> None:
    for path in paths:
        (volume.output / path).unlink()


@pytest.mark.parametrize("other", ["pod-1", "pod-2"], ids=["of an index", "of two jobs"])
@pytest.mark.parametrize("form", ["JsonLines", "Npy", "Parquet"])
async def test_two_writers_of_a_shard_do_no_harm(
    volume: Volume, monkeypatch: pytest.MonkeyPatch, other: str, form: str
) -> None:
    """All pods of an index have one host name; and no two servers give just the same vectors."""
    from embedding_operator.batch.reading import open_shard
    from embedding_operator.batch.rows import Row
    from embedding_operator.batch.writing import ShardWriter

    from .given import vector

    volume.write("a.jsonl", b'{"id": "%d", "text": "x"}\n' % 1 * 3)
    job = volume.job(idField="id", output={"format": form})
    await split(job, Progress("Splitting"))
    (shard,) = read_shards(job)
    monkeypatch.setenv("HOSTNAME", "pod-1")
    slow = ShardWriter(job, shard)
    slow.add([vector(row, 1, 2, 3, 4) for row in list(open_shard(job, shard))[:2] if isinstance(row, Row)])
    monkeypatch.setenv("HOSTNAME", other)
    embed(job, shard)
    expected = contents(volume)

    slow.add([vector(row, 1, 2, 3, 4) for row in list(open_shard(job, shard))[2:] if isinstance(row, Row)])
    slow.commit(7)

    assert contents(volume) == expected
    assert json.loads((volume.output / record_path(job, shard)).read_text())["rows"] == 3
    assert not list(volume.output.rglob(".*.tmp-*"))
