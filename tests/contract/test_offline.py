"""The driver of offline inference against the double and against vLLM: what it relies on, and the same vectors."""

from __future__ import annotations

import struct

import pytest

from embedding_operator.batch.batches import Estimate
from embedding_operator.batch.embedding import Embedder
from embedding_operator.batch.handshake import meet
from embedding_operator.batch.jobspec import JobSpec
from embedding_operator.batch.pace import Filling
from embedding_operator.batch.persistence import Persistent
from embedding_operator.batch.rows import BadRow, Row, Vector
from embedding_operator.batch.server import Server
from tests.contract.client import Client, dot
from tests.contract.conftest import Kind
from tests.standins.vllm.process import ServerProcess

TEXTS = ["The capital of China is Beijing.", "Grüße, 北京", "a", "word " * 600, "Gravity attracts."]


def job(task: str = "Embed", **fields: object) -> JobSpec:
    return JobSpec.model_validate(
        {
            "name": "job",
            "namespace": "ns",
            "key": "0" * 16,
            "task": task,
            "input": {"root": "/input", "files": ["*"], "format": "JsonLines"},
            "output": {"root": "/output", "format": "Npy", "dtype": "Float16"},
            "model": {"servedName": "tiny"},
        }
        | fields
    )


async def embedded(server: ServerProcess, spec: JobSpec, rows: list[Row]) -> tuple[Embedder, list[Vector | BadRow]]:
    async with Server(server.url) as connection:
        line = Persistent(connection)
        embedder = Embedder(await meet(spec, line), line, Filling(4), Estimate())
        return embedder, (await embedder.embed(rows, 100)).results


async def test_rows_have_the_vectors_of_their_texts_and_a_long_one_is_bad(
    server: ServerProcess, client: Client, kind: Kind
) -> None:
    rows = [Row(number, number, text=text) for number, text in enumerate(TEXTS)]
    embedder, results = await embedded(server, job(), rows)
    assert (embedder.asking.half, embedder.asking.width) == (True, 2 * kind.dimensions)
    assert [isinstance(result, BadRow) for result in results] == [text == TEXTS[3] for text in TEXTS]
    assert results[3].reason == "TooLong"  # type: ignore[union-attr]
    for text, result in zip(TEXTS, results, strict=True):
        if isinstance(result, Vector):
            numbers = list(struct.unpack(f"<{kind.dimensions}e", result.values))
            assert dot(numbers, client.vectors(text)[0]) == pytest.approx(1, abs=1e-3)


async def test_a_long_text_is_cut_where_it_is_asked_for(server: ServerProcess, client: Client, kind: Kind) -> None:
    _, (result,) = await embedded(server, job(truncate=True), [Row(0, 0, text=TEXTS[3])])
    assert isinstance(result, Vector)
    numbers = list(struct.unpack(f"<{kind.dimensions}e", result.values))
    assert dot(numbers, client.vectors(TEXTS[3], truncate_prompt_tokens=-1)[0]) == pytest.approx(1, abs=1e-3)


async def test_pairs_have_their_scores(server: ServerProcess, client: Client) -> None:
    rows = [Row(n, n, query=TEXTS[n], document=TEXTS[4 - n]) for n in (0, 2)]
    rows = [Row(place, row.id, query=row.query, document=row.document) for place, row in enumerate(rows)]
    _, results = await embedded(server, job("Rerank"), rows)
    for row, result in zip(rows, results, strict=True):
        assert isinstance(result, Vector)
        asked = {"model": "tiny", "query": row.query, "documents": [row.document]}
        (ranked,) = client.post("/v1/rerank", asked).json["results"]
        assert struct.unpack("<f", result.values)[0] == pytest.approx(ranked["relevance_score"], abs=1e-4)
