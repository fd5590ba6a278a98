"""Who is looked at again after a benchmark was: the next in line, and whoever waits for what was learned."""

from dataclasses import replace
from typing import Any, cast

from embedding_operator.api import names
from embedding_operator.controllers import routing
from embedding_operator.controllers.benchmarks import reconcile_benchmark
from embedding_operator.controllers.context import Context
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.paging import Listing
from embedding_operator.kube.resources import ObjectKey
from embedding_operator.planning import revision
from tests.unit.controllers import given
from tests.unit.planning import benchmarks, jobs

OLD, YOUNG = (ObjectKey(names.EMBEDDING_BENCHMARK, "search", name) for name in ("old", "young"))
SERVED = {names.SERVICE_LABEL: "qwen"}
SERVICE = ObjectKey(names.EMBEDDING_SERVICE, "search", "qwen")


class Server:
    """An API server that takes what is applied, or refuses it, and knows of these pods and this service."""

    def __init__(self, refusal: ApiError | None = None) -> None:
        self.refusal = refusal
        self.pods: list[dict[str, Any]] = []
        self.service: dict[str, Any] = {}
        self.statuses: dict[str, Any] = {}
        self.made: dict[str, Any] = {}

    async def apply(self, desired: dict[str, Any]) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.made[desired["kind"]] = desired

    create = apply

    async def delete(self, obj: dict[str, Any]) -> None: ...

    async def apply_status(self, desired: dict[str, Any]) -> None:
        self.statuses[desired["metadata"]["name"]] = desired["status"]

    async def list(self, resource: Any, namespace: str, selector: str) -> Listing:
        return Listing(self.pods if selector.endswith("/service=qwen") else [], "2")

    async def get(self, key: ObjectKey) -> dict[str, Any]:
        return self.service

    def emit(self, *event: Any) -> None: ...


def standing(server: Server) -> Context:
    """Two benchmarks of a service that serves."""
    anything = cast(Any, server)
    context = replace(given.context(anything), applier=anything, recorder=anything)
    for key, created in ((OLD, "2026-03-04T12:00:00Z"), (YOUNG, "2026-03-04T12:00:01Z")):
        made = benchmarks.benchmark().to_dict()
        metadata = {"name": key.name, "uid": key.name, "creationTimestamp": created, "resourceVersion": "1"}
        context.cache.upsert(made | {"kind": key.kind, "metadata": made["metadata"] | metadata})
    service = benchmarks.service().to_dict()
    context.cache.upsert(service | {"kind": SERVICE.kind, "metadata": service["metadata"] | {"resourceVersion": "1"}})
    (made_of,) = benchmarks.revisions()
    context.cache.upsert(revision.controller_revision({"namespace": "search", "labels": SERVED}, made_of))
    for pod in servers(version="1"):
        context.cache.upsert(pod)
    return context


def servers(*, version: str, restarts: int = 0) -> list[dict[str, Any]]:
    """The pods of the service."""
    made = benchmarks.servers(*benchmarks.revisions(), restarts=restarts)
    return [pod | {"metadata": pod["metadata"] | {"labels": SERVED, "resourceVersion": version}} for pod in made]


async def woken(context: Context) -> list[ObjectKey]:
    keys = []
    while len(context.queue):
        keys.append(await context.queue.get())
        context.queue.done(keys[-1])
    return keys


def reason(server: Server, name: str) -> str:
    return str(server.statuses[name]["conditions"][0]["reason"])


async def test_who_waits_for_its_turn_sees_to_it_that_the_one_before_is_looked_at() -> None:
    """Else both would wait, where a Job was deleted and the turn is that of one who was told to wait."""
    context = standing(server := Server())
    await reconcile_benchmark(context, YOUNG)
    assert reason(server, "young") == "WaitingForTurn"
    assert await woken(context) == [OLD]


async def test_a_benchmark_that_is_refused_gives_its_turn_to_the_next() -> None:
    context = standing(server := Server(ApiError(422, "Invalid", "no such field")))
    await reconcile_benchmark(context, OLD)
    assert reason(server, "old") == "ApplyRefused"
    assert YOUNG in await woken(context)


async def test_what_is_learned_at_the_end_of_a_run_is_news_for_the_service_too() -> None:
    """The watch tells the same state a moment later, which is no news any more."""
    context = standing(server := Server())
    await reconcile_benchmark(context, OLD)
    job, _ = benchmarks.ended(server.made["Job"], None)
    context.cache.upsert(job)
    server.pods = servers(version="2", restarts=1)
    server.service = context.cache.get(SERVICE) or {}
    await reconcile_benchmark(context, OLD)
    assert SERVICE in await woken(context)


async def test_benchmarks_are_woken_when_a_job_begins_or_ends_to_have_the_service_embed() -> None:
    context = standing(Server())
    for version, reason, wakes in (
        ("1", "Splitting", False),
        ("2", "Embedding", True),
        ("3", "Embedding", False),  # and further: that wakes nobody
        ("4", "Finishing", True),
    ):
        says = {"type": "Ready", "status": "False", "reason": reason, "message": version}
        job = jobs.by_service() | {"status": {"conditions": [says], "workers": {"active": 1}}}
        routing.observed(context, job | {"metadata": job["metadata"] | {"resourceVersion": version}})
        assert (YOUNG in await woken(context)) is wakes


async def test_jobs_that_have_the_service_embed_are_waited_for_and_others_not() -> None:
    for service, expected in (("bge", "Measuring"), ("qwen", "WaitingForTurn")):
        context = standing(server := Server())
        embeds = {"type": "Ready", "status": "False", "reason": "Embedding"}
        job = jobs.by_service() | {"status": {"conditions": [embeds], "workers": {"active": 1}}}
        job["spec"]["serviceRef"] = {"name": service}
        context.cache.upsert(job | {"metadata": job["metadata"] | {"resourceVersion": "1"}})
        await reconcile_benchmark(context, OLD)
        assert reason(server, "old") == expected
        assert ("Job" in server.made) is (expected == "Measuring")
