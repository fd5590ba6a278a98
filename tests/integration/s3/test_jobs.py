"""Offline inference from a bucket into a bucket: a shard is there as a whole, or not at all."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from embedding_operator.batch.bucket import Bucket
from embedding_operator.batch.errors import BatchError
from embedding_operator.batch.finish import finish
from embedding_operator.batch.jobspec import JobSpec, Place
from embedding_operator.batch.objects import PART
from embedding_operator.batch.places import input_of, output_of
from embedding_operator.batch.progress import Progress
from embedding_operator.batch.reading import open_shard
from embedding_operator.batch.records import data_paths, is_finished, read_shards, record_of
from embedding_operator.batch.rows import Row, Shard
from embedding_operator.batch.split import split
from embedding_operator.batch.writing import ShardWriter
from tests.unit.batch.given import Volume, embed, rows_of, vector
from tests.unit.batch.test_values import PNG, PNG_URL

from .support import BUCKET, KEY, SECRET, Server

pytestmark = pytest.mark.usefixtures("keys")


def job_of(server: Server, path: Path, prefix: str = "vectors", **fields: object) -> JobSpec:
    """From `corpus/` of the bucket into a prefix of it."""
    job = Volume(path).job(**{"idField": "id", "shard_bytes": 60} | fields)  # type: ignore[arg-type]
    place = {"endpoint": server.url}
    given = job.input.model_copy(update={"root": f"s3://{BUCKET}/corpus/", **place})
    output = job.output.model_copy(update={"root": f"s3://{BUCKET}/{prefix}", **place})
    return job.model_copy(update={"input": given, "output": output})


def bucket(server: Server, prefix: str = "") -> Bucket:
    return Bucket(Place(root=f"s3://{BUCKET}/{prefix}", endpoint=server.url), "spec.output")


def lines(first: int, count: int) -> bytes:
    return b"".join(json.dumps({"id": n, "text": f"text {n}"}).encode() + b"\n" for n in range(first, first + count))


async def work(job: JobSpec) -> list[Shard]:
    """What the workers do: in a thread, as this blocks."""
    made = [shard for shard in read_shards(job) if not is_finished(job, shard)]
    for shard in made:
        embed(job, shard)
    return made


async def test_rows_of_a_bucket_become_vectors_in_a_bucket(server: Server, tmp_path: Path) -> None:
    server.put("corpus/wiki/a b+ü.jsonl", lines(0, 9) + b"bad\n")
    server.put("corpus/b.jsonl", lines(100, 3))
    server.put("corpus/.hidden.jsonl", b"x")
    job = job_of(server, tmp_path, files=["**/*.jsonl"], maxErrors={"count": 1})

    told = await split(job, Progress("Splitting"))
    assert (told["files"], told["finished"]) == (2, 0)
    assert len(await work(job)) == told["shards"]
    end = await finish(job, Progress("Finishing"))

    assert (end["rows"], end["errors"], end["errorsFile"]) == (12, 1, "errors.jsonl")
    there = bucket(server, "vectors")
    manifest = json.loads((there.read("manifest.json", 0, 1 << 20) or pytest.fail("no manifest")).body)
    outputs = [output for file in manifest["files"] for output in file["outputs"]]
    assert [file["path"] for file in manifest["files"]] == ["b.jsonl", "wiki/a b+ü.jsonl"]
    ids = []
    for output in outputs:
        answer = there.read(output["path"], 0, 1 << 20)
        assert answer is not None
        assert (len(answer.body), hashlib.sha256(answer.body).hexdigest()) == (output["bytes"], output["sha256"])
        ids += [json.loads(line)["id"] for line in answer.body.splitlines()]
    assert ids == [100, 101, 102, *range(9)]
    errors = there.read("errors.jsonl", 0, 1 << 20)
    assert errors is not None
    assert json.loads(errors.body)["row"] == 10

    server.put("corpus/c.jsonl", lines(200, 1))
    again = await split(job, Progress("Splitting"))
    assert again["finished"] == again["shards"] - 1
    assert [shard.file for shard in await work(job)] == ["c.jsonl"]


async def test_parquet_and_images_of_a_bucket(server: Server, tmp_path: Path) -> None:
    table = pa.table({"id": ["a", "b", "c"], "image": ["pictures/1.png", "pictures/2.png", "../corpus/pictures/1.png"]})
    parquet.write_table(table, tmp_path / "file", row_group_size=2)
    server.put("corpus/a.parquet", (tmp_path / "file").read_bytes())
    server.put("corpus/pictures/1.png", PNG)
    fields = {"format": "Parquet", "imageField": "image", "textField": None, "files": ["*.parquet"]}
    job = job_of(server, tmp_path, output={"format": "Parquet"}, maxErrors={"count": 2}, **fields)

    assert (await split(job, Progress("Splitting")))["rows"] == 3
    first, gone, out = rows_of(job, read_shards(job))
    assert first == Row(0, "a", image=PNG_URL)
    assert "is not in" in gone.message  # type: ignore[union-attr]
    assert "leads out" in out.message  # type: ignore[union-attr]
    await work(job)
    assert (await finish(job, Progress("Finishing")))["rows"] == 1

    (shard, *_) = read_shards(job)
    answer = bucket(server, "vectors").read(data_paths(job, shard)[0], 0, 1 << 20)
    assert answer is not None
    assert parquet.read_table(pa.BufferReader(answer.body))["id"].to_pylist() == ["a"]


async def test_a_big_object_is_put_in_parts_and_is_not_there_before(server: Server, tmp_path: Path) -> None:
    job = job_of(server, tmp_path)
    output, there = output_of(job), bucket(server, "vectors")
    data = [bytes([n]) * (PART // 3) for n in range(8)]
    sink = output.create("big")
    for piece in data:
        sink.write(piece)
    assert there.size("big") is None
    assert [key for key, _ in there.uploads("")] == ["big"]

    sink.commit()

    whole = b"".join(data)
    assert there.size("big") == len(whole)
    with output.opened("big") as stream:
        assert stream.read() == whole
    assert sink.sha256 == hashlib.sha256(whole).hexdigest()
    assert there.uploads("") == []


async def test_what_a_dead_writer_left_is_forgotten(server: Server, tmp_path: Path) -> None:
    server.put("corpus/a.jsonl", lines(0, 1))
    job = job_of(server, tmp_path)
    await split(job, Progress("Splitting"))
    (shard,) = read_shards(job)
    there = bucket(server, "vectors")
    for key in (*data_paths(job, shard), "somebody-elses"):
        there.part(key, there.begin(key), 1, b"x" * 100)
    writer = ShardWriter(job, shard)
    writer.add([vector(row) for row in open_shard(job, shard) if isinstance(row, Row)])
    assert not is_finished(job, shard)
    writer.abandon()
    await work(job)

    await finish(job, Progress("Finishing"))

    assert [key for key, _ in there.uploads("")] == ["somebody-elses"]
    assert record_of(job, shard) is not None


async def test_an_upload_that_is_gone_is_worth_another_try(server: Server, tmp_path: Path) -> None:
    """As when another job ends that takes its writer for dead."""
    output = output_of(job_of(server, tmp_path))
    sink = output.create("big")
    sink.write(bytes(PART))
    assert output.clean(["big"]) == 1

    with pytest.raises(BatchError, match="vectors/big: its upload is gone") as caught:
        sink.commit()

    assert caught.value.exit_code == 1
    assert output.size("big") is None


async def test_an_object_that_was_replaced_ends_the_job(server: Server, tmp_path: Path) -> None:
    server.put("corpus/a.jsonl", lines(0, 9))
    job = job_of(server, tmp_path)
    await split(job, Progress("Splitting"))
    server.put("corpus/a.jsonl", lines(1, 9))

    with pytest.raises(BatchError, match="was changed or replaced") as caught:
        rows_of(job, read_shards(job))
    assert caught.value.exit_code == 3


async def test_the_vectors_of_a_job_are_not_the_next_ones_input(server: Server, tmp_path: Path) -> None:
    server.put("corpus/a.jsonl", lines(0, 1))
    server.put("corpus/vectors/a-00000-1.jsonl", b"x")
    server.put("corpus/vectors/.embedding-job/key/1.json", b"x")

    found = input_of(job_of(server, tmp_path)).listed(["**"])

    assert [file.path for file in found] == ["a.jsonl"]


async def test_keys_that_may_not_write_are_told_before_any_work(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put("corpus/a.jsonl", lines(0, 1))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"{SECRET}-not")

    with pytest.raises(BatchError) as caught:
        await split(job_of(server, tmp_path, prefix="elsewhere"), Progress("Splitting"))

    assert caught.value.reason == "Unauthorized"
    assert "spec.output.secretRef" in caught.value.message
    assert KEY not in caught.value.message
    assert SECRET not in caught.value.message


async def test_keys_that_may_not_look_for_uploads_are_told_of_before_the_end(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job removes what dead writers left when all else is done."""

    def denied(self: Bucket, below: str) -> list[tuple[str, str]]:
        raise BatchError("Unauthorized", "access denied")

    server.put("corpus/a.jsonl", lines(0, 1))
    monkeypatch.setattr(Bucket, "uploads", denied)

    with pytest.raises(BatchError, match="access denied"):
        await split(job_of(server, tmp_path), Progress("Splitting"))
