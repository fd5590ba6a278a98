"""What makes the kubelet start the operator anew, and what must not."""

import asyncio
import logging
import time
from typing import Any, cast

import pytest

from embedding_operator.controllers import heartbeat
from embedding_operator.controllers.context import Context
from embedding_operator.controllers.heartbeat import Heartbeat
from embedding_operator.controllers.liveness import SILENT, STUCK, complaints
from embedding_operator.kube.resources import PODS, ObjectKey
from embedding_operator.kube.watches import Watches
from embedding_operator.kube.workqueue import WorkQueue
from embedding_operator.metrics.calls import Calls
from embedding_operator.metrics.histogram import Histogram
from tests.unit.controllers.given import context

KEY = ObjectKey("EmbeddingService", "search", "qwen")


class Scene:
    """An operator whose clock is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls = Calls(self.clock)
        client = cast(Any, type("Client", (), {"calls": self.calls}))
        queue: WorkQueue[ObjectKey] = WorkQueue(clock=self.clock)
        base = context(client)
        self.context = Context(
            settings=base.settings,
            client=client,
            applier=base.applier,
            recorder=base.recorder,
            http=base.http,
            queue=queue,
            watches=Watches(self.clock),
        )

    def clock(self) -> float:
        return self.now

    def complaints(self) -> list[str]:
        return list(complaints(self.context))


async def test_a_worker_that_has_a_key_for_too_long_is_named_by_it() -> None:
    scene = Scene()
    scene.context.queue.add(KEY)
    await scene.context.queue.get()
    scene.now = STUCK
    assert scene.complaints() == []
    scene.now = STUCK + 1
    assert scene.complaints() == [f"a worker has been at {KEY} for 601 s"]
    scene.context.queue.done(KEY)
    assert scene.complaints() == []


async def test_a_key_that_waits_for_ever_is_no_complaint_for_a_standby_has_no_workers() -> None:
    scene = Scene()
    scene.context.queue.add(KEY)
    scene.now = 1e6
    assert scene.complaints() == []


def test_a_watch_that_is_silent_is_named() -> None:
    scene = Scene()
    scene.context.watches.begun(PODS)
    scene.now = SILENT + 1
    assert scene.complaints() == ["the watch of pods has been silent for 901 s, while the API server answered all else"]


def test_an_api_server_that_is_away_is_never_a_reason() -> None:
    scene = Scene()
    scene.context.watches.begun(PODS)
    while scene.now < 1e5:
        scene.now += 30
        with pytest.raises(OSError), scene.calls.timed("get", "leases"):
            raise OSError
        assert scene.complaints() == []
    scene.now += SILENT  # it is back, and the watch has as long as ever to begin anew
    assert scene.complaints() == []


async def test_a_loop_that_is_blocked_is_told_with_the_place_where(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "_BEAT", 0.01)
    monkeypatch.setattr(heartbeat, "BLOCKED", 0.05)
    lag = Histogram()
    beating = asyncio.create_task(Heartbeat().run(lag))
    while not lag.count:  # noqa: ASYNC110 - what beats sets no event
        await asyncio.sleep(0.01)
    with caplog.at_level(logging.ERROR):
        while not caplog.records:
            time.sleep(0.01)  # noqa: ASYNC251 - that is the point
    (told,) = caplog.messages
    assert "the event loop has been blocked for" in told
    assert "time.sleep(0.01)" in told or "caplog.records" in told
    before = lag.sum
    await asyncio.sleep(0.05)
    assert lag.sum > before
    beating.cancel()
