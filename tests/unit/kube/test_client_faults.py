"""The client against an HTTP server that misbehaves in ways that a healthy API server will not on request."""

import asyncio
import json

import pytest
from aiohttp import web

from embedding_operator.kube.client import KubeClient
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.paging import Listing
from embedding_operator.kube.resources import PODS, ObjectKey
from tests.unit.kube.serving import answering, connected, serving

POD = ObjectKey("Pod", "a", "x")
LEASE = ObjectKey("Lease", "a", "x")


@pytest.mark.parametrize("status", [429, 503])
async def test_a_server_that_asks_to_wait_is_heard(tmp_path, status):
    async with serving(answering(status, "{}", **{"Retry-After": "4"}), tmp_path) as client:
        with pytest.raises(ApiError) as caught:
            await client.get(POD)
        assert caught.value.is_temporary
        assert caught.value.retry_after == 4.0
        assert client.requests == {("get", "Pod"): 1}  # who retries is the work queue


@pytest.mark.parametrize(("status", "evicted"), [(201, True), (403, False), (404, False), (409, False), (429, False)])
async def test_an_eviction_that_may_not_be_now_or_at_all_keeps_nothing_else_from_being_done(tmp_path, status, evicted):
    async with serving(answering(status, "{}"), tmp_path) as client:
        assert await client.evict(POD, uid="u") is evicted


async def test_two_disruption_budgets_refuse_an_eviction_like_one(tmp_path):
    words = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
    async with serving(answering(500, json.dumps({"message": words})), tmp_path) as client:
        assert await client.evict(POD, uid="u") is False


async def test_an_eviction_that_cannot_be_asked_for_is_an_error(tmp_path):
    async with serving(answering(500, "{}"), tmp_path) as client:
        with pytest.raises(ApiError):
            await client.evict(POD, uid="u")


@pytest.mark.parametrize("text", ["<html>login</html>", "[]", "", '"text"', '{"cut": '])
async def test_an_answer_that_is_no_object_is_a_temporary_error(tmp_path, text):
    async with serving(answering(200, text), tmp_path) as client:
        with pytest.raises(ApiError) as caught:
            await client.get(POD)
        assert caught.value.is_temporary
        assert caught.value.reason == "BadAnswer"


async def test_a_connection_that_ends_in_the_middle_of_an_answer_is_a_temporary_error(tmp_path):
    async def handler(request):
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"kind": ')
        request.transport.abort()
        return response

    async with serving(handler, tmp_path) as client:
        with pytest.raises(ApiError) as caught:
            await client.get(POD)
        assert (caught.value.status, caught.value.reason) == (0, "Unreachable")


async def test_nobody_listening_is_a_temporary_error(tmp_path):
    async with connected(tmp_path, "http://127.0.0.1:1") as connection:
        with pytest.raises(ApiError) as caught:
            await KubeClient(connection).get(POD)
        assert caught.value.is_temporary


def pod(name):
    return {"metadata": {"name": name, "namespace": "a"}}


def listing_that_expires(times):
    """Three pods in pages of `limit`; the first `times` continuations are answered with 410."""
    expired = 0

    async def handler(request):
        nonlocal expired
        start = int(request.query.get("continue", 0))
        if start and expired < times:
            expired += 1
            return web.json_response({"reason": "Expired", "message": "too old"}, status=410)
        end = start + (int(request.query.get("limit", 0)) or 3)
        metadata = {"resourceVersion": "7"} | ({"continue": str(end)} if end < 3 else {})
        items = [pod(name) for name in "xyz"[start:end]]
        return web.json_response({"kind": "PodList", "metadata": metadata, "items": items})

    return handler


@pytest.mark.parametrize("times", [0, 1, 3, 1000])
async def test_a_list_whose_snapshot_expires_starts_again_and_shows_each_object_once(tmp_path, times):
    async with serving(listing_that_expires(times), tmp_path) as client:
        listing = await client.list(PODS, "a", chunk=1)
    assert [item["metadata"]["name"] for item in listing.items] == ["x", "y", "z"]
    assert listing.resource_version == "7"


async def test_pages_tell_that_their_snapshot_expired(tmp_path):
    async with serving(listing_that_expires(1), tmp_path) as client:
        with pytest.raises(ApiError) as caught:
            async for _ in client.pages(PODS, "a", chunk=1):
                pass
        assert caught.value.is_expired


async def test_an_empty_list_may_come_without_items(tmp_path):
    async with serving(answering(200, '{"metadata": {"resourceVersion": "3"}, "items": null}'), tmp_path) as client:
        assert await client.list(PODS) == Listing([], "3")


async def test_only_so_many_requests_are_in_flight_and_the_lease_does_not_queue_behind_them(tmp_path):
    in_flight, most, released = 0, 0, asyncio.Event()

    async def handler(request):
        nonlocal in_flight, most
        if "leases" in request.path:
            return web.json_response({"metadata": {"name": "x"}})
        in_flight += 1
        most = max(most, in_flight)
        await released.wait()
        in_flight -= 1
        return web.json_response({})

    async with serving(handler, tmp_path, concurrency=3) as client:
        reads = [asyncio.create_task(client.get(POD)) for _ in range(10)]
        while in_flight < 3:  # noqa: ASYNC110 - it is the server that counts
            await asyncio.sleep(0)
        assert (await client.get(LEASE))["metadata"]["name"] == "x"
        released.set()
        await asyncio.gather(*reads)
    assert most == 3


async def test_what_is_sent(tmp_path):
    seen = {}

    async def handler(request):
        seen.update(method=request.method, path=request.path, query=dict(request.query), body=await request.json())
        seen.update(token=request.headers["Authorization"], type=request.headers["Content-Type"])
        seen.update(agent=request.headers["User-Agent"])
        return web.json_response({})

    obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": "a"}, "spec": {}}
    async with serving(handler, tmp_path) as client:
        await client.apply(obj, force=False)
    assert seen == {
        "method": "PATCH",
        "path": "/api/v1/namespaces/a/pods/x",
        "query": {"fieldManager": "embedding-operator", "fieldValidation": "Strict", "force": "false"},
        "body": obj,
        "token": "Bearer secret",
        "type": "application/apply-patch+yaml",
        "agent": "embedding-operator",
    }
