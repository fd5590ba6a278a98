"""The phase `work`: shards of an index become files, whatever happens on the way."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest

from embedding_operator.batch.errors import BatchError
from embedding_operator.batch.finish import finish
from embedding_operator.batch.handshake import TEXT
from embedding_operator.batch.pace import Yielding
from embedding_operator.batch.progress import Progress
from embedding_operator.batch.records import is_finished
from embedding_operator.batch.work import work
from tests.standins.vllm.model import Model

from .given import Volume
from .serving import serving, until
from .working import ROWS, assert_embedded, corpus, given, task


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


async def test_vectors_of_another_space_end_the_job_and_are_written_nowhere(volume: Volume, tmp_path: Path) -> None:
    """A service that begins to serve other weights in the middle of it."""
    volume.write("a.jsonl", corpus(ROWS))
    spec = given(volume, shard_bytes=500)
    async with serving(tmp_path) as double:

        def rolled(number: int, _: object) -> None:
            double.space = "space-2" if number > 20 else "space-1"

        double.fault = rolled
        with pytest.raises(BatchError, match=r"are of space space-1, and a server of .* of space-2:") as caught:
            await work(spec, task(double), Progress("Embedding"))
        assert (caught.value.reason, caught.value.exit_code) == ("ModelChanged", 3)
        finished = [shard for shard in volume.shards(spec) if is_finished(spec, shard)]
        assert 0 < len(finished) < len(volume.shards(spec))
        double.fault = lambda *_: None
        double.space = None  # an older server, or one whose vectors are not recorded yet
        await work(spec, task(double), Progress("Embedding"))
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
    assert (told["rows"], told["errors"]) == (2 * ROWS - 2, 2)


async def test_too_many_errors_end_it_early(volume: Volume, tmp_path: Path) -> None:
    volume.write("a.jsonl", corpus(ROWS, bad=(5, 6, 7)))
    spec = given(volume, maxErrors={"count": 2})
    async with serving(tmp_path) as double:
        with pytest.raises(BatchError, match=r"3 rows of this pod's shards cannot be embedded.*InvalidJSON") as caught:
            await work(spec, task(double), Progress("Embedding"))
    assert (caught.value.reason, caught.value.exit_code) == ("TooManyErrors", 3)
    assert not any(volume.output.glob("**/*.tmp*"))


async def test_vectors_that_are_not_finite_are_bad_rows_for_the_job_too(
    volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume.write("a.jsonl", corpus(ROWS))
    spec = given(volume, maxErrors={"count": 2})
    embed = Model.embed

    def overflowing(model: Model, tokens: list[int], dimensions: int | None = None) -> list[float]:
        vector = embed(model, tokens, dimensions)
        return vector if tokens in fine else [math.nan, *vector[1:]]

    async with serving(tmp_path) as double:
        fine = [double.model.tokenize(text) for text in (TEXT, *(f"text number {number}" for number in range(5)))]
        monkeypatch.setattr(Model, "embed", overflowing)
        with pytest.raises(BatchError, match=r"rows of this pod's shards cannot be embedded.*NotFinite") as caught:
            await work(spec, task(double), Progress("Embedding"))
    assert caught.value.reason == "TooManyErrors"


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
    assert (page["rows"], page["errors"], page["file"]) == (ROWS - 1, 1, "a.jsonl")
    assert progress.line().startswith(f"embedding: {ROWS - 1} rows and 1 bad, ")
    at_the_end = Progress("Finishing")
    await finish(spec, at_the_end)
    assert (at_the_end.rows, at_the_end.errors) == (ROWS - 1, 1)
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
