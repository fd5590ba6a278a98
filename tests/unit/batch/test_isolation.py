"""A server of the job's own that dies: rows that kill it are bad rows, and no others are."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from embedding_operator.batch.embedding import Embedder
from embedding_operator.batch.errors import BatchError
from embedding_operator.batch.finish import finish
from embedding_operator.batch.handshake import TEXT
from embedding_operator.batch.isolation import Gate, Isolation
from embedding_operator.batch.progress import Progress
from embedding_operator.batch.rows import BadRow, Row, Vector
from embedding_operator.batch.work import work

from .given import Volume
from .serving import Double, Fault, assert_of, embedding, rows, serving, texts, until
from .working import ROWS, assert_embedded, corpus, given, task

MANY, EACH = 32, 8


def said(request: dict[str, Any]) -> list[str]:
    return list(request["input"])


@asynccontextmanager
async def isolating(double: Double) -> AsyncIterator[tuple[Embedder, Isolation]]:
    """What a pod with a server of its own has."""
    double.engine.latency = 0.01
    async with embedding(double, once_a_life=True) as embedder:
        yield embedder, Isolation(embedder)


async def embedded(isolation: Isolation, asked: Sequence[Row], each: int = EACH) -> list[Vector | BadRow]:
    """In several requests, four at once."""
    slots = asyncio.Semaphore(4)

    async def one(part: Sequence[Row]) -> list[Vector | BadRow]:
        async with slots:
            return (await isolation.embed(part, 100)).results

    async with asyncio.TaskGroup() as group:
        running = [group.create_task(one(asked[at : at + each])) for at in range(0, len(asked), each)]
    return [result for task in running for result in task.result()]


def poisoned(places: Sequence[int]) -> list[Row]:
    return rows([f"poison {text}" if place in places else text for place, text in enumerate(texts(MANY))])


@pytest.mark.parametrize(("places", "status"), [([0], 500), ([31], 400), ([3, 17, 30], 500), ([*range(10, 18)], 500)])
async def test_rows_that_kill_the_server_are_bad_and_all_others_are_embedded(
    tmp_path: Path, places: list[int], status: int
) -> None:
    killed: Counter[str] = Counter()
    beside = 0

    def kills(number: int, request: dict[str, Any]) -> Fault:
        nonlocal beside
        asked = said(request)
        if len(asked) == 1 and double.deaths:
            beside += double.in_flight
        if not any("poison" in text for text in asked):
            return None
        if len(asked) == 1:
            killed[asked[0]] += 1
        return "death"

    async with serving(tmp_path) as double, isolating(double) as (_, isolation):
        double.fault, double.dies_with = kills, status
        asked = poisoned(places)
        results = await embedded(isolation, asked)
        assert_of(double, results, asked, bad=places)
        bad = [result for result in results if isinstance(result, BadRow)]
        assert {row.reason for row in bad} == {"ServerCrashed"}
        assert killed == {asked[place].text: 2 for place in places}  # each start of a server takes minutes
        assert double.deaths <= MANY // EACH + 2 * len(places)
        assert beside == 0  # what was asked for alone was alone


@pytest.mark.parametrize("age", [1, 2, 3, 5, 12])
@pytest.mark.parametrize("of", ["requests", "seconds"])
async def test_a_server_that_dies_at_an_age_makes_no_row_bad(tmp_path: Path, age: int, of: str) -> None:
    """Such as one whose memory is leaking, or that is killed so long after each start of it."""
    began, count = 0.0, 0

    def dies(number: int, request: dict[str, Any]) -> Fault:
        nonlocal began, count
        now = asyncio.get_running_loop().time()
        began, count = began or now, count + 1
        if (count < age) if of == "requests" else (now - began < age / 100):
            return None
        began, count = 0.0, 0
        return "death"

    codes: list[int] = []
    async with serving(tmp_path) as double, isolating(double) as (_, isolation):
        double.fault = dies
        asked = rows(texts(3 * MANY))
        try:
            assert_of(double, await embedded(isolation, asked, each=2), asked)
        except* BatchError as caught:
            codes = [error.exit_code for error in caught.exceptions if isinstance(error, BatchError)]
        assert double.deaths
        assert set(codes) <= {1}


async def test_a_row_that_takes_longer_than_the_server_lives_is_not_bad(tmp_path: Path) -> None:
    """Whatever is in flight then, the server is killed 0.3 s after it has begun to work."""

    async def killing() -> None:
        while True:
            double.requests.clear()
            await until(lambda: bool(double.requests))
            await asyncio.sleep(0.3)
            await double.down()
            await asyncio.sleep(0.2)
            await double.up()

    async with serving(tmp_path) as double, isolating(double) as (_, isolation):
        await isolation.embed(rows(["short"]), 10)
        double.engine.latency_per_token = 0.02
        killer = asyncio.create_task(killing())
        with pytest.raises(BatchError, match=r"the server at .* died 6 times") as caught:
            await isolation.embed(rows(["long " * 30]), 10)
        assert caught.value.exit_code == 1
        killer.cancel()
        await asyncio.gather(killer, return_exceptions=True)
        await double.up()


async def test_a_row_at_which_the_server_was_killed_once_is_asked_for_again(tmp_path: Path) -> None:
    left = 2  # once with others, and once alone

    def unlucky(number: int, request: dict[str, Any]) -> Fault:
        nonlocal left
        if left == 0 or not any("poison" in text for text in said(request)):
            return None
        left -= 1
        return "death"

    async with serving(tmp_path) as double, isolating(double) as (_, isolation):
        double.fault = unlucky
        asked = poisoned([5])
        assert_of(double, await embedded(isolation, asked), asked)
        assert left == 0


async def test_a_server_that_dies_at_whatever_it_is_asked_for_makes_no_row_bad(tmp_path: Path) -> None:
    async with serving(tmp_path) as double, isolating(double) as (_, isolation):
        await isolation.embed(rows(texts(4)), 100)
        double.fault = lambda number, request: "death"
        with pytest.raises(BatchError, match="died 6 times at text that it had embedded before") as caught:
            await isolation.embed(rows(texts(4)), 100)
        assert (caught.value.reason, caught.value.exit_code) == ("Unavailable", 1)


async def test_a_server_that_dies_at_all_rows_alike_is_told_from_bad_rows(tmp_path: Path) -> None:
    """On its device nothing works but the driver's short text, say: another pod may have another."""
    async with serving(tmp_path) as double, isolating(double) as (_, isolation):
        double.fault = lambda number, request: None if said(request) == [TEXT] else "death"
        with pytest.raises(BatchError, match="died 2 times at each of 4 rows, and embedded none") as caught:
            await isolation.embed(rows(texts(EACH)), 100)
        assert (caught.value.reason, caught.value.exit_code) == ("Unavailable", 1)


async def test_an_image_that_kills_the_server_is_a_bad_row(tmp_path: Path) -> None:
    async with serving(tmp_path) as double, isolating(double) as (_, isolation):
        double.fault = lambda number, request: "death" if "POISON" in json.dumps(request) else None
        urls = ["data:image/png;base64,AAAA", "data:image/png;base64,POISON==", "data:image/png;base64,BBBB"]
        asked = [Row(number, number, text="an image", image=url) for number, url in enumerate(urls)]
        results = await embedded(isolation, asked, each=1)
        assert [result.reason if isinstance(result, BadRow) else None for result in results] == [
            None,
            "ServerCrashed",
            None,
        ]


async def test_a_connection_that_breaks_is_no_death(tmp_path: Path) -> None:
    async with serving(tmp_path) as double, isolating(double) as (_, isolation):
        double.fault = lambda number, request: "hangup" if number <= 3 else None
        asked = rows(texts(4))
        assert_of(double, (await isolation.embed(asked, 100)).results, asked)
        assert [len(said(request)) for request in double.requests] == [4] * 4


async def test_the_row_is_named_in_the_jobs_errors_and_counted(volume: Volume, tmp_path: Path) -> None:
    volume.write("a.jsonl", corpus(ROWS, bad=(7,)))
    spec = given(volume, maxErrors={"count": 2})
    async with serving(tmp_path) as double:
        double.fault = lambda number, request: "death" if "text number 123" in said(request) else None
        told = await work(spec, task(double), Progress("Embedding"))
        assert_embedded(volume, double, [number for number in range(ROWS) if number not in (7, 123)])
    assert (told["rows"], told["errors"]) == (ROWS - 2, 2)
    await finish(spec, Progress("Finishing"))
    errors = [json.loads(line) for line in (volume.output / "errors.jsonl").read_text().splitlines()]
    assert [(error["row"], error["reason"]) for error in errors] == [(8, "InvalidJSON"), (124, "ServerCrashed")]
    assert errors[1]["id"] == 123
    assert "the server dies when it is asked for nothing but this row, and embeds others" in errors[1]["message"]


async def test_more_of_them_than_max_errors_end_the_job_with_the_rows_name(volume: Volume, tmp_path: Path) -> None:
    volume.write("a.jsonl", corpus(ROWS))
    spec = given(volume)
    async with serving(tmp_path) as double:
        double.fault = lambda number, request: "death" if "text number 3" in said(request) else None
        with pytest.raises(
            BatchError, match=r"the last is row 3 of shard .* of a\.jsonl: ServerCrashed: the server dies"
        ):
            await work(spec, task(double), Progress("Embedding"))


@pytest.mark.parametrize("status", [500, 400])
async def test_no_row_is_blamed_for_the_death_of_a_service_that_others_call(
    volume: Volume, tmp_path: Path, status: int
) -> None:
    """Theirs may have been what killed it: the pod ends, as often as backoffLimitPerIndex lets it."""
    volume.write("a.jsonl", corpus(ROWS))
    spec = given(volume, maxErrors={"percent": 100})
    async with serving(tmp_path) as double:
        double.dies_with = status
        double.fault = lambda number, request: "death" if "text number 3" in said(request) else None
        with pytest.raises(BatchError, match=r"broke 6 times at rows 0 to 31 of the shard .it answered") as caught:
            await work(spec, task(double, max_in_flight=4), Progress("Embedding"))
        assert (caught.value.reason, caught.value.exit_code) == ("Unavailable", 1)
        assert caught.value.message.endswith("; it was asked for part 0 of a.jsonl")
        assert double.deaths == 6


@pytest.mark.parametrize("seed", range(4))
async def test_who_is_alone_is_alone_and_everybody_gets_in(seed: int) -> None:
    choose = random.Random(seed)
    gate, inside = Gate(), Counter[str]()

    async def one(how: str) -> None:
        for _ in range(20):
            await asyncio.sleep(choose.random() / 1000)
            async with gate.alone() if how == "alone" else gate.together():
                inside[how] += 1
                assert inside["alone"] <= 1
                assert not (inside["alone"] and inside["together"])
                try:
                    await asyncio.sleep(choose.random() / 1000)
                finally:
                    inside[how] -= 1
            inside["passed"] += 1

    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(one(choose.choice(["alone", "together", "together"]))) for _ in range(10)]
        await asyncio.sleep(0.005)
        waiting[3].cancel()  # whoever goes away keeps nobody out
    assert inside["passed"] >= 9 * 20
