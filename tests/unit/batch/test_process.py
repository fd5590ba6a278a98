"""The phases as the pods' processes: what they are told, what they leave, and how they end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from embedding_operator.batch.jobspec import JobSpec
from embedding_operator.batch.process import run
from embedding_operator.batch.progress import Progress
from embedding_operator.batch.records import read_shards, record_path
from embedding_operator.batch.work import work

from .given import Volume
from .pods import ended, pod
from .serving import serving
from .working import ROWS, assert_embedded, corpus, given, task


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
    volume.write("a.jsonl", corpus(ROWS, bad=(3, 200)))
    spec = given(volume, maxErrors={"count": 2})
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
    manifest = json.loads((volume.output / told["finish"]["manifest"]).read_text())
    for counts in (told["work"], told["finish"], manifest):  # whoever counts them, rows are those with a vector
        assert (counts["rows"], counts["errors"]) == (ROWS - 2, 2)


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
    log = tmp_path / "log"

    async def never(spec: JobSpec, progress: Progress) -> dict[str, Any]:
        raise AssertionError

    code = run("Embedding", '{"name": "a", "colour": "red"}', never, {"TERMINATION_LOG": str(log)})
    told = json.loads(log.read_text())
    assert (code, told["reason"]) == (3, "InvalidSpec")
    assert "no document of a job that this version knows" in told["message"]
