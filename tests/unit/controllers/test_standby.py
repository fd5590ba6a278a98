"""A replica that waits for its turn, for days, while services and jobs come and go."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, cast

from embedding_operator.api import names
from embedding_operator.controllers import app, routing
from embedding_operator.controllers.context import SCRIPTS, Context
from embedding_operator.kube.resources import Object, ObjectKey
from tests.unit.controllers import given

SPEC = {
    "model": {"source": {"modelScope": {"repo": "Qwen/Qwen3-VL-Embedding-2B", "revision": "master"}}},
    "cache": {"claimName": "weights"},
    "runtime": {"profile": "cpu"},
}


def come(operator: Context, name: str) -> tuple[Object, Object]:
    """A service and its Deployment."""
    metadata = {"name": name, "namespace": "search", "uid": name, "resourceVersion": "5", "generation": 1}
    owned = {"uid": f"{name}-child", "labels": {names.SERVICE_LABEL: name}}
    service = {"apiVersion": names.API_VERSION, "kind": names.EMBEDDING_SERVICE, "metadata": metadata, "spec": SPEC}
    child = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata | owned, "spec": {}}
    for obj in (service, child):
        routing.observed(operator, obj)
    return service, child


class NeverLeads:
    """For four periods, and then the test is over."""

    async def acquire(self) -> None:
        await asyncio.sleep(4 * 600.0)
        raise TimeoutError


class Listed:
    async def first(self) -> None:
        pass


def test_a_standby_does_not_remember_what_came_and_went() -> None:
    operator = given.context()
    for number in range(100):
        for obj in come(operator, f"gone-{number}"):
            routing.deleted(operator, obj)
    come(operator, "stays")
    operator.queue.add(ObjectKey(names.RUNTIME_PROFILE, "", "cpu"))
    assert len(operator.queue) > 100

    async def stand_by() -> None:
        with suppress(TimeoutError):
            await app._lead(operator, cast(Any, Listed()), cast(Any, NeverLeads()))

    given.timeless(stand_by())
    (cache,) = operator.users.caches_of(ObjectKey(names.EMBEDDING_SERVICE, "search", "stays"))
    assert set(operator.queue.waiting()) == {
        cache,  # is wanted, and not made yet
        ObjectKey(names.EMBEDDING_SERVICE, "search", "stays"),
        ObjectKey(names.RUNTIME_PROFILE, "", "cpu"),
    }
    assert operator.bereft == set()


def test_what_is_left_over_in_a_namespace_is_still_looked_for() -> None:
    operator = given.context()
    scripts = {"name": "scripts", "namespace": "search", "uid": "1", "resourceVersion": "5"}
    routing.observed(operator, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": scripts})
    for name in ("search", "gone"):
        operator.queue.add(ObjectKey(SCRIPTS, name, ""))

    async def stand_by() -> None:
        with suppress(TimeoutError):
            await app._lead(operator, cast(Any, Listed()), cast(Any, NeverLeads()))

    given.timeless(stand_by())
    assert operator.queue.waiting() == [ObjectKey(SCRIPTS, "search", "")]
