"""Kinds that an API server does not serve any more, and what is known of their objects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from embedding_operator.controllers.follow import follow
from embedding_operator.controllers.resync import Resync
from embedding_operator.controllers.served import LOOK, served
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.paging import Listing
from embedding_operator.kube.resources import EMBEDDING_SERVICES, MODEL_CACHES, Object, ObjectKey, Resource, key_of
from tests.unit.controllers import given


class Client:
    """Nothing is served."""

    async def pages(self, *_: Any, **__: Any) -> AsyncIterator[Listing]:
        raise ApiError(404, "HTTP404", "404 page not found")
        yield


def an_object(of: Resource) -> Object:
    metadata = {"name": "qwen", "namespace": "search", "uid": "1", "resourceVersion": "5"}
    return {"apiVersion": of.api_version, "kind": of.kind, "metadata": metadata, "spec": {}}


async def test_what_is_known_of_a_kind_is_forgotten_at_the_second_look_and_found_again_as_it_was() -> None:
    operator, cache = given.context(Client()), an_object(MODEL_CACHES)
    operator.cache.upsert(cache)
    assert await served(operator, [MODEL_CACHES]) == frozenset()
    assert key_of(cache) in operator.cache
    assert len(operator.queue) == 0
    await served(operator, [MODEL_CACHES])
    assert key_of(cache) not in operator.cache
    assert await operator.queue.get() == key_of(cache)
    assert operator.cache.upsert(cache)


def test_a_service_that_ended_with_its_kind_without_a_word_uses_its_weights_no_more() -> None:
    """Or these would wait for it, and their kind for them."""
    operator, service, weights = (
        given.context(Client()),
        an_object(EMBEDDING_SERVICES),
        ObjectKey("ModelCache", "search", "w"),
    )
    operator.cache.upsert(service)
    operator.users.update(key_of(service), frozenset([weights]))
    resync = Resync(operator, {EMBEDDING_SERVICES: ""})
    resync.synced.set()
    resync.versions[EMBEDDING_SERVICES, None] = ""

    async def look(times: int) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK * (times - 0.9)):
                await follow(operator, resync, EMBEDDING_SERVICES, None, "")

    given.timeless(look(1))
    assert operator.users.of(weights) == [key_of(service)]
    given.timeless(look(3))
    assert operator.users.of(weights) == []
    assert key_of(service) not in operator.cache
