"""How the queue ends, and how its workers do."""

import asyncio

import pytest

from embedding_operator.kube.workqueue import QueueShutDown, WorkQueue

from .test_workqueue import run


def test_shutting_down_hands_out_what_is_queued_drops_what_is_delayed_and_takes_nothing_more():
    async def scenario():
        queue = WorkQueue()
        queue.add("a")
        queue.add_after("later", 5)
        idle = asyncio.create_task(queue.drained())
        queue.shut_down()
        queue.add("b")
        assert await queue.get() == "a"
        queue.add_after("c", 1)
        await asyncio.sleep(10)
        assert not idle.done()  # the worker still has it
        queue.done("a")
        await idle
        with pytest.raises(QueueShutDown):
            await queue.get()

    run(scenario())


def test_a_key_that_was_added_while_busy_is_still_handed_out_after_shutting_down():
    async def scenario():
        queue = WorkQueue()
        queue.add("a")
        await queue.get()
        queue.add("a")
        queue.shut_down()
        queue.done("a")
        assert await queue.get() == "a"

    run(scenario())


def test_shutting_down_wakes_all_workers():
    async def scenario():
        queue = WorkQueue()
        workers = [asyncio.create_task(queue.get()) for _ in range(3)]
        await asyncio.sleep(0)
        queue.shut_down()
        results = await asyncio.gather(*workers, return_exceptions=True)
        assert [type(result) for result in results] == [QueueShutDown] * 3

    run(scenario())


def test_a_worker_that_is_stopped_while_news_come_ends_as_it_was_told():
    """The wake-up passes over a worker whose end has begun, and reaches one that can use it."""

    async def scenario():
        queue = WorkQueue()
        stopped, other = (asyncio.create_task(queue.get()) for _ in range(2))
        await asyncio.sleep(0)
        stopped.cancel()
        queue.add("a")
        with pytest.raises(asyncio.CancelledError):
            await stopped
        assert await other == "a"

    run(scenario())
