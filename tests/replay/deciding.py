"""The operator's mind without its hands: the real cache, routing, queue and planners, and what they decide.

A decision is the whole plan of a key together with the children as the cache knows them, because the applier
compares the two. So two equal decisions make the same writes. Nothing is written here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, cast

from embedding_operator.api import names
from embedding_operator.api.codec import ApiValueError
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.api.service import EmbeddingService
from embedding_operator.controllers import caches, routing
from embedding_operator.controllers.context import SCRIPTS, Context, Settings
from embedding_operator.controllers.services import observe
from embedding_operator.controllers.shared import built_in_keys, reconcile_scripts
from embedding_operator.kube.apply import Applier
from embedding_operator.kube.cache import Cache
from embedding_operator.kube.client import KubeClient
from embedding_operator.kube.compact import unpacked
from embedding_operator.kube.connection import Connection
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import Object, ObjectKey, Resource, key_of
from embedding_operator.planning.cacheplan import CLAIM_POLL, plan_cache
from embedding_operator.planning.cachestate import CachePlan
from embedding_operator.planning.plan import plan_service
from embedding_operator.planning.stagejob import StagingSite

SITE = StagingSite("example.com/embedding-operator:test")
NOBODY = cast(Any, None)
Decision = object


class Asking(KubeClient):
    """A client that reads from `state`, what the API server holds now, and notes what is to be deleted."""

    def __init__(self) -> None:
        super().__init__(cast(Connection, NoConnection()))
        self.state: Mapping[ObjectKey, Object] = {}
        self.deleted: list[str] = []

    async def _exchange(self, verb: str, resource: Resource, path: str, query: Any, *_: Any) -> bytes:
        return json.dumps(self._found(verb, resource, path, query)).encode()

    def _found(self, verb: str, resource: Resource, path: str, query: Any) -> Object:
        if verb == "delete":
            self.deleted.append(path)
            return {}
        if verb == "list":
            items = self._listed(resource, path, query["labelSelector"])
            return {"metadata": {}, "items": items}
        assert verb == "get", f"nothing is written here: {verb} {path}"
        for key, obj in self.state.items():
            if key.kind == resource.kind and resource.path(key.namespace or None, key.name) == path:
                return obj
        raise ApiError(404, "NotFound", path)

    def _listed(self, resource: Resource, path: str, selector: str) -> list[Object]:
        wanted = {tuple(part.split("=")) for part in selector.split(",")}
        of_kind = sorted(key for key in self.state if key.kind == resource.kind)
        there = [self.state[key] for key in of_kind if resource.path(key.namespace or None) == path]
        return [obj for obj in there if (obj["metadata"].get("labels") or {}).items() >= wanted]


class NoConnection:
    """Nothing is sent."""


class Mind:
    """One operator's memory since it was started."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.client, cache = Asking(), Cache()
        self.context = Context(
            settings=Settings(staging=SITE),
            client=self.client,
            cache=cache,
            applier=Applier(self.client, cache),
            recorder=NOBODY,
            http=NOBODY,  # pods of the recording have no addresses, so nobody is asked for progress
        )
        self._loop = loop

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
        services = cache.keys(names.EMBEDDING_SERVICE)
        wanted = {cache for service in services for cache in self.context.users.caches_of(service)}
        scripts = {ObjectKey(SCRIPTS, key.namespace, "") for key in cache.keys("ConfigMap")}
        return {*services, *wanted, *cache.keys(names.MODEL_CACHE), *scripts, *built_in_keys()}

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
        if key.kind == names.MODEL_CACHE:
            return self._loop.run_until_complete(self._about_cache(key))
        if key.kind == SCRIPTS:
            self.client.deleted = []
            self._loop.run_until_complete(reconcile_scripts(self.context, key))
            return self.client.deleted or None
        return None if key in self.context.cache else "make it"

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

    async def _about_cache(self, key: ObjectKey) -> Decision:
        obj = self.context.cache.get(key)
        if obj is None:
            services = [self.context.cache.get(user) for user in self.context.users.of(key)]
            wanted = [caches._wanted(self.context, key, service) for service in services]
            return next(filter(None, wanted), None)
        cache = ModelCache.from_dict(obj)
        return plan_cache(cache, await caches._observe(self.context, key, cache), SITE)


def waits_for_a_claim(decision: Decision) -> bool:
    """Claims that users make are not watched, but looked for from time to time."""
    return isinstance(decision, CachePlan) and decision.requeue_after == CLAIM_POLL


def contents(mind: Mind) -> dict[ObjectKey, Object]:
    """Everything in the cache."""
    return {key: unpacked(kept.object()) for key, kept in mind.context.cache._objects.items()}


def _as_applied(child: Object | None) -> Object | None:
    """A child without what moves when nobody touches what we own."""
    if child is None:
        return None
    metadata = {name: value for name, value in child["metadata"].items() if name != "resourceVersion"}
    return {name: value for name, value in unpacked(child).items() if name != "status"} | {"metadata": metadata}
