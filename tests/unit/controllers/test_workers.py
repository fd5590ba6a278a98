"""The workers share the event loop with what keeps the operator alive."""

import asyncio
from typing import Any

import pytest

from embedding_operator.api import names
from embedding_operator.controllers.context import Context
from embedding_operator.controllers.refusal import problem_of
from embedding_operator.controllers.workers import RECONCILERS, work
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import ObjectKey
from tests.unit.controllers.given import context

SERVICES = 50


async def in_force(_: Context, key: ObjectKey) -> None:
    """A reconcile that finds nothing to do and asks nobody."""


NEW = ApiError(
    403, "Forbidden", "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion x"
)


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


def test_what_admission_has_yet_to_hear_of_is_no_persons_to_mend() -> None:
    """The status would be Stalled, at which Flux and others give up."""
    assert problem_of(NEW) is None


async def outcome_of(error: ApiError, monkeypatch: pytest.MonkeyPatch, client: Any = None) -> tuple[str, int, int]:
    """What becomes of a key whose reconcile meets this answer; how many keys wait for a worker then, and for their
    time."""

    async def refused(_: Context, key: ObjectKey) -> None:
        raise error

    monkeypatch.setitem(RECONCILERS, names.MODEL_CACHE, refused)
    given = context(client)
    given.queue.add(ObjectKey(names.MODEL_CACHE, "search", "qwen"))
    working = asyncio.create_task(work(given))
    while not given.queue.delayed:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)
    working.cancel()
    (result,) = [result for (_, result), times in given.meters.reconciles.items() if times]
    return result, len(given.queue), given.queue.delayed


@pytest.mark.parametrize(
    "error",
    [
        ApiError(404, "HTTP404", "404 page not found"),
        ApiError(405, "MethodNotAllowed", "create not allowed while custom resource definition is terminating"),
        NEW,
    ],
)
async def test_a_kind_that_is_not_there_is_waited_for_without_a_word(
    error: ApiError, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert await outcome_of(error, monkeypatch) == ("kind_missing", 0, 1)
    assert caplog.messages == []


async def test_what_is_not_there_and_was_not_known_either_is_no_news_to_be_looked_at_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Empty:
        async def get(self, key: ObjectKey) -> None:
            return None

    gone = ApiError(404, "NotFound", 'namespaces "search" not found')
    assert await outcome_of(gone, monkeypatch, Empty()) == ("api_error", 0, 1)
