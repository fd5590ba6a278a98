"""The phase `work` as the pod's process: shards of an index become files, whatever happens on the way."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import embedding_operator
from embedding_operator.batch.errors import BatchError
from embedding_operator.batch.jobspec import JobSpec
from embedding_operator.batch.pace import Yielding
from embedding_operator.batch.progress import Progress
from embedding_operator.batch.records import is_finished, read_shards, record_path, write_shards
from embedding_operator.batch.work import Task, work

from .given import Volume
from .serving import QUICK, Double, serving, until

ROWS = 300


def corpus(rows: int, first: int = 0, bad: tuple[int, ...] = ()) -> bytes:
    lines = [
        b"no JSON" if number in bad else json.dumps({"id": number, "text": f"text number {number}"}).encode()
        for number in range(first, first + rows)
    ]
    return b"".join(line + b"\n" for line in lines)


def given(volume: Volume, *, shard_bytes: int = 2000, **fields: Any) -> JobSpec:
    """A job whose input is cut into shards."""
    spec = volume.job(idField="id", shard_bytes=shard_bytes, output={"dimensions": None}, **fields)
    spec = spec.model_copy(update={"model": spec.model.model_copy(update={"served_name": "tiny"})})
    write_shards(spec, volume.shards(spec))
    return spec


def task(double: Double, **fields: Any) -> Task:
    return Task(**({"index": 0, "indexes": 1, "server": double.url, "patience": QUICK} | fields))


def written(volume: Volume) -> list[dict[str, Any]]:
    """All rows of the output, shard after shard."""
    files = sorted(place for place in volume.output.rglob("*.jsonl") if ".embedding-job" not in place.parts)
    return [json.loads(line) for place in files for line in place.read_text().splitlines()]


def assert_embedded(volume: Volume, double: Double, ids: list[int]) -> None:
    """Each row is there once, in its place, with the vector of its own text."""
    lines = written(volume)
    assert [line["id"] for line in lines] == ids
    for line in lines:
        expected = double.model.embed(double.model.tokenize(f"text number {line['id']}"))
        assert line["vector"] == pytest.approx(expected, abs=1e-6)


async def test_the_indexes_together_embed_everything(volume: Volume, tmp_path: Path) -> None:
    volume.write("a.jsonl", corpus(ROWS))
    volume.write("b.jsonl", corpus(ROWS, first=ROWS))
    spec = given(volume)
    async with serving(tmp_path) as double:
        told = [await work(spec, task(double, index=index, indexes=3), Progress("Embedding")) for index in range(3)]
        assert_embedded(volume, double, list(range(2 * ROWS)))
    assert sum(one["rows"] for one in told) == 2 * ROWS
    assert [one["index"] for one in told] == [0, 1, 2]
    assert all(one["errors"] == 0 and one["tokens"] > one["rows"] for one in told)
    assert all(is_finished(spec, shard) for shard in volume.shards(spec))


async def test_what_is_finished_is_not_done_again(volume: Volume, tmp_path: Path) -> None:
    volume.write("a.jsonl", corpus(ROWS))
    spec = given(volume)
    async with serving(tmp_path) as double:
        first = await work(spec, task(double, index=0, indexes=2), Progress("Embedding"))
        double.requests.clear()
        rest = await work(spec, task(double), Progress("Embedding"))
        asked = [text for request in double.requests for text in request["input"] if "text number" in str(text)]
        assert len(asked) == rest["rows"] == ROWS - first["rows"]
        double.requests.clear()
        assert (await work(spec, task(double), Progress("Embedding")))["shards"] == 0
        assert double.requests == []
        assert_embedded(volume, double, list(range(ROWS)))


@pytest.mark.parametrize("seed", range(4))
async def test_faults_on_the_way_lose_nothing(volume: Volume, tmp_path: Path, seed: int) -> None:
    """Refusals, broken connections, failures, and the server killed and started anew, all in one run."""
    volume.write("a.jsonl", corpus(ROWS, bad=(17, 200)))
    volume.write("b.jsonl", corpus(ROWS, first=ROWS))
    spec = given(volume, maxErrors={"percent": 100}, shard_bytes=500)
    faults = {2: 429, 3: "hangup", 5: 503, 8: 500, 9: "hangup", 12: 502}
    async with serving(tmp_path) as double:
        double.engine.latency = 0.005
        double.fault = lambda number, request: faults.get(number - 4 - seed)
        progress = Progress("Embedding")
        running = asyncio.create_task(work(spec, task(double), progress))
        await until(lambda: progress.rows >= 100, running)
        await double.down()
        await asyncio.sleep(0.05)
        await double.up()
        told = await running
        assert_embedded(volume, double, [number for number in range(2 * ROWS) if number not in (17, 200)])
    assert (told["rows"], told["errors"]) == (2 * ROWS, 2)


async def test_too_many_errors_end_it_early(volume: Volume, tmp_path: Path) -> None:
    volume.write("a.jsonl", corpus(ROWS, bad=(5, 6, 7)))
    spec = given(volume, maxErrors={"count": 2})
    async with serving(tmp_path) as double:
        with pytest.raises(BatchError, match=r"3 rows of this pod's shards cannot be embedded.*InvalidJSON") as caught:
            await work(spec, task(double), Progress("Embedding"))
    assert (caught.value.reason, caught.value.exit_code) == ("TooManyErrors", 3)
    assert not any(volume.output.glob("**/*.tmp*"))


async def test_half_a_shard_leaves_nothing(volume: Volume, tmp_path: Path) -> None:
    volume.write("a.jsonl", corpus(2000))
    spec = given(volume, shard_bytes=1 << 20)
    async with serving(tmp_path) as double:
        progress = Progress("Embedding")
        running = asyncio.create_task(work(spec, task(double), progress))
        await until(lambda: progress.rows > 0, running)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert [place.name for place in volume.output.rglob("*") if place.is_file() and "shards-" not in place.name] == []


async def test_progress_is_of_this_pod(volume: Volume, tmp_path: Path) -> None:
    volume.write("a.jsonl", corpus(ROWS, bad=(3,)))
    spec = given(volume, maxErrors={"count": 1})
    progress = Progress("Embedding")
    async with serving(tmp_path) as double:
        await work(spec, task(double), progress)
    page = progress.snapshot()
    shards = volume.shards(spec)
    assert page["shardsDone"] == page["shards"] == len(shards)
    assert page["bytes"] == page["bytesTotal"] == sum(shard.bytes for shard in shards)
    assert (page["rows"], page["errors"], page["file"]) == (ROWS, 1, "a.jsonl")
    assert page["tokens"] > 0  # type: ignore[operator]


async def test_other_callers_are_given_way(volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others fill the server's queue: the driver goes down to one request at a time, and back when they have left."""
    paces: list[Yielding] = []

    class Watched(Yielding):
        def __init__(self, most: int, typical: int) -> None:
            super().__init__(most, typical)
            paces.append(self)

    monkeypatch.setattr("embedding_operator.batch.work.Yielding", Watched)
    volume.write("a.jsonl", corpus(200_000))
    spec = given(volume, shard_bytes=1 << 30)
    async with serving(tmp_path, max_num_seqs=8) as double:
        double.engine.latency = 0.01
        running = asyncio.create_task(work(spec, task(double, max_in_flight=8), Progress("Embedding")))

        def alone() -> bool:
            return bool(paces) and paces[0].limit >= 2 and paces[0].pause == 0

        async def other() -> None:
            while True:
                await double.engine.run([[1]] * 8)

        await until(alone, running)
        foreign = [asyncio.create_task(other()) for _ in range(40)]
        await until(lambda: paces[0].limit == 1 and paces[0].pause > 0, running)
        for caller in foreign:
            caller.cancel()
        await until(alone, running)
        assert double.most_in_flight <= 8
        running.cancel()
        await asyncio.gather(running, *foreign, return_exceptions=True)


@contextmanager
def pod(
    spec: JobSpec, *words: str, log: Path, phase: str = "work", **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, as in a pod."""
    source = str(Path(embedding_operator.__file__).parent.parent)
    document = spec.model_dump_json(by_alias=True, exclude_none=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "embedding_operator.cli", "batch", phase, "--job", document, *words],
        env={**os.environ, "PYTHONPATH": source, "TERMINATION_LOG": str(log), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


async def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code, and all that it said."""
    out, err = await asyncio.to_thread(process.communicate)
    return process.returncode, out + err


async def test_the_command_tells_what_it_did(volume: Volume, tmp_path: Path) -> None:
    volume.write("a.jsonl", corpus(ROWS))
    spec = given(volume)
    log = tmp_path / "log"
    async with serving(tmp_path) as double:
        words = ("--indexes", "2", "--server", double.url)
        with pod(spec, *words, log=log, JOB_COMPLETION_INDEX="1", EMBEDDINGS_API_KEY="s3cret\n") as process:
            code, said = await ended(process)
    assert code == 0, said
    told = json.loads(log.read_text())
    assert set(told) == {"index", "shards", "rows", "errors", "tokens"}
    assert told["index"] == 1
    assert 0 < told["rows"] < ROWS
    assert "s3cret" not in said


async def test_the_phases_one_after_the_other(volume: Volume, tmp_path: Path) -> None:
    volume.write("a.jsonl", corpus(ROWS))
    spec = given(volume)
    shards = len(read_shards(spec))
    told = {}
    async with serving(tmp_path) as double:
        words = {"split": (), "work": ("--index", "0", "--indexes", "1", "--server", double.url), "finish": ()}
        for phase in words:
            with pod(spec, *words[phase], log=tmp_path / phase, phase=phase) as process:
                code, said = await ended(process)
            assert code == 0, said
            told[phase] = json.loads((tmp_path / phase).read_text())
    assert [told[phase]["shards"] for phase in told] == [shards] * 3
    assert (told["work"]["rows"], told["finish"]["rows"]) == (ROWS, ROWS)
    assert (volume.output / told["finish"]["manifest"]).is_file()


@pytest.mark.parametrize("moment", ["waiting for the server", "embedding"])
async def test_a_stop_loses_nothing(volume: Volume, tmp_path: Path, moment: str) -> None:
    volume.write("a.jsonl", corpus(5000))
    spec = given(volume, shard_bytes=100_000)
    log = tmp_path / "log"
    async with serving(tmp_path) as double:
        double.engine.latency = 0.2
        if moment == "waiting for the server":
            await double.down()
        words = ("--index", "0", "--indexes", "1", "--server", double.url)
        with pod(spec, *words, log=log) as process:
            assert process.stderr is not None
            if moment == "embedding":
                while len(double.requests) < 6:
                    assert process.poll() is None
                    await asyncio.sleep(0.01)
            else:
                line = await asyncio.to_thread(process.stderr.readline)
                assert "waiting for the server" in line
            process.send_signal(signal.SIGTERM)
            code, _ = await ended(process)
        assert code == 1
        assert json.loads(log.read_text())["reason"] == "Unfinished"
        if moment != "embedding":
            await double.up()
        double.engine.latency = 0.0
        await work(spec, task(double), Progress("Embedding"))
        assert_embedded(volume, double, list(range(5000)))


async def test_a_stop_does_not_wait_for_storage_that_hangs(volume: Volume, tmp_path: Path) -> None:
    """As on a server of files that is gone: no read comes back, and no thread can be ended."""
    volume.write("a.jsonl", corpus(10))
    spec = given(volume)
    (shard, *_) = volume.shards(spec)
    place = volume.output / record_path(spec, shard)
    os.mkfifo(place)
    log = tmp_path / "log"
    with pod(spec, "--index", "0", "--indexes", "1", "--server", "http://127.0.0.1:9", log=log) as process:
        writing = await asyncio.to_thread(os.open, place, os.O_WRONLY)  # back as soon as the pod reads
        process.send_signal(signal.SIGTERM)
        code, _ = await ended(process)
        os.close(writing)
    assert (code, json.loads(log.read_text())["reason"]) == (1, "Unfinished")


WRONG_WORDS = {
    "no index": (["--indexes", "2", "--server", "http://x"], "which index is this?"),
    "an index that there is not": (["--index", "2", "--indexes", "2", "--server", "http://x"], "from 0 to 1"),
    "no server": (["--index", "0", "--indexes", "2"], "work takes --indexes and --server"),
}


@pytest.mark.parametrize(("words", "message"), WRONG_WORDS.values(), ids=WRONG_WORDS.keys())
async def test_wrong_words_are_told_of(volume: Volume, tmp_path: Path, words: list[str], message: str) -> None:
    volume.write("a.jsonl", corpus(1))
    with pod(given(volume), *words, log=tmp_path / "log", JOB_COMPLETION_INDEX="") as process:
        code, said = await ended(process)
    assert code == 2
    assert message in said


def test_a_document_of_another_version_is_refused(tmp_path: Path) -> None:
    from embedding_operator.batch.process import run

    log = tmp_path / "log"

    async def never(spec: JobSpec, progress: Progress) -> dict[str, Any]:
        raise AssertionError

    code = run("Embedding", '{"name": "a", "colour": "red"}', never, {"TERMINATION_LOG": str(log)})
    told = json.loads(log.read_text())
    assert (code, told["reason"]) == (3, "BadSpec")
    assert "no document of a job that this version knows" in told["message"]
