"""Work in threads, and callers that are told to stop."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest

from embedding_operator.staging.threads import in_thread, to_its_end


async def test_a_caller_that_is_told_to_stop_waits_for_its_piece_of_work() -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        may_end.wait()
        ended.append(True)

    caller = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(begun.wait)
    caller.cancel()
    await asyncio.sleep(0)
    assert not caller.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended == [True]


async def test_what_fails_because_it_was_told_to_stop_is_in_no_log() -> None:
    """asyncio tells of errors that nobody asked for, with a traceback, when they are thrown away."""
    told: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context))
    begun, cut = threading.Event(), threading.Event()

    def read() -> None:
        begun.set()
        cut.wait()
        raise ConnectionResetError

    def stopping(stop: Callable[[], None]) -> asyncio.Task[None]:
        return asyncio.create_task(to_its_end(loop.run_in_executor(None, read), stop))

    caller = stopping(cut.set)
    await asyncio.to_thread(begun.wait)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    del caller
    gc.collect()
    await asyncio.sleep(0)
    assert told == []
