"""A connection is closed once it has lasted for long enough, whoever keeps it, and nothing is remembered for ever."""

import asyncio
import http.client
from typing import Any

import pytest

from embedding_operator.podscripts.age import JITTER, MOST, Ages
from embedding_operator.podscripts.closing import AGE, IDLE, Closing
from tests.unit.podscripts.conftest import Clock, Flag, Serve, json_app

ONE, OTHER = ("10.0.0.1", 40000), ("10.0.0.1", 40001)
LONGEST = 60 * (1 + JITTER)
SHORTEST = 60 * (1 - JITTER)


@pytest.fixture
def ages(clock: Clock) -> Ages:
    return Ages(60, 90, clock)


def test_a_connection_is_due_when_it_has_lasted_and_not_before(ages: Ages, clock: Clock) -> None:
    assert not ages.is_due(ONE)
    clock.now += SHORTEST - 1
    assert not ages.is_due(ONE)
    clock.now += LONGEST
    assert ages.is_due(ONE)


def test_the_next_connection_from_the_same_address_has_its_own_time(ages: Ages, clock: Clock) -> None:
    ages.is_due(ONE)
    clock.now += LONGEST
    assert [ages.is_due(ONE), ages.is_due(ONE)] == [True, False]


def test_connections_are_told_apart(ages: Ages, clock: Clock) -> None:
    ages.is_due(ONE)
    clock.now += LONGEST
    assert [ages.is_due(OTHER), ages.is_due(ONE)] == [False, True]


def test_connections_that_came_together_are_not_all_due_together(clock: Clock) -> None:
    ages = Ages(60, 90, clock)
    clients = [("10.0.0.1", port) for port in range(1, 101)]
    for client in clients:
        ages.is_due(client)
    clock.now += 60
    assert 0 < sum(map(ages.is_due, clients)) < 100


def test_an_address_that_was_not_seen_for_the_keep_alive_time_is_forgotten(ages: Ages, clock: Clock) -> None:
    ages.is_due(ONE)
    clock.now += 50
    ages.is_due(OTHER)
    clock.now += 50
    assert not ages.is_due(("10.0.0.2", 1))
    assert ONE not in ages.seen
    assert OTHER in ages.seen


def test_however_many_clients_come_the_table_stays_small(ages: Ages) -> None:
    for port in range(MOST + 10):
        ages.is_due(("10.0.0.1", port))
    assert len(ages.seen) == MOST
    assert ("10.0.0.1", MOST + 9) in ages.seen


async def until_closed(port: int, requests: int) -> int:
    """How many of the requests one connection served: all of them, or those up to `connection: close`."""

    def ask() -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        for count in range(1, requests + 1):
            connection.request("GET", "/v1/models")
            response = connection.getresponse()
            response.read()
            assert response.status == 200
            if response.getheader("connection") == "close":
                return count
        connection.close()
        return requests

    return await asyncio.to_thread(ask)


async def test_a_busy_keep_alive_client_is_sent_away_with_a_good_answer(
    serve: Serve, flag: Flag, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(AGE, "0.02")
    port = await serve(Closing(json_app(200, b"{}")))
    assert await until_closed(port, 1_000_000) > 1


@pytest.mark.parametrize("age", [None, "0", "3600"])
async def test_without_an_age_and_before_it_connections_are_kept(
    serve: Serve, flag: Flag, monkeypatch: pytest.MonkeyPatch, age: str | None
) -> None:
    if age is not None:
        monkeypatch.setenv(AGE, age)
    port = await serve(Closing(json_app(200, b"{}")))
    assert await until_closed(port, 50) == 50


@pytest.mark.parametrize("client", [None, ("10.0.0.1", 0)])
async def test_who_cannot_be_told_from_others_keeps_the_connection(
    flag: Flag, monkeypatch: pytest.MonkeyPatch, client: Any
) -> None:
    """A Unix socket has no client, and a proxy in the pod may write the one that it serves, without a port."""
    monkeypatch.setenv(AGE, "0.000001")
    closing = Closing(json_app(200, b"{}"))
    for _ in range(2):
        sent: list[Any] = []

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.request"}

        await closing({"type": "http", "path": "/v1/models", "client": client}, receive, send)
        assert sent[0]["headers"] == []


def test_addresses_are_kept_for_as_long_as_the_server_keeps_idle_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(AGE, "60")
    monkeypatch.setenv(IDLE, "90")
    ages = Closing(json_app(200, b"{}")).ages
    assert ages is not None
    assert (ages.limit, ages.idle) == (60, 90)
