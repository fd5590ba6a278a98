"""The operator's mind without its hands: the real cache, routing, queue and planners, and what they decide.

A decision is the whole plan of a key together with the children as the cache knows them, because the applier
compares the two. So two equal decisions make the same writes. Nothing is written here.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from embedding_operator.api import names
from embedding_operator.api.benchmark import EmbeddingBenchmark
from embedding_operator.api.codec import ApiValueError
from embedding_operator.api.job import EmbeddingJob
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.api.service import EmbeddingService
from embedding_operator.controllers import benchmarks, caches, jobs, routing
from embedding_operator.controllers.context import SCRIPTS, Context, Settings
from embedding_operator.controllers.progress import Looks
from embedding_operator.controllers.services import observe
from embedding_operator.controllers.shared import built_in_keys, reconcile_scripts
from embedding_operator.kube.apply import Applier
from embedding_operator.kube.cache import Cache
from embedding_operator.kube.client import KubeClient
from embedding_operator.kube.compact import unpacked
from embedding_operator.kube.connection import Connection
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import CLAIMS, Object, ObjectKey, Resource, key_of
from embedding_operator.planning.benchplan import has_ended_unheard, plan_benchmark
from embedding_operator.planning.cacheplan import CLAIM_POLL, plan_cache
from embedding_operator.planning.cachestate import CachePlan
from embedding_operator.planning.jobplan import plan_job
from embedding_operator.planning.plan import plan_service
from embedding_operator.planning.stagejob import StagingSite

SITE = StagingSite("example.com/embedding-operator:test")
NOBODY = cast(Any, None)
Decision = object


class Asking(KubeClient):
    """A client that reads from `state`, what the API server holds now, and notes what is to be deleted."""

    def __init__(self, cache: Cache) -> None:
        super().__init__(cast(Connection, NoConnection()))
        self.state: Mapping[ObjectKey, Object] = {}
        self.recalls = False  # whether looks at pods and services show what is known already
        self._cache = cache
        self.deleted: list[str] = []

    async def _exchange(self, verb: str, resource: Resource, path: str, query: Any, *_: Any) -> bytes:
        return json.dumps(self._found(verb, resource, path, query)).encode()

    def _found(self, verb: str, resource: Resource, path: str, query: Any) -> Object:
        if verb == "delete":
            self.deleted.append(path)
            return {}
        there = self._there(resource)
        if verb == "list":
            wanted = {tuple(part.split("=")) for part in query["labelSelector"].split(",")}
            found = [obj for key, obj in there if resource.path(key.namespace or None) == path]
            return {"metadata": {}, "items": [obj for obj in found if _labels(obj).items() >= wanted]}
        assert verb == "get", f"nothing is written here: {verb} {path}"
        for key, obj in there:
            if resource.path(key.namespace or None, key.name) == path:
                return obj
        raise ApiError(404, "NotFound", path)

    def _there(self, resource: Resource) -> list[tuple[ObjectKey, Object]]:
        if self.recalls and resource != CLAIMS:
            return [(key_of(obj), unpacked(obj)) for obj in self._cache.list(resource.kind)]
        return [(key, self.state[key]) for key in sorted(self.state) if key.kind == resource.kind]


class NoConnection:
    """Nothing is sent."""


class Mind:
    """One operator's memory since it was started."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        cache = Cache()
        self.client = Asking(cache)
        self.context = Context(
            settings=Settings(staging=SITE),
            client=self.client,
            cache=cache,
            applier=Applier(self.client, cache),
            recorder=NOBODY,
            http=NOBODY,  # pods of the recording have no addresses, so nobody is asked for progress
            looks=Looks(itertools.count(step=3600).__next__),  # however soon: decisions hang on no clock
        )
        self._loop = loop
        self._about = {
            names.MODEL_CACHE: self._about_cache,
            names.EMBEDDING_JOB: self._about_job,
            names.EMBEDDING_BENCHMARK: self._about_benchmark,
        }

    def call(self, function: Callable[..., None], *arguments: object) -> None:
        """Call what wants a running event loop."""

        async def called() -> None:
            function(*arguments)

        self._loop.run_until_complete(called())

    def observed(self, obj: Object) -> None:
        self.call(routing.observed, self.context, obj)

    def deleted(self, obj: Object) -> None:
        self.call(routing.deleted, self.context, obj)

    def keys(self) -> set[ObjectKey]:
        """Everything that there is to decide about, as far as is known."""
        cache = self.context.cache
        users = [*cache.keys(names.EMBEDDING_SERVICE), *cache.keys(names.EMBEDDING_JOB)]
        wanted = {cache for user in users for cache in self.context.users.caches_of(user)}
        others = [*cache.keys(names.MODEL_CACHE), *cache.keys(names.EMBEDDING_BENCHMARK)]
        scripts = {ObjectKey(SCRIPTS, key.namespace, "") for key in cache.keys("ConfigMap")}
        return {*users, *wanted, *others, *scripts, *built_in_keys()}

    def lead(self) -> None:
        """The first lists are done, and work begins."""
        for key in built_in_keys():
            self.call(self.context.queue.add, key)

    def waiting(self) -> set[ObjectKey]:
        """The keys that will be looked at (again) without any more news: now, or in a moment."""
        queue = self.context.queue
        return {*queue._dirty, *queue._due}

    def decide(self, key: ObjectKey) -> Decision:
        """What a worker would do about this key now; None is nothing."""
        if key.kind == names.EMBEDDING_SERVICE:
            return self._about_service(key)
        if key.kind in self._about:
            return self._loop.run_until_complete(self._about[key.kind](key))
        if key.kind == SCRIPTS:
            self.client.deleted = []
            self._loop.run_until_complete(reconcile_scripts(self.context, key))
            return self.client.deleted or None
        return None if key in self.context.cache else "make it"

    def would_decide(self, key: ObjectKey) -> Decision:
        """The same by what is known: nobody is asked for news, and nobody is woken."""
        self.client.recalls = True
        try:
            return self.decide(key)
        finally:
            self.client.recalls = False

    def carried_out(self, decision: Decision) -> Decision:
        """A decision once the script ConfigMap that it makes is there.

        It is immutable and named by what it holds. So when it comes, or another in its place, it says nothing new to
        the services that make it, which may be a thousand, and does not wake them; that it goes does.
        """
        if not isinstance(decision, tuple):
            return decision
        plan, children = decision
        return plan, [self._as_made(*pair) for pair in zip(plan.apply, children, strict=True)]

    def _as_made(self, desired: Object, before: Object | None) -> Object | None:
        made = self.context.cache.get(key_of(desired))
        if desired["kind"] != "ConfigMap" or made is None or made["data"] != desired["data"]:
            return before
        is_other = before is None or before["metadata"]["uid"] != made["metadata"]["uid"]
        return _as_applied(made) if is_other else before

    def decisions(self) -> dict[ObjectKey, Decision]:
        """What a worker would do about everything."""
        return {key: self.decide(key) for key in sorted(self.keys())}

    def _about_service(self, key: ObjectKey) -> Decision:
        obj = self.context.cache.get(key)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            return None
        try:
            service = EmbeddingService.from_dict(obj)
        except ApiValueError as error:
            return str(error)
        plan = plan_service(service, obj["spec"], observe(self.context, service))
        return plan, [_as_applied(self.context.cache.get(key_of(child))) for child in plan.apply]

    async def _about_job(self, key: ObjectKey) -> Decision:
        obj = self.context.cache.get(key)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            return None
        job = EmbeddingJob.from_dict(obj)
        seen = replace(await jobs._observe(self.context, key, job), now="", started_for=0, ended_for=0)
        plan = plan_job(job, seen, SITE)
        return plan, [_as_applied(self.context.cache.get(key_of(child))) for child in plan.apply]

    async def _about_benchmark(self, key: ObjectKey) -> Decision:
        obj = self.context.cache.get(key)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            return None
        benchmark = EmbeddingBenchmark.from_dict(obj)
        seen = benchmarks.observe(self.context, key, benchmark, obj)
        if has_ended_unheard(benchmark, seen):
            await benchmarks._look(self.context, key, benchmark)
            seen = benchmarks.observe(self.context, key, benchmark, obj)
        plan = plan_benchmark(benchmark, seen)
        if plan.waits_for and not self.client.recalls:
            self.context.queue.add(ObjectKey(key.kind, key.namespace, plan.waits_for))
        return plan

    async def _about_cache(self, key: ObjectKey) -> Decision:
        obj = self.context.cache.get(key)
        if obj is None:
            services = [self.context.cache.get(user) for user in self.context.users.of(key)]
            wanted = [caches._wanted(self.context, key, service) for service in services]
            return next(filter(None, wanted), None)
        cache = ModelCache.from_dict(obj)
        return plan_cache(cache, await caches._observe(self.context, key, cache), SITE)


def may_stand(before: Decision, now: Decision) -> bool:
    """Whether nobody is woken for what has changed between two decisions: claims that users make are not watched, but
    looked for from time to time."""
    return isinstance(before, CachePlan) and before.requeue_after == CLAIM_POLL


def contents(mind: Mind) -> dict[ObjectKey, Object]:
    """Everything in the cache."""
    return {key: unpacked(kept.object()) for key, kept in mind.context.cache._objects.items()}


def _labels(obj: Object) -> Object:
    return obj["metadata"].get("labels") or {}


def _as_applied(child: Object | None) -> Object | None:
    """A child without what moves when nobody touches what we own."""
    if child is None:
        return None
    metadata = {name: value for name, value in child["metadata"].items() if name != "resourceVersion"}
    return {name: value for name, value in unpacked(child).items() if name != "status"} | {"metadata": metadata}
