"""Parts of the running operator that a whole run shows only by luck: a lost deletion, an unreadable object."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from embedding_operator.controllers import routing
from embedding_operator.controllers.context import Context, Settings
from embedding_operator.controllers.refusal import refuse
from embedding_operator.controllers.resync import Resync
from embedding_operator.controllers.services import reconcile_service
from embedding_operator.controllers.shared import make_profiles
from embedding_operator.kube.apply import Applier
from embedding_operator.kube.cache import Cache
from embedding_operator.kube.events import Recorder
from embedding_operator.kube.resources import MODEL_CACHES, key_of
from embedding_operator.planning.profiles import BUILT_IN
from embedding_operator.planning.stagejob import StagingSite
from tests.cluster.controlplane import ControlPlane
from tests.integration import kinds
from tests.integration.kube_support import client_of, install_crds, namespace_of, until


@pytest.fixture
async def context(control_plane: ControlPlane) -> AsyncIterator[Context]:
    async with client_of(control_plane.kubeconfig) as client, aiohttp.ClientSession() as http:
        await install_crds(client)
        cache = Cache()
        yield Context(
            settings=Settings(staging=StagingSite("example.com/operator:test")),
            client=client,
            cache=cache,
            applier=Applier(client, cache),
            recorder=Recorder(client, instance="test"),
            http=http,
        )


async def test_a_deletion_just_after_a_list_is_found_by_the_list_that_follows_a_replay(context: Context) -> None:
    resync = Resync(context, {MODEL_CACHES: ""})
    await resync.first()
    ghost = kinds.cache()
    ghost["metadata"] |= {"namespace": "default", "name": "ghost", "uid": "g", "resourceVersion": "1"}
    context.cache.upsert(ghost)  # it was deleted while the watch was away
    resync.replayed(MODEL_CACHES.kind)

    async def is_gone() -> bool:
        return key_of(ghost) not in context.cache

    await until(is_gone)


async def test_an_object_that_cannot_be_read_is_told_once(context: Context) -> None:
    async with namespace_of(context.client) as namespace:
        manifest = kinds.service()
        manifest["metadata"]["namespace"] = namespace
        obj = await context.client.create(manifest)
        context.cache.upsert(obj)
        for _ in range(2):
            known = context.cache.get(key_of(obj))
            assert known is not None
            await refuse(context, known, "spec.model: is required")
            await asyncio.sleep(1.1)  # conditions tell whole seconds
        assert context.applier.counts["status"] == 1
        assert context.applier.counts["status_skipped"] == 1


async def test_built_in_profiles_are_there_before_anybody_works_and_what_fails_is_tried_again(context: Context) -> None:
    context.client.gate = lambda: False
    await make_profiles(context)
    assert len(context.queue) == len(BUILT_IN)
    context.client.gate = None
    await make_profiles(context)
    assert {key.name for key in context.cache.keys("RuntimeProfile")} == {one["metadata"]["name"] for one in BUILT_IN}


async def test_a_service_whose_end_nobody_told_gets_no_children_again(context: Context) -> None:
    """Its children are collected with it, and their ends are told."""
    async with namespace_of(context.client) as namespace:
        manifest = kinds.service()
        manifest["metadata"]["namespace"] = namespace
        service = await context.client.create(manifest)
        context.cache.upsert(service)
        await context.client.delete(key_of(service))
        child = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": service["metadata"]["name"],
                "namespace": namespace,
                "uid": "child",
                "resourceVersion": "1",
                "labels": {"embedding-operator.io/service": service["metadata"]["name"]},
            },
        }
        routing.deleted(context, child)
        assert await reconcile_service(context, key_of(service)) is None
        assert context.applier.counts == {}
        assert key_of(service) not in context.cache


async def test_a_service_that_lost_a_child_and_is_there_is_asked_for_once(context: Context) -> None:
    async with namespace_of(context.client) as namespace:
        manifest = kinds.service()
        manifest["metadata"]["namespace"] = namespace
        service = await context.client.create(manifest)
        key = key_of(service)
        context.cache.upsert(service)
        context.bereft.add(key)
        for _ in range(2):
            await reconcile_service(context, key)
        assert context.client.requests["get", "EmbeddingService"] == 1
        assert context.applier.counts["status"] == 1
