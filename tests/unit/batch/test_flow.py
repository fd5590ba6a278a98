"""Results come in the order of the pieces, whatever the order of the answers, and no more is begun than may wait."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from embedding_operator.batch.ahead import Ahead
from embedding_operator.batch.flow import WAITING, in_order
from embedding_operator.batch.pace import Filling


class Fixed(Filling):
    """Always as many."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit, limit)


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def taken(results: AsyncGenerator[tuple[int, Any], None], into: list[int]) -> None:
    async with aclosing(results) as each:
        async for number, _ in each:
            into.append(number)


async def test_results_keep_the_order_of_the_pieces() -> None:
    dice = random.Random(1)
    running = most = 0

    async def work(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(dice.random() / 500)
        running -= 1
        return -number

    got = [pair async for pair in in_order(numbers(200), work, Fixed(5))]
    assert got == [(number, -number) for number in range(200)]
    assert most == 5


async def test_a_slow_piece_holds_back_a_bounded_number() -> None:
    slow = asyncio.Event()
    begun: list[int] = []

    async def work(number: int) -> None:
        begun.append(number)
        if number == 0:
            await slow.wait()

    async with aclosing(in_order(numbers(1000), work, Fixed(4))) as results:
        first = asyncio.ensure_future(anext(results))
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(begun) == 2 * 4 + WAITING
        slow.set()
        assert (await first)[0] == 0
        assert [number async for number, _ in results] == list(range(1, 1000))


async def test_an_error_ends_it_and_nothing_goes_on() -> None:
    running: set[int] = set()

    async def work(number: int) -> None:
        if number == 3:
            raise ValueError("broken")
        running.add(number)
        try:
            if number > 3:
                await asyncio.Event().wait()
        finally:
            running.discard(number)

    with pytest.raises(ValueError, match="broken"):
        await taken(in_order(numbers(100), work, Fixed(8)), [])
    assert running == set()


async def test_what_reading_raises_comes_after_what_was_read() -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise OSError("the disk is gone")

    async def work(number: int) -> int:
        return number

    got: list[int] = []
    with pytest.raises(OSError, match="the disk is gone"):
        await taken(in_order(Ahead(items(), 10), work, Fixed(2)), got)
    assert got == [0, 1, 2]


async def test_reading_goes_ahead_so_far_and_no_further() -> None:
    read: list[int] = []
    far = threading.Event()

    def items() -> Iterator[int]:
        for number in range(100):
            read.append(number)
            if number == 5:
                far.set()
            yield number

    ahead = Ahead(items(), 5)
    await asyncio.to_thread(far.wait, 30)
    await asyncio.sleep(0.05)
    assert read == [0, 1, 2, 3, 4, 5]  # five that are there, and one that waits for room
    assert [number async for number in ahead] == list(range(100))


async def test_a_reader_that_is_stopped_ends() -> None:
    def items() -> Iterator[int]:
        number = 0
        while True:
            yield (number := number + 1)

    before = set(threading.enumerate())
    ahead = Ahead(items(), 2)
    (thread,) = set(threading.enumerate()) - before
    await anext(ahead)
    ahead.stop()
    await asyncio.to_thread(thread.join, 30)
    assert not thread.is_alive()
