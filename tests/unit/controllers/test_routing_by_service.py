"""Jobs and benchmarks that name a service hear of it, and a benchmark of the end of the one before it."""

from __future__ import annotations

import pytest

from embedding_operator.controllers import routing
from embedding_operator.controllers.context import Context
from embedding_operator.kube.resources import Object, ObjectKey
from tests.unit.controllers import given

JOB, BENCHMARK, SERVICE = "EmbeddingJob", "EmbeddingBenchmark", "EmbeddingService"


def obj(kind: str, name: str, service: str = "", version: int = 5) -> Object:
    metadata = {"name": name, "namespace": "search", "uid": name, "resourceVersion": str(version)}
    spec = {"serviceRef": {"name": service}} if service else {}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec}


async def woken(context: Context) -> set[tuple[str, str]]:
    keys = set[ObjectKey]()
    while len(context.queue):
        key = await context.queue.get()
        keys.add(key)
        context.queue.done(key)
    return {(key.kind, key.name) for key in keys}


async def with_some_of_each() -> Context:
    context = given.context()
    for kind in (JOB, BENCHMARK):
        for name, service in (("one", "qwen"), ("two", "qwen"), ("other", "gte")):
            routing.observed(context, obj(kind, name, service))
    await woken(context)
    return context


async def test_a_service_wakes_those_that_name_it() -> None:
    context = await with_some_of_each()
    routing.observed(context, obj(SERVICE, "qwen"))
    of_it = {(JOB, "one"), (JOB, "two"), (BENCHMARK, "one"), (BENCHMARK, "two")}
    assert await woken(context) == {(SERVICE, "qwen"), *of_it}


async def test_one_that_names_another_service_now_hears_of_the_former_no_more() -> None:
    context = await with_some_of_each()
    routing.observed(context, obj(BENCHMARK, "one", "gte", version=6))
    await woken(context)
    routing.observed(context, obj(SERVICE, "gte"))
    assert await woken(context) == {(SERVICE, "gte"), (JOB, "other"), (BENCHMARK, "one"), (BENCHMARK, "other")}


async def test_the_end_of_a_benchmark_wakes_those_that_wait_for_their_turn() -> None:
    context = await with_some_of_each()
    routing.deleted(context, obj(BENCHMARK, "one", "qwen"))
    assert await woken(context) == {(BENCHMARK, "one"), (BENCHMARK, "two")}


@pytest.mark.parametrize("kind", ["Pod", "ControllerRevision"])
async def test_what_a_benchmark_measures_wakes_it_as_well_as_the_service(kind: str) -> None:
    """They may be told after the service's status, which then says nothing new: the service alone would look again."""
    context = await with_some_of_each()
    child = obj(kind, "qwen-1")
    child["metadata"]["labels"] = {"embedding-operator.io/service": "qwen"}
    of_it = {(SERVICE, "qwen"), (BENCHMARK, "one"), (BENCHMARK, "two")}
    routing.observed(context, child)
    assert await woken(context) == of_it
    routing.deleted(context, child)
    assert await woken(context) >= of_it


@pytest.mark.parametrize("condition", ["Ready", "Stalled"])
async def test_a_benchmark_whose_status_says_that_it_is_over_wakes_those_that_wait(condition: str) -> None:
    """Whoever wrote that: it was us, where the answer to our write was lost."""
    context = await with_some_of_each()
    over = {"status": {"conditions": [{"type": condition, "status": "True"}]}}
    routing.observed(context, obj(BENCHMARK, "one", "qwen", version=6) | over)
    assert await woken(context) == {(BENCHMARK, "one"), (BENCHMARK, "two")}


async def test_a_benchmark_that_is_done_is_left_alone() -> None:
    context = await with_some_of_each()
    done = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    routing.observed(context, obj(BENCHMARK, "one", "qwen", version=6) | done)
    await woken(context)
    routing.observed(context, obj(SERVICE, "qwen"))
    assert await woken(context) == {(SERVICE, "qwen"), (JOB, "one"), (JOB, "two"), (BENCHMARK, "two")}
