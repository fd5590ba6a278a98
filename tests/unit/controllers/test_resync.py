"""Lists of an API server that refuses some of them; the clock jumps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from embedding_operator.controllers.resync import Resync
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.paging import Listing
from embedding_operator.kube.resources import HTTP_ROUTES, NETWORK_POLICIES, OWN_KINDS, PODS, ObjectKey, Resource
from tests.unit.controllers import given


class Client:
    """Each namespace has one pod; `refused` says how often a list of a namespace fails first, and with what."""

    def __init__(self, **refused: list[ApiError]) -> None:
        self._refused = refused

    async def pages(
        self, resource: Resource, namespace: str, selector: str = "", chunk: int = 0, *, shaped: bool = False
    ) -> AsyncIterator[Listing]:
        if resource in OWN_KINDS:  # whether there are rights
            yield Listing([], "7")
            return
        if errors := self._refused.get(namespace):
            raise errors.pop(0)
        metadata = {"name": "x", "namespace": namespace, "resourceVersion": "5"}
        yield Listing([{"kind": resource.kind, "metadata": metadata}], "7")

    collection = pages


def resync_of(client: Client) -> Resync:
    return Resync(given.context(client, namespaces=("a", "b", "c")), {PODS: ""})


def test_a_namespace_that_is_refused_does_not_keep_those_after_it_from_being_listed() -> None:
    resync = resync_of(Client(b=[ApiError(403, "Forbidden", "no rights in b")]))
    given.timeless(resync._try(PODS))
    cache = resync._context.cache
    assert [key.namespace for key in cache.keys("Pod")] == ["a", "c"]


def test_the_first_list_waits_for_as_long_as_the_server_asks() -> None:
    resync = resync_of(Client(b=[ApiError(429, "TooManyRequests", "slow down", 40.0)]))
    _, seconds = given.timeless(resync.first())
    assert seconds == 40.0
    assert resync.synced.is_set()


async def replayed(resync: Resync, times: int = 1) -> None:
    """For a minute, in which a watch lists its kind so many times, one each second."""
    for second in range(60):
        if second < times:
            resync.replayed("Pod")
        await asyncio.sleep(1.0)


GHOST = {"kind": "Pod", "metadata": {"name": "ghost", "namespace": "a", "resourceVersion": "1"}}


def test_what_a_watch_missed_is_looked_for_until_the_server_lists_it() -> None:
    """It is away for a moment just when its watches end."""
    resync = resync_of(Client(a=[ApiError(503, "ServiceUnavailable", "not yet")] * 3))
    resync._context.cache.upsert(GHOST)
    given.timeless(replayed(resync))
    assert [key.name for key in resync._context.cache.keys("Pod", "a")] == ["x"]


def test_what_a_watch_missed_is_looked_for_though_it_lists_again_and_again() -> None:
    resync = resync_of(Client())
    resync._context.cache.upsert(GHOST)
    given.timeless(replayed(resync, times=60))
    assert [key.name for key in resync._context.cache.keys("Pod", "a")] == ["x"]
    assert resync._context.meters.lists["pods"] <= 3 * 6  # in three namespaces


def test_a_first_list_that_is_tried_again_keeps_no_other_waiting() -> None:
    away = ApiError(0, "Unreachable", "nobody there")
    resync = resync_of(Client(a=[away] * 10, b=[away]))
    _, both = given.timeless(resync.first())
    _, first = given.timeless(resync_of(Client(a=[away] * 10)).first())
    assert both == first
    assert resync.versions == {(PODS, namespace): "7" for namespace in ("a", "b", "c")}
    assert ObjectKey("Pod", "c", "x") in resync._context.cache


@pytest.mark.parametrize("optional", [HTTP_ROUTES, NETWORK_POLICIES])
def test_a_right_that_a_newer_version_wants_for_what_few_ask_for_keeps_nobody_from_being_served(
    optional: Resource,
) -> None:
    refused = {namespace: [ApiError(403, "Forbidden", "no rights")] for namespace in "abc"}
    resync = Resync(given.context(Client(**refused), namespaces=("a", "b", "c")), {optional: "", PODS: ""})
    _, seconds = given.timeless(resync.first())
    assert (resync.synced.is_set(), seconds) == (True, 0.0)
    assert resync._context.absent == {optional.kind}


class Breaking:
    """A list breaks off, and begins anew when one of its pods has gone."""

    async def collection(self, resource: Resource, namespace: str | None, selector: str) -> AsyncIterator[Listing]:
        pods = [{"kind": "Pod", "metadata": {"name": name, "namespace": "a", "resourceVersion": "5"}} for name in "xyz"]
        yield Listing(pods[:2], "")
        yield Listing(pods[1:2], "9", anew=True)
        yield Listing(pods[2:], "9")


def test_what_went_while_a_list_broke_off_is_forgotten() -> None:
    resync = Resync(given.context(Breaking()), {PODS: ""})
    assert given.timeless(resync.list(PODS, None))[0] == "9"
    assert [key.name for key in resync._context.cache.keys("Pod")] == ["y", "z"]
