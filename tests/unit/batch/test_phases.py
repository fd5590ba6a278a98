"""What split and finish make of an input and an output, and what they tell."""

import json
from pathlib import Path
from typing import Any

import pytest

from embedding_operator.batch.cutting import cut
from embedding_operator.batch.errors import BatchError
from embedding_operator.batch.finish import finish, is_too_many
from embedding_operator.batch.jobspec import MaxErrors
from embedding_operator.batch.places import input_of
from embedding_operator.batch.progress import Progress
from embedding_operator.batch.records import data_paths, read_shards
from embedding_operator.batch.split import split

from .given import KEY, Volume
from .phases import lines, whole


def data(volume: Volume) -> dict[str, bytes]:
    """All files that are of any use to people."""
    return {
        str(place.relative_to(volume.output)): place.read_bytes()
        for place in volume.output.rglob("*")
        if place.is_file() and not str(place.relative_to(volume.output)).startswith(".")
    }


async def test_split_tells_how_much_there_is(volume: Volume) -> None:
    volume.write("a.jsonl", lines(*"abcdefgh"))
    volume.write("b.jsonl", lines("x"))
    volume.write("empty.jsonl", b"")
    job = volume.job(idField="id", shard_bytes=80)
    counted = Progress("Splitting")

    told = await split(job, counted)

    size = sum(place.stat().st_size for place in volume.input.iterdir())
    assert told == {"shards": 4, "finished": 0, "files": 3, "bytes": size, "rows": None}
    assert (counted.bytes, counted.bytes_total, counted.shards) == (size, size, 4)
    assert [shard.file for shard in read_shards(job)] == ["a.jsonl"] * 3 + ["b.jsonl"]
    assert data(volume) == {}


async def test_rows_are_told_where_they_were_counted(volume: Volume) -> None:
    volume.write("a.txt", b"one\ntwo\n\nfour")
    progress = Progress("Splitting")

    told = await split(volume.job(format="Text", shard_bytes=3), progress)

    assert (told["shards"], told["rows"]) == (5, 4)
    assert (progress.bytes, progress.bytes_total) == (13, 13)


def test_counting_a_file_is_told_piece_by_piece(volume: Volume) -> None:
    volume.write("a.txt", b"one\ntwo\n\nfour")
    job = volume.job(format="Text", shard_bytes=5)
    (file,) = input_of(job).listed(["*"])
    pieces: list[int] = []

    cut(job, file, pieces.append)

    assert pieces == [5, 5, 3]


async def test_a_second_job_finds_what_is_finished_and_embeds_only_what_is_new(volume: Volume) -> None:
    volume.write("a.jsonl", lines(*"abcdefgh"))
    await whole(volume.job(idField="id", shard_bytes=80))
    before = data(volume)
    volume.write("b.jsonl", lines("x", start=100))
    second = volume.job(idField="id", shard_bytes=80, name="second")

    assert (await split(second, Progress("Splitting")))["finished"] == 3
    told = await whole(second)

    assert (told["shards"], told["reused"], told["rows"], told["tokens"]) == (4, 3, 9, 28)
    after = data(volume)
    assert {path: after[path] for path in before if path != "manifest.json"} == {
        path: content for path, content in before.items() if path != "manifest.json"
    }


async def test_a_job_with_another_key_reuses_nothing(volume: Volume) -> None:
    volume.write("a.jsonl", lines("a"))
    await whole(volume.job(idField="id"))

    told = await split(volume.job(idField="id", key="f" * 16), Progress("Splitting"))

    assert told["finished"] == 0


async def test_the_manifest_names_everything_that_was_made(volume: Volume) -> None:
    volume.write("wiki/a.jsonl", lines(*"abcdefgh"))
    volume.write("wiki/b.jsonl", lines("x", " "))
    job = volume.job(
        idField="id", files=["wiki/*.jsonl"], shard_bytes=80, maxErrors={"count": 1}, runtime={"image": "vllm:1"}
    )

    told = await whole(job)

    manifest = json.loads((volume.output / "manifest.json").read_text())
    assert told == {
        "shards": 4,
        "reused": 0,
        "rows": 9,
        "errors": 1,
        "tokens": 28,
        "bytes": told["bytes"],
        "manifest": "manifest.json",
        "errorsFile": "errors.jsonl",
    }
    assert manifest["job"] == {"namespace": "ns", "name": "job", "key": KEY}
    assert manifest["model"] == {"servedName": "m", "digest": "sha256:1", "space": "space-1"}
    assert manifest["runtime"] == {"image": "vllm:1"}
    assert manifest["output"] == {"format": "JsonLines", "dtype": "Float32", "dimensions": 4}
    assert (manifest["rows"], manifest["errors"], manifest["tokens"], manifest["shards"]) == (9, 1, 28, 4)
    assert [file["path"] for file in manifest["files"]] == ["wiki/a.jsonl", "wiki/b.jsonl"]
    assert [file["rows"] for file in manifest["files"]] == [8, 1]
    first = manifest["files"][0]
    assert (first["size"], first["version"]) == (
        (volume.input / "wiki/a.jsonl").stat().st_size,
        str((volume.input / "wiki/a.jsonl").stat().st_mtime_ns),
    )
    outputs = [output for file in manifest["files"] for output in file["outputs"]]
    assert {output["path"] for output in outputs} | {"manifest.json", "errors.jsonl"} == set(data(volume))
    assert [row["id"] for file in manifest["files"] for row in rows_of(volume, file["outputs"])] == [*range(8), 0]
    for output in outputs:
        import hashlib

        content = (volume.output / output["path"]).read_bytes()
        assert (output["bytes"], output["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    hidden = list(volume.output.rglob("*.errors.jsonl"))
    assert told["bytes"] == sum(map(len, data(volume).values())) + sum(place.stat().st_size for place in hidden)


def rows_of(volume: Volume, outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        json.loads(line) for output in outputs for line in (volume.output / output["path"]).read_text().splitlines()
    ]


async def test_errors_are_told_with_the_rows_of_the_file(volume: Volume) -> None:
    content = b"".join(b"bad\n" if n % 5 == 3 else b'{"id": %d, "text": "x"}\n' % n for n in range(20))
    volume.write("a.jsonl", content)
    volume.write("b.jsonl", b"bad\n")
    job = volume.job(idField="id", shard_bytes=50, maxErrors={"percent": 30})

    await whole(job)

    told = [json.loads(line) for line in (volume.output / "errors.jsonl").read_text().splitlines()]
    assert [(one["file"], one["row"]) for one in told] == [("a.jsonl", n) for n in (4, 9, 14, 19)] + [("b.jsonl", 1)]
    assert all(content.splitlines()[one["row"] - 1] == b"bad" for one in told[:-1])
    assert told[0]["reason"] == "InvalidJSON"


async def test_too_many_errors_fail_the_job_and_its_files_stay(volume: Volume) -> None:
    volume.write("a.jsonl", lines("a", " ", "b", ""))
    job = volume.job(idField="id", maxErrors={"count": 1})

    with pytest.raises(BatchError) as caught:
        await whole(job)

    assert (caught.value.reason, caught.value.exit_code) == ("TooManyErrors", 3)
    assert caught.value.message == (
        "2 of 4 rows could not be embedded (EmptyText 2), and spec.maxErrors is 1; the first is row 2 of a.jsonl: "
        "'text' is empty; all are in errors.jsonl of the output: mend them, or allow more"
    )
    assert set(data(volume)) == {"errors.jsonl", data_paths(job, read_shards(job)[0])[0]}


@pytest.mark.parametrize(
    ("most", "errors", "total", "is_so"),
    [
        ({"count": 0}, 0, 10, False),
        ({"count": 0}, 1, 10, True),
        ({"count": 5}, 5, 10, False),
        ({"percent": 0.1}, 1, 1000, False),
        ({"percent": 0.1}, 2, 1000, True),
        ({"percent": 0}, 1, 1000, True),
        ({"percent": 100}, 10, 10, False),
        ({}, 1, 10, True),
    ],
)
def test_how_many_errors_are_too_many(most: dict[str, Any], errors: int, total: int, is_so: bool) -> None:
    assert is_too_many(MaxErrors.model_validate(most), errors, total) is is_so


async def test_errors_of_an_earlier_job_are_not_left_where_there_are_none(volume: Volume) -> None:
    place = volume.write("a.jsonl", lines("a", " "))
    await whole(volume.job(idField="id", maxErrors={"count": 1}))
    place.write_bytes(lines("a", "b"))

    told = await whole(volume.job(idField="id"))

    assert told["errorsFile"] is None
    assert (volume.output / "errors.jsonl").read_bytes() == b""


async def test_a_shard_that_is_missing_is_worth_another_try(volume: Volume) -> None:
    volume.write("a.jsonl", lines(*"abcdefgh"))
    job = volume.job(idField="id", shard_bytes=80)
    await whole(job)
    (volume.output / data_paths(job, read_shards(job)[1])[0]).unlink()
    (volume.output / "manifest.json").unlink()

    with pytest.raises(BatchError, match=r"1 of 3 shards are not finished.*part 1 of a\.jsonl") as caught:
        await finish(job, Progress("Finishing"))
    assert caught.value.exit_code == 1
    assert not (volume.output / "manifest.json").exists()


async def test_vectors_of_two_lengths_are_refused(volume: Volume) -> None:
    from embedding_operator.batch.reading import open_shard
    from embedding_operator.batch.rows import Row
    from embedding_operator.batch.writing import ShardWriter

    from .given import vector

    volume.write("a.jsonl", lines("a"))
    volume.write("b.jsonl", lines("a"))
    job = volume.job(idField="id", output={"dimensions": None})
    await split(job, Progress("Splitting"))
    for length, shard in enumerate(read_shards(job), 3):
        writer = ShardWriter(job, shard)
        writer.add([vector(row, *range(length)) for row in open_shard(job, shard) if isinstance(row, Row)])
        writer.commit(1)

    with pytest.raises(BatchError, match=r"several lengths: 3 \(a\.jsonl, part 0\), 4 \(b\.jsonl, part 0\)"):
        await finish(job, Progress("Finishing"))


async def test_what_dead_writers_left_is_removed_and_nothing_else(volume: Volume) -> None:
    volume.write("wiki/a.jsonl", lines("a"))
    job = volume.job(idField="id")
    await split(job, Progress("Splitting"))
    (shard,) = read_shards(job)
    (path,) = data_paths(job, shard)
    stays = [".mine", "wiki/.mine.tmp-x", f"wiki/{Path(path).name}.tmp-x", f"wiki/.{Path(path).name}"]
    goes = [f"wiki/.{Path(path).name}.tmp-pod-1", f".embedding-job/{KEY}/.{shard.id}.json.tmp-pod-1"]
    goes += [f".embedding-job/{KEY}/.{shard.id}.errors.jsonl.tmp-p", ".manifest.json.tmp-p", ".errors.jsonl.tmp-p"]
    for name in stays + goes:
        (volume.output / name).parent.mkdir(exist_ok=True)
        (volume.output / name).write_text("x")

    await whole(job)

    assert [name for name in stays if not (volume.output / name).exists()] == []
    assert [name for name in goes if (volume.output / name).exists()] == []


async def test_finish_before_split_is_worth_another_try(volume: Volume) -> None:
    with pytest.raises(BatchError, match="the input is split first") as caught:
        await finish(volume.job(), Progress("Splitting"))
    assert caught.value.exit_code == 1
