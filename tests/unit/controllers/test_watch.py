"""Kopf's watches against an API server that refuses for a while; it serves no objects at all."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any, cast

import kopf
import pytest
from aiohttp import web

from embedding_operator.controllers import watch
from embedding_operator.controllers.context import Context, Settings
from embedding_operator.controllers.resync import Resync
from embedding_operator.kube.resources import OWN_KINDS
from embedding_operator.planning.stagejob import StagingSite
from tests.unit.kube.serving import serving


class Refusing:
    """Lists are empty and watches end soon; `watched` counts by kind and status."""

    def __init__(self) -> None:
        self.refuses = False
        self.watched: Counter[tuple[str, int]] = Counter()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        status = 401 if self.refuses else 200
        if request.query.get("watch"):
            self.watched[request.path.rpartition("/")[2], status] += 1
        if self.refuses:
            return web.json_response({"code": 401, "reason": "Unauthorized", "message": "Unauthorized"}, status=401)
        if request.query.get("watch"):
            return web.Response()
        return web.json_response(_said(request.path))

    async def until_watched(self, status: int, times: int = 1) -> None:
        self.watched.clear()
        while any(self.watched[resource.plural, status] < times for resource in OWN_KINDS):  # noqa: ASYNC110 - Kopf's
            await asyncio.sleep(0.01)


def _said(path: str) -> dict[str, Any]:
    own = OWN_KINDS[0]
    version = {"groupVersion": own.api_version, "version": own.version}
    if path == "/apis":
        return {"groups": [{"name": own.group, "versions": [version], "preferredVersion": version}]}
    if path == f"/apis/{own.api_version}":
        return {"resources": [_resource(one.plural, one.kind, one.namespaced) for one in OWN_KINDS]}
    if path == "/api":
        return {"versions": ["v1"]}
    if path == "/api/v1":
        return {"resources": [_resource("namespaces", "Namespace", False)]}
    return {"kind": "List", "metadata": {"resourceVersion": "5"}, "items": []}


def _resource(plural: str, kind: str, namespaced: bool) -> dict[str, Any]:
    verbs = ["get", "list", "watch", "patch"]
    return {"name": plural, "singularName": kind.lower(), "kind": kind, "namespaced": namespaced, "verbs": verbs}


async def test_kopf_goes_on_watching_after_an_api_server_refused_its_credentials_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_LOGIN_PAUSE", 0.05)
    nobody = cast(Any, None)
    server = Refusing()
    async with serving(server.answer, tmp_path) as client:
        context = Context(Settings(staging=StagingSite("x")), client, nobody, nobody, nobody)
        registry = watch.registry(context, Resync(context, {}), client._connection)
        settings = watch.settings()
        settings.watching.reconnect_backoff = 0.01
        stop = asyncio.Event()
        operator = kopf.operator(registry=registry, settings=settings, clusterwide=True, stop_flag=stop)
        async with asyncio.TaskGroup() as group:
            group.create_task(operator)
            await server.until_watched(200)
            server.refuses = True
            await server.until_watched(401, times=3)
            server.refuses = False
            await server.until_watched(200, times=2)
            stop.set()


async def test_a_login_in_a_row_waits_and_is_never_equal_to_one_that_was_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    async with serving(Refusing().answer, tmp_path) as client:
        login = watch._login(client._connection)
        monkeypatch.setattr(watch.asyncio, "sleep", sleep)
        first, second = await login(), await login()
    assert first != second
    assert waited[0] < 0 < waited[1] <= watch._LOGIN_PAUSE
