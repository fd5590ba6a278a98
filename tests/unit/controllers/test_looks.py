"""What a controller learns when it looks at the pods of a Job that ended in silence is news for all others, too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from embedding_operator.api import names
from embedding_operator.controllers import caches, jobs
from embedding_operator.controllers.context import Context
from embedding_operator.kube.paging import Listing
from embedding_operator.kube.resources import Object, ObjectKey
from tests.unit.controllers import given

ON_CLAIM = names.claim_labels("model-weights")
Look = Callable[[Context, ObjectKey, dict[str, str]], Awaitable[list[Object]]]


def pod(name: str, phase: str, version: str, owner: dict[str, str]) -> Object:
    metadata = {"name": name, "namespace": "search", "uid": name, "resourceVersion": version}
    labels = {"labels": ON_CLAIM | owner}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata | labels, "status": {"phase": phase}}


class Server:
    """An API server where the pod has ended, of which no watch has told yet."""

    def __init__(self, ended: Object) -> None:
        self._ended = ended

    async def list(self, *_: Any) -> Listing:
        return Listing([self._ended], "9")


@pytest.mark.parametrize(
    ("look", "label", "kind"),
    [(jobs._pods_now, names.JOB_LABEL, names.EMBEDDING_JOB), (caches._pods_now, names.CACHE_LABEL, names.MODEL_CACHE)],
)
async def test_whoever_waits_for_the_claim_of_a_pod_that_has_ended_is_woken(look: Look, label: str, kind: str) -> None:
    owned = {label: "wiki"}
    context = given.context(Server(pod("it", "Succeeded", "8", owned)))
    context.cache.upsert(pod("it", "Running", "5", owned))
    context.cache.upsert(pod("waits", "Pending", "5", {names.SERVICE_LABEL: "qwen"}))
    (found,) = await look(context, ObjectKey(kind, "search", "wiki"), owned)
    assert found["status"]["phase"] == "Succeeded"
    woken = [await context.queue.get() for _ in range(len(context.queue))]
    assert ObjectKey(names.EMBEDDING_SERVICE, "search", "qwen") in woken
