"""Full lists: the first one fills the cache, later ones heal what watches lost.

Kopf does not tell deletions that happened while a watch was away, so for the kinds that it watches a list follows
every replay. All kinds are listed every ten minutes in any case, and each round looks at all our objects again, spread
over the period.
"""

import asyncio
import logging
import random

from embedding_operator.controllers import routing
from embedding_operator.controllers.context import SCRIPTS, Context
from embedding_operator.controllers.namespaces import leave_out
from embedding_operator.controllers.served import appeared, vanished
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import OPTIONAL_KINDS, OWN_KINDS, ObjectKey, Resource, by_kind, key_of

logger = logging.getLogger(__name__)

_QUIET = 2.0  # seconds without news: a replay comes as a burst of events
_LONGEST = 10.0  # seconds that are waited for quiet, and for an API server that did not list
_TOGETHER = 3  # lists of different kinds; a part of each is in memory


class Resync:
    """Lists what is watched; `synced` is set once everything was listed once.

    `versions` are the resourceVersions of the first lists, by kind and namespace, from where news are followed.
    """

    def __init__(self, context: Context, selectors: dict[Resource, str]) -> None:
        self.synced = asyncio.Event()
        self.versions: dict[tuple[Resource, str | None], str] = {}
        self._context = context
        self._selectors = selectors
        self._quiet_at: dict[str, float] = {}  # when a kind's watch will have listed nothing for long enough
        self._since: dict[str, float] = {}  # when that began to be waited for
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = False

    async def first(self) -> None:
        """Fill the cache, however long the API server lets us wait; some kinds together, since it takes its time."""
        await leave_out(self._context)
        slots = asyncio.Semaphore(_TOGETHER)
        async with asyncio.TaskGroup() as group:
            for resource in self._selectors:
                for namespace in self.scopes(resource):
                    group.create_task(self._list_first(resource, namespace, slots))
        self.synced.set()

    async def _list_first(self, resource: Resource, namespace: str | None, slots: asyncio.Semaphore) -> None:
        delay = 0.5
        while True:
            try:
                async with slots:
                    self.versions[resource, namespace] = await self.list(resource, namespace)
                return
            except ApiError as error:
                logger.warning("cannot list %s yet, trying again: %s", resource.plural, error)
                await asyncio.sleep(max(delay, error.retry_after or 0.0))
                delay = min(delay * 2, 15.0)

    def scopes(self, resource: Resource) -> tuple[str | None, ...]:
        """The namespaces in which a kind is listed and watched; None is all of them at once."""
        return (self._context.namespaces or (None,)) if resource.namespaced else (None,)

    async def run(self) -> None:
        """A round each period, with a little jitter, until cancelled."""
        try:
            await self._rounds()
        finally:
            self._ended = True
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _rounds(self) -> None:
        await self.synced.wait()
        while True:
            period = self._context.settings.resync_seconds * random.uniform(0.9, 1.1)  # noqa: S311 - spreads load
            await asyncio.sleep(period)
            for resource in self._selectors:
                await self._try(resource)
            self._spread(period)

    def replayed(self, kind: str) -> None:
        """A watch lists its kind (anew): look for deletions that it missed, STRICTLY AFTER the burst is over."""
        self._look_after(kind, _QUIET)

    def _look_after(self, kind: str, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._quiet_at[kind] = loop.time() + seconds
        if kind not in self._since:
            self._since[kind] = loop.time()
            loop.call_later(seconds, self._start, kind)

    def _start(self, kind: str) -> None:
        if self._ended:
            return
        loop = asyncio.get_running_loop()
        wait = min(self._quiet_at[kind], self._since[kind] + _LONGEST) - loop.time()
        if wait > 0:
            loop.call_later(wait, self._start, kind)
            return
        del self._since[kind]
        task = asyncio.create_task(self._heal(kind))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _heal(self, kind: str) -> None:
        """Nobody else tells of what the watch has missed, so this is tried until it is done."""
        if not await self._try(by_kind(kind)):
            self._look_after(kind, _LONGEST)

    async def _try(self, resource: Resource) -> bool:
        """Whether it could be listed wherever it is watched."""
        done = True
        for namespace in self.scopes(resource):
            try:
                await self.list(resource, namespace)
            except ApiError as error:
                done = False
                logger.warning("the list of %s failed and comes again later: %s", resource.plural, error)
        return done

    async def list(self, resource: Resource, namespace: str | None) -> str:
        """Take in all that exists of a kind, forget what does not. Returns the resourceVersion of the list; none of a
        kind that the cluster does not have."""
        seen: set[ObjectKey] = set()
        version = ""
        self._context.meters.lists[resource.plural] += 1
        try:
            selector = self._selectors[resource]
            async for page in self._context.client.collection(resource, namespace, selector):
                if page.anew:
                    seen.clear()
                for obj in page.items:
                    seen.add(key_of(obj))
                    routing.observed(self._context, obj, shaped=True)
                version = page.resource_version
        except ApiError as error:
            if not self._may_lack(resource, error):
                raise
            vanished(self._context, resource, namespace, error)
            return ""
        appeared(self._context, resource)
        self._prune(resource, namespace, seen, version)
        return version

    def _may_lack(self, resource: Resource, error: ApiError) -> bool:
        """Whether the cluster does not serve a kind, or not to us, and nothing else waits for it. Of our own all are
        there once; an operator that knows of none has nothing to say."""
        if resource in OPTIONAL_KINDS:
            return error.status in (403, 404)
        return resource in OWN_KINDS and error.is_not_found and self.synced.is_set()

    def _prune(self, resource: Resource, namespace: str | None, seen: set[ObjectKey], version: str) -> None:
        """Forget what the list did not show; its labels say who must know."""
        cache = self._context.cache
        last = {key: cache.get(key) for key in cache.keys(resource.kind, namespace) if key not in seen}
        for key in cache.prune(resource.kind, seen, as_of=version, namespace=namespace):
            routing.gone(self._context, key, last.get(key))

    def _spread(self, period: float) -> None:
        for resource in OWN_KINDS:
            for key in self._context.cache.keys(resource.kind):
                self._context.queue.add_after(key, random.uniform(0, period))  # noqa: S311 - spreads load
        for namespace in {key.namespace for key in self._context.cache.keys("ConfigMap")}:
            self._context.queue.add(ObjectKey(SCRIPTS, namespace, ""))  # nobody else would see that one is left over
