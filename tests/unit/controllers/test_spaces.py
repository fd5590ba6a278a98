"""Pods are asked once for what they measured, and nobody waits long for one that does not answer."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from embedding_operator.controllers import spaces
from embedding_operator.controllers.spaces import Spaces, fetch_vectors, may_be_asked
from embedding_operator.kube.resources import ObjectKey
from embedding_operator.planning.vectors import Record
from tests.cluster.certificates import Authority
from tests.unit.planning import given
from tests.unit.podscripts.conftest import until

SERVICE = ObjectKey("EmbeddingService", "search", "qwen")
OTHER = Record({"short": {"vector": "AAAAPA==", "length": 1.0}})
SPACE = "space-qwen-0"


def pod(name: str = "a", *, restarts: int = 0, started: bool = True, space: str = SPACE, **metadata: Any) -> Any:
    annotations = {"embedding-operator.io/embedding-space": space} if space else {}
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "annotations": annotations, **metadata},
        "status": {"podIP": "127.0.0.1", "containerStatuses": [{"started": started, "restartCount": restarts}]},
    }


class Serving:
    """What all pods answer, and how often they were asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: web.Response | Record = given.RECORD
        self.silent = False
        self.over = asyncio.Event()

    async def handle(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.silent:
            await self.over.wait()
        if isinstance(self.answer, Record):
            return web.json_response({"id": "x", "texts": self.answer.texts})
        answer, self.answer = self.answer, given.RECORD
        return answer


class Scene:
    def __init__(self, http: aiohttp.ClientSession, serving: Serving) -> None:
        self.http, self.serving, self.now = http, serving, 100.0
        self.app = web.Application()
        self.app.router.add_get("/-/space", serving.handle)
        self.spaces = Spaces(clock=lambda: self.now)

    async def look(self, *pods: Any, recorded: Record | None = None) -> float | None:
        return await self.spaces.look(self.http, SERVICE, pods, {SPACE: recorded})

    def known(self, *pods: Any, recorded: Record | None = None) -> dict[str, spaces.Measured]:
        return self.spaces.of(SERVICE, pods, {SPACE: recorded})


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    serving = Serving()
    monkeypatch.setattr(spaces, "_TIMEOUT", aiohttp.ClientTimeout(total=60))
    async with aiohttp.ClientSession() as http:
        scene = Scene(http, serving)
        runner = web.AppRunner(scene.app, shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        monkeypatch.setattr(spaces, "SERVER_PORT", runner.addresses[0][1])
        yield scene
    serving.over.set()
    await runner.cleanup()


async def test_each_start_of_a_server_is_asked_once(scene: Scene) -> None:
    for _ in range(3):
        assert await scene.look(pod("a"), pod("b")) is None
    assert scene.serving.asked == 2
    await scene.look(pod("a", restarts=1), pod("b"))
    assert scene.serving.asked == 3
    assert scene.known(pod("b"))["b"].id == given.RECORD.id


async def test_vectors_are_kept_while_they_are_not_those_recorded(scene: Scene) -> None:
    await scene.look(pod())
    kept = [scene.known(pod())["a"].record, scene.known(pod(), recorded=OTHER)["a"].record]
    kept.append(scene.known(pod(), recorded=given.RECORD)["a"].record)
    assert kept == [given.RECORD, given.RECORD, None]
    assert scene.known(pod(), recorded=given.RECORD)["a"].comparison


@pytest.mark.parametrize("recorded", [None, OTHER])
async def test_vectors_that_were_not_kept_are_asked_for_when_the_record_is_another(
    scene: Scene, recorded: Record | None
) -> None:
    await scene.look(pod(), recorded=given.RECORD)
    scene.known(pod(), recorded=given.RECORD)
    assert await scene.look(pod(), recorded=given.RECORD) is None
    await scene.look(pod(), recorded=recorded)
    assert scene.serving.asked == 2
    assert scene.known(pod(), recorded=recorded)["a"].record == given.RECORD


async def test_who_does_not_answer_is_asked_after_ever_longer_pauses(scene: Scene) -> None:
    pauses = []
    for _ in range(10):
        scene.serving.answer = web.Response(status=503)
        pauses.append(await scene.look(pod()))
        assert await scene.look(pod()) == pauses[-1]  # not yet
        scene.now += pauses[-1] or 0
    assert pauses == [5, 10, 20, 40, 80, 160, 320, 600, 600, 600]
    assert scene.serving.asked == 10
    assert scene.known(pod()) == {}


async def test_where_nobody_can_be_reached_one_pod_at_a_time_is_waited_for(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = spaces._TIMEOUT
    monkeypatch.setattr(spaces, "_TIMEOUT", aiohttp.ClientTimeout(total=0.2))
    scene.serving.silent = True
    await scene.look(pod("a"))  # so it is known
    scene.now += 5
    first = asyncio.create_task(scene.look(pod("a"), pod("b"), pod("c")))
    await until(lambda: scene.serving.asked == 2)
    other = ObjectKey("EmbeddingService", "search", "other")
    assert await scene.spaces.look(scene.http, other, [pod("d")], {}) == 5  # at once, and not soon again
    await first
    assert scene.serving.asked == 2
    scene.serving.silent = False
    monkeypatch.setattr(spaces, "_TIMEOUT", patience)
    scene.now += 10
    await scene.look(pod("a"), pod("b"), pod("c"))  # the first one answers, so the next are asked together
    scene.now += 10
    assert await scene.look(pod("a"), pod("b"), pod("c")) is None
    assert scene.serving.asked == 5


async def test_what_is_gone_is_forgotten(scene: Scene) -> None:
    await scene.look(pod())
    await scene.look()
    assert scene.known(pod()) == {}


ODD: list[Any] = [
    pod(started=False),
    pod(space=""),
    pod(deletionTimestamp="2026-01-01T00:00:00Z"),
    {"metadata": pod()["metadata"]},
    {"metadata": pod()["metadata"], "status": pod()["status"] | {"podIP": ""}},
    {"metadata": pod()["metadata"], "status": pod()["status"] | {"containerStatuses": []}},
]


@pytest.mark.parametrize("odd", ODD)
def test_a_pod_that_cannot_have_measured_is_not_asked(odd: Any) -> None:
    assert not may_be_asked(odd)
    assert may_be_asked(pod())


HUGE = json.dumps({"texts": {"short": {"vector": "A" * 600_000, "length": 1}}})


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(status=404),
        web.Response(status=302, headers={"Location": "/-/space"}),
        web.Response(text=""),
        web.Response(text="[]"),
        web.Response(text="[" * 100_000),
        web.Response(text='{"texts": null}'),
        web.Response(text=HUGE),
    ],
    ids=str,
)
async def test_an_answer_without_vectors_is_none(scene: Scene, answer: web.Response) -> None:
    scene.serving.answer = answer
    assert await fetch_vectors(scene.http, pod()) is None
    assert scene.serving.asked == 1


async def test_vectors_come_in_many_pieces(scene: Scene) -> None:
    texts = {str(number): {"vector": "ADwA" * 10_000, "length": 1.0} for number in range(6)}
    scene.serving.answer = Record(texts)
    found = await fetch_vectors(scene.http, pod())
    assert found == Record(texts)


async def test_a_pod_that_speaks_https_is_asked_so_whatever_name_its_certificate_has(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*Authority(tmp_path).issue("server", "x", hosts=["qwen.search.svc"]))
    runner = web.AppRunner(scene.app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    monkeypatch.setattr(spaces, "SERVER_PORT", runner.addresses[0][1])
    secured = pod()
    assert await fetch_vectors(scene.http, secured) is None
    secured["metadata"]["annotations"]["embedding-operator.io/scheme"] = "HTTPS"
    assert await fetch_vectors(scene.http, secured) == given.RECORD
    await runner.cleanup()


def test_config_maps_are_read_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Spaces()
    content = json.dumps({"texts": given.RECORD.texts})
    metadata = {"namespace": "search", "name": SPACE}
    good = {"kind": "ConfigMap", "metadata": metadata, "data": {"space.json": content}}
    first = kept.recorded([good])
    assert first == {SPACE: given.RECORD}
    assert kept.recorded([good])[SPACE] is first[SPACE]
    for data in (None, {}, {"space.json": "{"}, {"space.json": '{"texts": {}}'}):
        assert kept.recorded([{**good, "data": data}]) == {SPACE: None}


def test_few_records_are_kept_beside_their_config_maps_however_many_services_there_are() -> None:
    kept = Spaces()
    text = json.dumps({"texts": given.RECORD.texts})
    for number in range(2000):
        kept.recorded([{"kind": "ConfigMap", "metadata": {"name": f"s{number}"}, "data": {"space.json": text}}])
    assert len(kept._records) <= 256
