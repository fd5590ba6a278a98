"""Rows against a server with faults: none is lost, doubled or moved, and a bad one is found in few requests."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from embedding_operator.batch.errors import BatchError
from embedding_operator.batch.persistence import Persistent
from embedding_operator.batch.rows import BadRow, Row, Vector
from embedding_operator.batch.server import Server

from .serving import QUICK, assert_of, embedding, job, rows, serving, texts, until

MANY = 32
LONG = "word " * 200


def said(request: dict[str, Any]) -> list[str]:
    return list(request.get("input", []))


@pytest.mark.parametrize("place", range(MANY))
async def test_a_bad_row_is_found_wherever_it_is(tmp_path: Path, place: int) -> None:
    async with serving(tmp_path) as double, embedding(double) as embedder:
        asked = rows([LONG if number == place else text for number, text in enumerate(texts(MANY))])
        got = await embedder.embed(asked, 1000)
        assert_of(double, got.results, asked, bad=[place])
        (bad,) = (result for result in got.results if isinstance(result, BadRow))
        assert (bad.id, bad.reason) == (f"id-{place}", "TooLong")
        assert "maximum context length is 128 tokens, the input has 202" in bad.message
        # the one that is refused, and one for each time that the rows are halved; what is behind the bad row is asked
        # for once, as it would have been without it
        behind = 1 if place < MANY - 1 else 0
        assert len(double.requests) <= 1 + math.log2(MANY) + behind


@pytest.mark.parametrize("bad", [[0, 1], [0, 31], [3, 17, 18], [30, 31], [7, 8, 9, 10]])
async def test_several_bad_rows_are_found(tmp_path: Path, bad: list[int]) -> None:
    async with serving(tmp_path) as double, embedding(double) as embedder:
        asked = rows([LONG if number in bad else text for number, text in enumerate(texts(MANY))])
        got = await embedder.embed(asked, 1000)
        assert_of(double, got.results, asked, bad=bad)
        assert len(double.requests) <= 1 + len(bad) * (math.log2(MANY) + 1)


async def test_each_bad_row_has_its_own_words(tmp_path: Path) -> None:
    async with serving(tmp_path) as double, embedding(double) as embedder:
        asked = rows(["word " * 200, "word " * 300, "fine"])
        got = await embedder.embed(asked, 1000)
        told = [result.message for result in got.results if isinstance(result, BadRow)]
        assert [message.rpartition(" ")[2] for message in told] == ["202", "302"]


@pytest.mark.parametrize("status", [429, 503, 500, 502, 408, "hangup"])
async def test_what_passes_is_tried_again(tmp_path: Path, status: int | str) -> None:
    async with serving(tmp_path) as double, embedding(double) as embedder:
        double.fault = lambda number, request: status if number <= 3 else None
        asked = rows(texts(8))
        got = await embedder.embed(asked, 100)
        assert_of(double, got.results, asked)
        assert len(double.requests) == 4


async def test_a_server_that_has_too_much_to_do_gets_less(tmp_path: Path) -> None:
    async with serving(tmp_path) as double, embedding(double) as embedder:
        before = embedder.pace.limit
        double.fault = lambda number, request: 429 if number == 1 else None
        await embedder.embed(rows(texts(2)), 100)
        assert embedder.pace.limit == before / 2


async def test_a_server_that_restarts_is_waited_for(tmp_path: Path) -> None:
    async with serving(tmp_path) as double, embedding(double) as embedder:
        asked = rows(texts(8))
        await double.down()
        waiting = [asyncio.create_task(embedder.embed(asked[start : start + 2], 100)) for start in range(0, 8, 2)]
        await asyncio.sleep(0.1)
        assert not any(task.done() for task in waiting)
        await double.up()
        results = [result for task in waiting for result in (await task).results]
        assert_of(double, results, asked)


async def test_a_server_that_is_killed_in_the_middle_loses_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as double, embedding(double) as embedder:
        double.engine.latency = 0.05
        asked = rows(texts(8))
        waiting = asyncio.create_task(embedder.embed(asked, 100))
        await until(lambda: double.in_flight > 0)
        await double.down()
        await double.up()
        assert_of(double, (await waiting).results, asked)


async def test_a_server_that_stays_away_ends_the_pod_and_another_may_try(tmp_path: Path) -> None:
    patience = replace(QUICK, silence=0.1)
    async with serving(tmp_path) as double, embedding(double, patience=patience) as embedder:
        await double.down()
        with pytest.raises(BatchError, match=r"has not embedded anything for 0\.1 s .cannot connect") as caught:
            await embedder.embed(rows(texts(1)), 10)
        assert (caught.value.reason, caught.value.exit_code) == ("Unavailable", 1)
        await double.up()


async def test_rows_that_break_the_server_every_time_end_the_pod(tmp_path: Path) -> None:
    async with serving(tmp_path) as double, embedding(double) as embedder:
        double.fault = lambda number, request: "hangup"
        with pytest.raises(BatchError, match="broke 6 times at rows 0 to 3 of the shard") as caught:
            await embedder.embed(rows(texts(4)), 10)
        assert caught.value.exit_code == 1


async def test_a_row_at_which_the_server_always_fails_is_bad(tmp_path: Path) -> None:
    async with serving(tmp_path) as double, embedding(double) as embedder:
        asked = rows([*texts(3), "poison", *texts(3)])
        double.fault = lambda number, request: 500 if "poison" in said(request) else None
        got = await embedder.embed(asked, 100)
        assert_of(double, got.results, asked, bad=[3])
        bad = got.results[3]
        assert isinstance(bad, BadRow)
        assert (bad.reason, bad.message) == ("ServerError", "the server failed 5 times: a fault of 500")


@pytest.mark.parametrize("status", [413, 500])
async def test_rows_that_are_too_much_together_are_asked_for_apart(tmp_path: Path, status: int) -> None:
    """A proxy that takes no such body, or a server without the memory for it: no row is bad."""
    async with serving(tmp_path) as double, embedding(double) as embedder:
        double.fault = lambda number, request: status if len(said(request)) > 3 else None
        asked = rows(texts(MANY))
        got = await embedder.embed(asked, 1000)
        assert_of(double, got.results, asked)


async def test_a_server_that_fails_at_everything_makes_no_row_bad(tmp_path: Path) -> None:
    patience = replace(QUICK, silence=0.3)
    async with serving(tmp_path) as double, embedding(double, patience=patience) as embedder:
        double.fault = lambda number, request: 500
        with pytest.raises(BatchError, match="has not embedded anything") as caught:
            await embedder.embed(rows(texts(4)), 100)
        assert caught.value.exit_code == 1


async def test_a_key_that_is_taken_no_more_is_read_anew_by_the_next_pod(tmp_path: Path) -> None:
    async with serving(tmp_path) as double, embedding(double) as embedder:
        double.fault = lambda number, request: 401
        with pytest.raises(BatchError, match=r"takes the API key no more .401.") as caught:
            await embedder.embed(rows(texts(1)), 10)
        assert caught.value.exit_code == 1


async def test_another_model_at_the_address_ends_the_job(tmp_path: Path) -> None:
    async with serving(tmp_path) as double, embedding(double) as embedder:
        double.api.names = ["other"]
        with pytest.raises(BatchError, match="The model `tiny` does not exist") as caught:
            await embedder.embed(rows(texts(1)), 10)
        assert (caught.value.reason, caught.value.exit_code) == ("Refused", 3)


async def test_vectors_of_another_size_end_the_job(tmp_path: Path) -> None:
    async with serving(tmp_path) as double, embedding(double) as embedder:
        double.model.hidden_size = 8
        with pytest.raises(BatchError, match="a vector has 32 bytes, others of this job 64") as caught:
            await embedder.embed(rows(texts(1)), 10)
        assert (caught.value.reason, caught.value.exit_code) == ("Refused", 3)


async def test_half_a_surrogate_pair_is_no_text(tmp_path: Path) -> None:
    async with serving(tmp_path) as double, embedding(double) as embedder:
        asked = rows(["fine", "\ud800", "fine too"])
        got = await embedder.embed(asked, 100)
        assert_of(double, got.results, asked, bad=[1])
        assert got.results[1].reason == "InvalidText"  # type: ignore[union-attr]


async def test_pairs_are_scored_in_their_order(tmp_path: Path) -> None:
    pairs = [Row(n, n, query=f"query {n // 3}", document=f"document {n}") for n in range(9)]
    async with serving(tmp_path) as double, embedding(double, job("Rerank")) as embedder:
        got = await embedder.embed(pairs, 100)
        assert len(double.requests) == 1
        scores = [memoryview(result.values).cast("f")[0] for result in got.results if isinstance(result, Vector)]
        expected = [double.model.score(row.query or "", row.document or "") for row in pairs]
        assert scores == pytest.approx(expected, abs=1e-6)


async def test_an_image_is_a_conversation_of_its_own(tmp_path: Path) -> None:
    async with serving(tmp_path) as double, embedding(double, job(instruction="Describe.")) as embedder:
        row = Row(0, 0, text="a cat", image="data:image/png;base64,AAAA")
        got = await embedder.embed([row], 100)
        assert isinstance(got.results[0], Vector)
        (request,) = double.requests
        assert request["messages"] == [
            {"role": "system", "content": [{"type": "text", "text": "Describe."}]},
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                    {"type": "text", "text": "a cat"},
                ],
            },
        ]
        assert request["add_generation_prompt"] is True


async def test_a_key_is_told_to_the_server_alone(tmp_path: Path) -> None:
    async with serving(tmp_path) as double, Server(double.url, key="s3cret", patience=QUICK) as server:
        assert "s3cret" not in repr(server)
        double.fault = lambda number, request: 401
        with pytest.raises(BatchError, match="takes another API key than the one in EMBEDDINGS_API_KEY") as caught:
            await Persistent(server).reply("/v1/embeddings", b"{}", "it")
        assert "s3cret" not in caught.value.message
        assert (caught.value.reason, caught.value.exit_code) == ("Unauthorized", 3)
