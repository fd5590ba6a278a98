"""Watches against an HTTP server that streams what it likes."""

import asyncio
import json

import pytest
from aiohttp import web

from embedding_operator.kube import watching
from embedding_operator.kube.client import KubeClient
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import CHILD_KINDS, PODS
from embedding_operator.kube.watching import in_lines, watch
from tests.unit.kube.serving import answering, connected, serving


def said(kind, version):
    return {"type": kind, "object": {"kind": "Pod", "metadata": {"name": "x", "resourceVersion": version}}}


def streaming(*chunks, then=None):
    """A server that sends these, then does `then` with the request, and notes what it was asked."""
    asked = []

    async def handler(request):
        asked.append(dict(request.query))
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        if then:
            await then(request)
        return response

    return handler, asked


def line(event):
    return json.dumps(event).encode() + b"\n"


def status(code, reason, message):
    """An error as an API server writes it."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }


async def heard(client, version="5", resource=PODS):
    return [(news.type, news.object["metadata"]["resourceVersion"]) async for news in each(client, version, resource)]


async def each(client, version, resource=PODS):
    async for batch in watch(client, resource, "a", "app=x", version):
        for news in batch:
            yield news


async def test_all_news_after_a_version_are_told_until_the_server_ends_the_watch(tmp_path):
    handler, asked = streaming(line(said("ADDED", "6")) + line(said("MODIFIED", "7")), line(said("BOOKMARK", "9")))
    async with serving(handler, tmp_path) as client:
        assert await heard(client) == [("ADDED", "6"), ("MODIFIED", "7"), ("BOOKMARK", "9")]
    [query] = asked
    assert query["resourceVersion"] == "5"
    assert query["labelSelector"] == "app=x"
    assert query["allowWatchBookmarks"] == "true"
    assert 200 < int(query["timeoutSeconds"]) <= 290


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
async def test_events_are_whole_however_the_stream_is_cut(size):
    lines = [b'{"a": 1}', b'{"b": "\xc3\xa4"}', b"{}"]
    whole = b"\n".join(lines) + b"\n\n" + b'{"never ended'

    async def chunks():
        for start in range(0, len(whole), size):
            yield whole[start : start + size]

    assert [line async for batch in in_lines(chunks()) for line in batch] == lines


@pytest.mark.parametrize("resource", CHILD_KINDS, ids=lambda resource: resource.kind)
async def test_a_version_that_the_server_has_forgotten_is_told_as_expired(tmp_path, resource):
    gone = status(410, "Expired", "too old resource version: 5 (900)")
    in_the_stream, _ = streaming(line({"type": "ERROR", "object": gone}))
    for handler in (in_the_stream, answering(410, json.dumps(gone))):
        async with serving(handler, tmp_path) as client:
            with pytest.raises(ApiError, match="too old resource version") as caught:
                await heard(client, resource=resource)
            assert caught.value.is_expired


async def test_a_server_that_asks_to_wait_is_heard(tmp_path):
    async with serving(answering(429, "{}", **{"Retry-After": "4"}), tmp_path) as client:
        with pytest.raises(ApiError) as caught:
            await heard(client)
        assert caught.value.retry_after == 4.0


async def test_another_error_of_the_stream_is_an_error_with_the_servers_words(tmp_path):
    handler, _ = streaming(line({"type": "ERROR", "object": status(500, "InternalError", "etcd is away")}))
    async with serving(handler, tmp_path) as client:
        with pytest.raises(ApiError, match="etcd is away") as caught:
            await heard(client)
        assert (caught.value.status, caught.value.reason) == (500, "InternalError")


@pytest.mark.parametrize("text", [b"<html>\n", b"[]\n", b'{"type": "ADDED"}\n', b'{"type": "ERROR"}\n'])
async def test_what_is_no_event_is_a_temporary_error(tmp_path, text):
    handler, _ = streaming(text)
    async with serving(handler, tmp_path) as client:
        with pytest.raises(ApiError) as caught:
            await heard(client)
        assert caught.value.reason == "BadAnswer"
        assert caught.value.is_temporary


async def test_a_connection_that_breaks_is_a_temporary_error_after_the_news_that_came(tmp_path):
    async def cut(request):
        await asyncio.sleep(0.05)
        request.transport.abort()

    handler, _ = streaming(line(said("ADDED", "6")), then=cut)
    async with serving(handler, tmp_path) as client:
        news = each(client, "5")
        assert (await anext(news)).type == "ADDED"
        with pytest.raises(ApiError) as caught:
            await anext(news)
    assert caught.value.is_temporary


async def test_a_connection_that_is_silent_for_too_long_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "_SILENCE", 0.1)
    handler, _ = streaming(line(said("ADDED", "6")), then=lambda _: asyncio.sleep(1))
    async with serving(handler, tmp_path) as client:
        with pytest.raises(ApiError) as caught:
            await heard(client)
        assert caught.value.reason == "Timeout"


async def test_what_is_not_a_stream_of_news_is_no_watch_that_ended(tmp_path):
    async with serving(answering(302, "", Location="/login"), tmp_path) as client:
        with pytest.raises(ApiError) as caught:
            await heard(client)
        assert caught.value.status == 302


async def test_a_proxy_that_never_opens_the_way_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "_CONNECT", 0.1)
    silent = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    proxy = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    async with silent, connected(tmp_path, "https://10.96.0.1", proxy) as connection:
        with pytest.raises(ApiError) as caught:
            async with asyncio.timeout(10):
                await heard(KubeClient(connection))
        assert caught.value.reason == "Timeout"


async def test_watches_take_no_slots_from_requests(tmp_path):
    enough = asyncio.Event()

    async def handler(request):
        if "watch" not in request.query:
            return web.json_response({"kind": "Pod", "metadata": {"name": "x"}})
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(line(said("ADDED", "6")))
        await enough.wait()
        return response

    async with serving(handler, tmp_path, concurrency=1) as client:
        watches = [watch(client, PODS, "a", "", "5") for _ in range(3)]
        for one in watches:
            assert len(await anext(one)) == 1
        assert await client.list(PODS, "a", chunk=1)
        enough.set()
        for one in watches:
            await one.aclose()
