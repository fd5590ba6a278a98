"""The workers share the event loop with what keeps the operator alive."""

import asyncio

import pytest

from embedding_operator.api import names
from embedding_operator.controllers.context import Context
from embedding_operator.controllers.workers import RECONCILERS, work
from embedding_operator.kube.resources import ObjectKey
from tests.unit.controllers.given import context

SERVICES = 50


async def in_force(_: Context, key: ObjectKey) -> None:
    """A reconcile that finds nothing to do and asks nobody."""


async def test_thousands_of_keys_with_nothing_to_do_do_not_keep_others_from_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The Lease runs out otherwise, when an operator starts where many services are served."""
    monkeypatch.setitem(RECONCILERS, names.EMBEDDING_SERVICE, in_force)
    given = context()
    for number in range(SERVICES):
        given.queue.add(ObjectKey(names.EMBEDDING_SERVICE, "search", f"s{number}"))
    working = asyncio.create_task(work(given))
    turns = 0
    while given.queue:
        turns += 1
        await asyncio.sleep(0)
    working.cancel()
    assert turns >= SERVICES
