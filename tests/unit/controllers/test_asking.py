"""Pods are asked for vectors apart from reconciles: only what is new wakes a service."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from embedding_operator.controllers import spaces
from embedding_operator.controllers.asking import ask_before_unsaying, ask_pods, ask_when_due
from embedding_operator.controllers.context import FIRST_ROUND, Context
from embedding_operator.controllers.workers import RECONCILERS
from embedding_operator.kube.resources import ObjectKey
from embedding_operator.planning.observed import Observed
from embedding_operator.planning.vectors import Record
from tests.unit.controllers import given
from tests.unit.planning.given import RECORD
from tests.unit.podscripts.conftest import until

KEY = ObjectKey("EmbeddingService", "search", "qwen")
SPACE = {"embedding-operator.io/embedding-space": "space-qwen-0"}
SAID = {"conditions": [{"type": "Degraded", "status": "True", "reason": "EmbeddingSpaceChanged"}]}


class Scene:
    """One service with one pod that has started."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.context: Context = given.context()
        self.asked = 0
        self.answer: Record | None = RECORD
        monkeypatch.setattr(spaces, "fetch_vectors", self._fetch)
        self.service = self._known("EmbeddingService", "qwen", {"spec": {}})
        status = {"podIP": "10.0.0.1", "containerStatuses": [{"started": True, "restartCount": 0}]}
        self.pod = self._known("Pod", "qwen-0", {"status": status})

    def _known(self, kind: str, name: str, rest: dict[str, Any]) -> Any:
        metadata = {"name": name, "namespace": "search", "uid": name, "resourceVersion": "1", "annotations": SPACE}
        metadata["labels"] = {"embedding-operator.io/service": "qwen"}  # type: ignore[assignment]
        self.context.cache.upsert({"kind": kind, "metadata": metadata, **rest})
        return self.context.cache.get(ObjectKey(kind, "search", name))

    async def _fetch(self, *_: Any) -> Record | None:
        self.asked += 1
        return self.answer

    def reconciled(self, **spec: Any) -> None:
        ask_when_due(self.context, KEY, {**self.service, "spec": spec}, Observed(profiles={}, pods=[self.pod]))

    async def ask(self) -> None:
        self.context.caught_up.set()
        asking = asyncio.create_task(ask_pods(self.context))
        await until(lambda: self.asked and not self.context.asks.processing)
        asking.cancel()


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    scene = Scene(monkeypatch)
    queue = scene.context.queue
    while len(queue):  # they are known
        queue.done(await queue.get())
    return scene


async def test_what_was_learnt_wakes_the_service_which_has_nothing_more_to_ask(scene: Scene) -> None:
    scene.reconciled()
    assert (scene.asked, len(scene.context.asks)) == (0, 1), "its reconcile does not wait"
    await scene.ask()
    assert await scene.context.queue.get() == KEY
    scene.reconciled()
    assert (scene.asked, len(scene.context.asks), scene.context.asks.delayed) == (1, 0, 0)


async def test_a_new_leader_asks_nobody_before_it_has_looked_at_everything(scene: Scene) -> None:
    scene.reconciled()
    asking = asyncio.create_task(ask_pods(scene.context))
    for _ in range(100):
        await asyncio.sleep(0)
    assert scene.asked == 0
    await RECONCILERS[FIRST_ROUND](scene.context, ObjectKey(FIRST_ROUND, "", ""))
    await until(lambda: scene.asked == 1)
    asking.cancel()


async def test_who_does_not_answer_is_asked_again_later_and_wakes_nobody(scene: Scene) -> None:
    scene.answer = None
    scene.reconciled()
    await scene.ask()
    assert len(scene.context.queue) == 0
    assert scene.context.asks.delayed == 1
    scene.reconciled()  # for another reason, in between
    assert (len(scene.context.asks), scene.context.asks.delayed) == (0, 1)


async def test_nobody_is_asked_where_nothing_is_compared(scene: Scene) -> None:
    scene.reconciled(rollout={"embeddingSpace": {"policy": "Off"}})
    assert (len(scene.context.asks), scene.context.asks.delayed) == (0, 0)


@pytest.mark.parametrize(("status", "asked"), [({}, 0), (SAID, 1)])
async def test_an_operator_that_has_just_started_asks_before_it_takes_back_what_is_said_of_vectors(
    scene: Scene, status: dict[str, Any], asked: int
) -> None:
    for _ in range(2):
        await ask_before_unsaying(scene.context, KEY, {**scene.service, "status": status})
    assert scene.asked == asked


async def test_a_defect_in_one_answer_ends_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any) -> Record | None:
        scene.asked += 1
        raise RuntimeError("what nobody thought of")

    monkeypatch.setattr(spaces, "fetch_vectors", broken)
    scene.reconciled()
    await scene.ask()
    assert scene.context.asks.delayed == 1
