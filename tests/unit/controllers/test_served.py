"""Kinds that an API server does not serve any more, and what is known of their objects."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from embedding_operator.controllers.context import Context
from embedding_operator.controllers.follow import follow
from embedding_operator.controllers.resync import Resync
from embedding_operator.controllers.served import LOOK, passed_over, served
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.paging import Listing
from embedding_operator.kube.resources import (
    EMBEDDING_JOBS,
    EMBEDDING_SERVICES,
    HTTP_ROUTES,
    MODEL_CACHES,
    RUNTIME_PROFILES,
    Object,
    ObjectKey,
    Resource,
    key_of,
)
from tests.unit.controllers import given

NOT_SERVED = ApiError(404, "HTTP404", "404 page not found")
NOT_TO_US = ApiError(403, "Forbidden", "no rights")


class Client:
    """Nothing is served, or not to us."""

    def __init__(self, says: ApiError = NOT_SERVED) -> None:
        self._says = says

    async def pages(self, *_: Any, **__: Any) -> AsyncIterator[Listing]:
        raise self._says
        yield

    collection = pages


class Starting:
    """An API server that has just started: it refuses for some lists what it serves after them."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.listed: list[float] = []

    async def pages(self, *_: Any, **__: Any) -> AsyncIterator[Listing]:
        self.listed.append(asyncio.get_running_loop().time())
        if len(self.listed) <= self.refusals:
            raise NOT_TO_US
        yield Listing([], "7")

    collection = pages

    @asynccontextmanager
    async def streaming(self, *_: Any) -> AsyncIterator[AsyncIterator[bytes]]:
        async def bookmarks() -> AsyncIterator[bytes]:
            for _ in range(4):
                await asyncio.sleep(60.0)
                yield b'{"type": "BOOKMARK", "object": {"kind": "HTTPRoute", "metadata": {"resourceVersion": "8"}}}\n'

        yield bookmarks()


class Back:
    """All is served, and there is none of it."""

    async def pages(self, *_: Any, **__: Any) -> AsyncIterator[Listing]:
        yield Listing([], "7")

    collection = pages


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
    given.timeless(look(operator, EMBEDDING_SERVICES, 1))
    assert operator.users.of(weights) == [key_of(service)]
    given.timeless(look(operator, EMBEDDING_SERVICES, 3))
    assert operator.users.of(weights) == []
    assert key_of(service) not in operator.cache


@pytest.mark.parametrize(("says", "is_forgotten"), [(NOT_SERVED, True), (NOT_TO_US, False)])
def test_jobs_that_services_do_without_are_forgotten_no_earlier_and_not_for_a_right_that_is_missing(
    says: ApiError, is_forgotten: bool
) -> None:
    operator, job = given.context(Client(says)), an_object(EMBEDDING_JOBS)
    operator.cache.upsert(job)
    given.timeless(look(operator, EMBEDDING_JOBS, 1))
    assert key_of(job) in operator.cache
    given.timeless(look(operator, EMBEDDING_JOBS, 3))
    assert (key_of(job) not in operator.cache) is is_forgotten
    assert operator.cache.upsert(job) is is_forgotten  # as it was


def test_a_kind_that_was_missed_for_a_moment_is_found_though_the_watch_of_it_lives_on() -> None:
    """Else its users would wait for it until the next resync."""
    operator, service, both = given.context(Back()), an_object(EMBEDDING_SERVICES), {MODEL_CACHES, RUNTIME_PROFILES}
    operator.cache.upsert(service)
    operator.users.update(key_of(service), frozenset([ObjectKey("ModelCache", "search", "w")]))
    operator.absent.add(MODEL_CACHES.kind)

    async def found() -> Resource:
        async with asyncio.timeout(2 * LOOK):
            return await passed_over(operator, [RUNTIME_PROFILES, MODEL_CACHES], both, both)

    assert given.timeless(found()) == (MODEL_CACHES, LOOK)
    assert operator.absent == set()
    assert len(operator.queue) == 2  # the service, and the cache that it wants


def test_a_kind_that_an_api_server_refuses_as_it_starts_is_found_within_seconds() -> None:
    """Services with a Gateway would say for ten minutes that there is none."""
    server = Starting(refusals=2)
    operator = given.context(server)
    given.timeless(look(operator, HTTP_ROUTES, 5))
    assert operator.absent == set()
    assert server.listed[2] <= 3 * LOOK


def test_a_kind_that_a_cluster_does_not_have_is_looked_for_ever_less_often_and_at_least_every_ten_minutes() -> None:
    server = Starting(refusals=1000)
    given.timeless(look(given.context(server), HTTP_ROUTES, 2000))
    pauses = [after - before for before, after in itertools.pairwise(server.listed)]
    assert max(pauses) <= 600.0
    assert min(pauses[8:]) >= 300.0


def test_a_kind_that_a_list_missed_is_listed_once_more_when_its_watch_says_anything() -> None:
    """The watch lives on at another API server, and tells nothing of what has not changed."""
    server = Starting(refusals=0)
    operator = given.context(server)
    operator.absent.add(HTTP_ROUTES.kind)
    given.timeless(look(operator, HTTP_ROUTES, 20, version="5"))
    assert operator.absent == set()
    assert len(server.listed) == 1


async def look(operator: Context, resource: Resource, times: int, version: str = "") -> None:
    """Follow a kind that is away for as many looks, unless it was listed at a version."""
    resync = Resync(operator, {resource: ""})
    resync.synced.set()
    resync.versions[resource, None] = version
    with suppress(TimeoutError):
        async with asyncio.timeout(LOOK * (times - 0.9)):
            await follow(operator, resync, resource, None, "")
