"""An operator's parts for tests of one of them: what is not needed is nobody, and a clock that jumps."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar, cast

from embedding_operator.controllers.context import Context, Settings
from embedding_operator.planning.stagejob import StagingSite
from tests.unit.kube.timeless import TimelessLoop

T = TypeVar("T")


def context(client: Any = None, **settings: Any) -> Context:
    """A context in which news reach the cache, the queue and the users, and nothing else."""
    nobody = cast(Any, None)
    return Context(
        settings=Settings(staging=StagingSite("x"), **settings),
        client=client,
        applier=nobody,
        recorder=nobody,
        http=nobody,
    )


def timeless(running: Coroutine[Any, Any, T]) -> tuple[T, float]:
    """Run it without waiting. Returns what it returns, and the seconds that it would have taken."""
    loop = TimelessLoop()
    try:
        return loop.run_until_complete(running), loop.time()
    finally:
        loop.close()
