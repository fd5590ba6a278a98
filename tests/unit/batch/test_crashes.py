"""A server process that really dies of a row, each time, with drivers that are killed while they look for that row."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest

from embedding_operator.batch.finish import finish
from embedding_operator.batch.progress import Progress
from embedding_operator.batch.records import is_finished
from tests.standins.vllm.model import Model
from tests.standins.vllm.process import ServerProcess, write_model

from .given import Volume
from .pods import ended, kept, pod
from .serving import SIZE
from .working import assert_vectors, corpus, given

ROWS, POISON, BAD = 60, 5, 40
QUICK = {"VLLM_DOUBLE_START_SECONDS": "0.3", "VLLM_DOUBLE_LATENCY_MS": "5"}


@pytest.mark.parametrize(
    "killed_at", [2, *(pytest.param(at, marks=pytest.mark.long) for at in (1, 3))], ids=lambda at: f"death {at}"
)
async def test_a_row_that_kills_its_server_costs_that_row_alone(volume: Volume, tmp_path: Path, killed_at: int) -> None:
    volume.write("a.jsonl", corpus(ROWS, bad=(BAD,)))
    spec = given(volume, maxErrors={"count": 2}, shard_bytes=1000)
    path = write_model(tmp_path / "model", hidden_size=SIZE, vocab_size=1 << 60, max_position_embeddings=128)
    poison = {"VLLM_DOUBLE_DIES_AT": f'"text number {POISON}"'}
    server = ServerProcess(tmp_path / "server", path, ["tiny"], environment=QUICK | poison)
    words = ("--index", "0", "--indexes", "1", "--server", server.url)
    with kept(server) as codes:
        with pod(spec, *words, log=tmp_path / "first") as driver:
            while len(codes) < killed_at and driver.poll() is None:  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.01)
            driver.kill()
        assert len(codes) == killed_at
        assert killed_at == 3 or not all(is_finished(spec, shard) for shard in volume.shards(spec))
        with pod(spec, *words, log=tmp_path / "second") as driver:
            code, said = await ended(driver)
        assert code == 0, said
        assert set(codes) == {128 + signal.SIGSEGV}
    assert_vectors(volume, Model.load(str(path), None, {}), [row for row in range(ROWS) if row not in (BAD, POISON)])
    told = await finish(spec, Progress("Finishing"))
    assert (told["rows"], told["errors"]) == (ROWS - 2, 2)
    errors = [json.loads(line) for line in (volume.output / "errors.jsonl").read_text().splitlines()]
    assert [error["row"] - 1 for error in errors] == [POISON, BAD]
    assert [error["reason"] for error in errors] == ["ServerCrashed", "InvalidJSON"]
    assert not list(volume.output.rglob(".*.tmp-*"))
