"""Children followed on a real API server: news, deletions, and what was missed while nobody watched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest

from embedding_operator.controllers.context import Context, Settings
from embedding_operator.controllers.follow import follow
from embedding_operator.controllers.resync import Resync
from embedding_operator.controllers.watch import CHILD_SELECTOR
from embedding_operator.kube.apply import Applier
from embedding_operator.kube.cache import Cache
from embedding_operator.kube.events import Recorder
from embedding_operator.kube.resources import CONFIG_MAPS, Object, ObjectKey, key_of
from embedding_operator.planning.stagejob import StagingSite
from tests.cluster.controlplane import ControlPlane
from tests.integration.kube_support import MERGE, client_of, config_map, namespace_of, raw, until

SCOPED = pytest.mark.parametrize("scoped", [True, False], ids=["one namespace", "all namespaces"])


class Following:
    """One kind followed into a cache, and a namespace to change things in."""

    def __init__(self, context: Context, namespace: str, scoped: bool) -> None:
        self.context = context
        self.namespace = namespace
        self.resync = Resync(context, {CONFIG_MAPS: CHILD_SELECTOR})
        self._scope = namespace if scoped else None

    async def make(self, name: str) -> ObjectKey:
        return key_of(await self.context.client.apply(_ours(self.namespace, name)))

    async def until_known(self, *names: str) -> None:
        async def known() -> bool:
            return {key.name for key in self.context.cache.keys("ConfigMap", self.namespace)} == {*names}

        await until(known)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        following = follow(self.context, self.resync, CONFIG_MAPS, self._scope, CHILD_SELECTOR)
        task = asyncio.create_task(following)
        try:
            yield
        finally:
            assert not task.done(), "it follows for ever"
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def listed(control_plane: ControlPlane, scoped: bool, *existing: str) -> AsyncIterator[Following]:
    async with (
        client_of(control_plane.kubeconfig) as client,
        namespace_of(client) as namespace,
        aiohttp.ClientSession() as http,
    ):
        cache = Cache()
        settings = Settings(staging=StagingSite("x"), namespaces=(namespace,) if scoped else ())
        context = Context(settings, client, Applier(client, cache), Recorder(client, instance="test"), http, cache)
        following = Following(context, namespace, scoped)
        for name in existing:
            await following.make(name)
        await following.resync.first()
        yield following


def _ours(namespace: str, name: str) -> Object:
    made: Object = config_map(namespace, name)
    made["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "embedding-operator"}
    return made


@SCOPED
async def test_what_happens_between_the_list_and_the_watch_is_not_lost(
    control_plane: ControlPlane, scoped: bool
) -> None:
    async with listed(control_plane, scoped, "kept", "gone") as it:
        await it.make("new")
        await it.context.client.delete(ObjectKey("ConfigMap", it.namespace, "gone"))
        async with it.following():
            await it.until_known("kept", "new")


async def test_a_child_that_loses_our_label_is_gone_and_comes_back_with_it(control_plane: ControlPlane) -> None:
    async with listed(control_plane, True, "x") as it, it.following():
        path = CONFIG_MAPS.path(it.namespace, "x")
        assert await raw(it.context.client, "PATCH", path, {"metadata": {"labels": None}}, MERGE) == 200
        await it.until_known()
        await it.make("x")
        await it.until_known("x")


async def test_a_version_that_a_restarted_server_has_forgotten_is_followed_by_a_list_that_finds_deletions(
    control_plane: ControlPlane,
) -> None:
    async with listed(control_plane, True, "kept", "gone") as it:
        await it.context.client.delete(ObjectKey("ConfigMap", it.namespace, "gone"))
        await it.make("new")
        control_plane.stop_apiserver()
        control_plane.start_apiserver()  # its watch cache begins with what is there now
        lists = it.context.client.requests["list", "ConfigMap"]
        async with it.following():
            await it.until_known("kept", "new")
            await it.make("later")
            await it.until_known("kept", "new", "later")
        assert it.context.client.requests["list", "ConfigMap"] == lists + 1


async def test_a_server_that_is_away_is_waited_for(control_plane: ControlPlane) -> None:
    async with listed(control_plane, True, "x") as it, it.following():
        await it.make("before")
        await it.until_known("before", "x")
        control_plane.stop_apiserver()
        await asyncio.sleep(2)
        control_plane.start_apiserver()
        await it.make("after")
        await it.until_known("after", "before", "x")


async def test_a_watch_whose_connection_is_cut_goes_on_from_where_it_was_without_a_list(
    control_plane: ControlPlane,
) -> None:
    async with listed(control_plane, True, "kept", "gone") as it, it.following():
        known = ["kept", "gone"]
        await it.until_known(*known)
        lists = it.context.client.requests["list", "ConfigMap"]
        for cut in ("first", "second"):
            await it.make(cut)
            known.append(cut)
            await it.until_known(*known)  # so there is a watch to be cut
            session = it.context.client._connection._session
            assert session is not None
            assert session.connector is not None
            for connection in [*session.connector._acquired]:
                assert connection.transport is not None
                connection.transport.abort()
        await it.context.client.delete(ObjectKey("ConfigMap", it.namespace, "gone"))
        await it.until_known("kept", "first", "second")
        assert it.context.client.requests["list", "ConfigMap"] == lists
        assert it.context.client.requests["watch", "ConfigMap"] > 1
