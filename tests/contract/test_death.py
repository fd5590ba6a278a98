"""What is in flight when a server dies: clients have to tell that from a bad request and from a broken connection."""

from __future__ import annotations

import asyncio
import os
import signal
from http import HTTPStatus
from pathlib import Path

import msgspec
import pytest

from embedding_operator.batch.persistence import DiedError, Persistent
from embedding_operator.batch.server import Patience, Server
from tests.contract.conftest import Kind
from tests.standins.vllm.process import ServerProcess


def engine(server: ServerProcess) -> int:
    """The process that embeds: vLLM's is a child of the one that listens."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    named = [pid for pid in children if "EngineCor" in Path(f"/proc/{pid}/comm").read_text()]
    return int(named[0]) if named else server.process.pid


async def test_a_dead_engine_is_told_of_and_ends_the_server(kind: Kind) -> None:
    with kind.start("dying", latency=2) as process:
        async with Server(process.url, patience=Patience(losses=1)) as server:
            line = Persistent(server)
            texts = ["one of a great many texts"] * 4000
            body = msgspec.json.encode({"model": "tiny", "input": texts})
            small = msgspec.json.encode({"model": "tiny", "input": "hello"})
            assert (await line.reply("/v1/embeddings", small, "it", once_a_life=True)).status == HTTPStatus.OK
            asking = [
                asyncio.create_task(line.reply("/v1/embeddings", body, "them", once_a_life=True)) for _ in range(3)
            ]
            await asyncio.sleep(0.5)
            assert not any(task.done() for task in asking)
            os.kill(engine(process), signal.SIGKILL)
            for task in asking:
                with pytest.raises(DiedError) as caught:
                    await task
                assert caught.value.sent
                told = str(caught.value)
                assert "EngineCore encountered an issue" in told or "the connection broke" in told
            assert await server.is_down()
            # vLLM ends with status 0 then: only `restartPolicy: Always` brings it back
            await asyncio.to_thread(process.process.wait, 60)
