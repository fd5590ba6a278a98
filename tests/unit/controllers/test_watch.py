"""Kopf's watches against an API server that refuses for a while; it serves no objects at all."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any, cast

import kopf
import pytest
from aiohttp import web

from embedding_operator.controllers import apart, served, watch
from embedding_operator.controllers.context import Context, Settings
from embedding_operator.controllers.resync import Resync
from embedding_operator.kube.resources import MODEL_CACHES, OWN_KINDS, RUNTIME_PROFILES, Resource
from embedding_operator.planning.stagejob import StagingSite
from tests.unit.kube.serving import serving


class Refusing:
    """Lists are empty and watches end soon; `watched` counts by kind and status. Kinds may be `absent`, or `unlisted`
    where a client asks which there are."""

    def __init__(self) -> None:
        self.refuses = False
        self.absent: set[Resource] = set()
        self.unlisted: set[Resource] = set()
        self.says = b""  # in each watch
        self.listed = 0
        self.watched: Counter[tuple[str, int]] = Counter()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        plural = request.path.rpartition("/")[2]
        is_absent = any(one.plural == plural for one in self.absent)
        status = 401 if self.refuses else 404 if is_absent else 200
        if request.query.get("watch"):
            self.watched[plural, status] += 1
        elif request.query.get("limit") not in (None, "1"):  # whether it is served is asked by us, and lists nothing
            self.listed += 1
        if self.refuses:
            return web.json_response({"code": 401, "reason": "Unauthorized", "message": "Unauthorized"}, status=401)
        if is_absent:
            return web.Response(text="404 page not found\n", status=404)
        if request.query.get("watch"):
            return web.Response(body=self.says)
        return web.json_response(_said(request.path, self.absent | self.unlisted))

    async def until_watched(self, status: int, times: int = 1, kinds: Iterable[Resource] = watch.BY_KOPF) -> None:
        self.watched.clear()
        while any(self.watched[resource.plural, status] < times for resource in kinds):  # noqa: ASYNC110 - Kopf's
            await asyncio.sleep(0.01)

    async def until_listed(self) -> None:
        before = self.listed
        while self.listed < before + len(watch.BY_KOPF):  # noqa: ASYNC110 - Kopf's
            await asyncio.sleep(0.01)


def _said(path: str, passing_over: set[Resource]) -> dict[str, Any]:
    own = OWN_KINDS[0]
    version = {"groupVersion": own.api_version, "version": own.version}
    if path == "/apis":
        return {"groups": [{"name": own.group, "versions": [version], "preferredVersion": version}]}
    if path == f"/apis/{own.api_version}":
        return {"resources": [_resource(one) for one in OWN_KINDS if one not in passing_over]}
    if path == "/api":
        return {"versions": ["v1"]}
    if path == "/api/v1":
        return {"resources": [_resource(Resource("", "v1", "namespaces", "Namespace", namespaced=False))]}
    return {"kind": "List", "metadata": {"resourceVersion": "5"}, "items": []}


def _resource(of: Resource) -> dict[str, Any]:
    words = {"name": of.plural, "singularName": of.kind.lower(), "kind": of.kind, "namespaced": of.namespaced}
    return words | {"verbs": ["get", "list", "watch", "patch"]}


@contextlib.asynccontextmanager
async def watching(server: Refusing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Resync]:
    """Kopf at work, without pauses."""
    nobody, real = cast(Any, None), watch.settings

    def settings(begun: Callable[[Resource], None]) -> kopf.OperatorSettings:
        quick = real(begun)
        quick.watching.reconnect_backoff = 0.01
        return quick

    monkeypatch.setattr(watch, "settings", settings)
    async with serving(server.answer, tmp_path) as client:
        context = Context(Settings(staging=StagingSite("x")), client, nobody, nobody, nobody)
        resync = Resync(context, {})
        resync.synced.set()
        task = asyncio.create_task(apart.keep_watching(context, resync, client._connection))
        try:
            yield resync
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def is_left() -> bool:
    """Whether a thread of Kopf's goes on, a moment after it should have ended."""
    threads = [thread for thread in threading.enumerate() if thread.name == "kopf"]
    for thread in threads:
        thread.join(5.0)
    return any(thread.is_alive() for thread in threads)


async def test_kopf_goes_on_watching_after_an_api_server_refused_its_credentials_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_LOGIN_PAUSE", 0.05)
    server = Refusing()
    async with watching(server, tmp_path, monkeypatch):
        await server.until_watched(200)
        server.refuses = True
        await server.until_watched(401, times=3)
        server.refuses = False
        await server.until_watched(200, times=2)
    assert not is_left()


async def test_a_watch_that_begins_anew_was_heard_for_where_nothing_changes_kopf_tells_of_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Refusing()
    async with watching(server, tmp_path, monkeypatch) as resync:
        watches = resync._context.watches

        def heard() -> dict[str, float]:
            return {kind: known.heard for kind, (known,) in watches.by_kind()}

        await server.until_watched(200)
        before = heard()
        await server.until_watched(200, times=3)
        after = heard()
    assert before.keys() == {resource.plural for resource in watch.BY_KOPF}
    assert all(after[kind] > before[kind] for kind in before)


async def test_a_login_in_a_row_waits_and_is_never_equal_to_one_that_was_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    async with serving(Refusing().answer, tmp_path) as client:
        login = watch._login(client._connection.credentials)
        monkeypatch.setattr(watch.asyncio, "sleep", sleep)
        first, second = await login(), await login()
    assert first != second
    assert waited[0] < 0 < waited[1] <= watch._LOGIN_PAUSE


TOLD = {"kind": "Status", "code": 500, "reason": "InternalError", "message": "etcd has no leader"}
ENDINGS = {
    "an error other than 410": json.dumps({"type": "ERROR", "object": TOLD}).encode() + b"\n",
    "an event that is cut short": b'{"type": "ADDED", "object": {"meta',
    "something that is no event": b"<html>502 Bad Gateway</html>\n",
    "an event without an object": b'{"type": "ADDED"}\n',
}


async def test_what_ends_kopf_does_not_end_the_watches_nor_the_tasks_that_began_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(apart, "_PAUSE", 0.05)

    async def goes_on(ending: str) -> None:
        server = Refusing()
        server.says = ENDINGS[ending]
        (tmp_path / ending).mkdir()
        async with watching(server, tmp_path / ending, monkeypatch):
            await server.until_watched(200)
            server.says = b""
            await server.until_listed()  # by the next Kopf, after the first list of this one
            await server.until_watched(200, times=3)

    async with asyncio.TaskGroup() as group:
        for ending in ENDINGS:
            group.create_task(goes_on(ending))
    # once each at the least: where the test is slow, the next Kopf is told the same
    assert caplog.text.count("the watches of our own kinds ended, again in") >= len(ENDINGS)
    assert not is_left()


async def test_a_list_that_shows_nothing_any_more_is_followed_by_one_that_finds_what_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last ModelCache may be deleted while a watch is away: then Kopf lists anew, and has nothing to tell."""
    server, expired = Refusing(), TOLD | {"code": 410, "reason": "Expired", "message": "too old resource version"}
    told: set[str] = set()
    async with watching(server, tmp_path, monkeypatch) as resync:
        await server.until_watched(200)
        monkeypatch.setattr(resync, "replayed", told.add)
        server.says = json.dumps({"type": "ERROR", "object": expired}).encode() + b"\n"
        await server.until_listed()
        await server.until_listed()  # of these, all began after the watches had ended
        assert told == {one.kind for one in watch.BY_KOPF}
    assert not is_left()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pauses, but for the time in which Kopf has begun to watch on a machine that is busy."""
    for module, pause in ((apart, "_PAUSE"), (apart, "_KNOWN"), (apart, "LOOK"), (served, "LOOK")):
        monkeypatch.setattr(module, pause, 0.05)
    monkeypatch.setattr(served, "_BEGUN", 3.0)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("absent", [{MODEL_CACHES}, {RUNTIME_PROFILES}, {MODEL_CACHES, RUNTIME_PROFILES}])
async def test_kinds_that_come_and_go_and_come_again_are_watched_while_they_are_there(
    absent: set[Resource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    server = Refusing()
    server.absent = set(absent)
    async with watching(server, tmp_path, monkeypatch):
        for _ in range(2):
            while caplog.text.count("are not served") < len(absent):  # noqa: ASYNC110 - a log is not awaited
                await asyncio.sleep(0.01)
            await server.until_watched(200, kinds=set(watch.BY_KOPF) - absent)
            caplog.clear()
            server.absent = set()
            await server.until_watched(200)
            said = sorted(line for line in caplog.messages if line.endswith("are served now"))
            assert said == sorted(f"{one.plural} are served now" for one in absent)
            caplog.clear()
            server.absent = set(absent)
    assert "Unresolved" not in caplog.text
    assert not is_left()


@pytest.mark.usefixtures("quick")
async def test_a_kind_that_is_served_before_a_list_of_kinds_has_it_is_watched_once_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Refusing()
    server.unlisted = {RUNTIME_PROFILES}
    async with watching(server, tmp_path, monkeypatch):
        await server.until_watched(200, kinds={MODEL_CACHES})
        server.unlisted = set()
        await server.until_watched(200)
    assert not is_left()
