"""The operator in this process: everything real but the bytes, which go to a model of the API server.

The transport stops at two places in each request: before the server acts, and before its answer is read. Whoever
drives it decides when either happens, what watches tell meanwhile, and whether it happens at all. The event loop's
clock jumps, so nothing waits; and nothing looks at another clock, so the same steps have the same end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any, cast

from embedding_operator.api import names
from embedding_operator.controllers import routing
from embedding_operator.controllers.context import COMPANY, PATIENCE, SCRIPTS, Context, Settings
from embedding_operator.controllers.patience import Patience
from embedding_operator.controllers.progress import Looks
from embedding_operator.controllers.resync import Resync
from embedding_operator.controllers.shared import built_in_keys
from embedding_operator.controllers.spaces import Spaces
from embedding_operator.controllers.untold import Untold
from embedding_operator.controllers.watch import BY_KOPF, WATCHED, selector_of
from embedding_operator.controllers.workers import RECONCILERS, work
from embedding_operator.kube.apply import Applier
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.events import Recorder
from embedding_operator.kube.resources import Object, ObjectKey, Resource, by_kind
from embedding_operator.kube.workqueue import WorkQueue
from tests.replay.apiserver import ApiServer, is_shown
from tests.replay.deciding import SITE
from tests.replay.gated import Gated, Request
from tests.replay.recording import Event
from tests.replay.streams import REPLAYED, Stream, Streams
from tests.replay.unchanged import Unchanged

WORKERS = 3
PAGE = 3  # objects in a page of a list
RESYNC = 5000.0  # seconds: long, because it would hide what was not noticed


@dataclass
class Process:
    """One operator, from its start to its death."""

    loop: asyncio.AbstractEventLoop
    api: ApiServer
    streams: Streams = field(default_factory=Streams)
    watching: bool = False
    deletions_lost: bool = False  # for the periodic resync to find

    def __post_init__(self) -> None:
        self.client, cache = Gated(), Unchanged()
        self.context = Context(
            settings=Settings(staging=SITE, resync_seconds=RESYNC),
            client=self.client,
            cache=cache,
            applier=Applier(self.client, cache),
            recorder=Recorder(self.client, instance="x"),  # never run: Events are told, not needed
            http=cast(Any, None),  # the pods here have no addresses
            queue=WorkQueue(clock=self.loop.time),
            asks=WorkQueue(clock=self.loop.time),
            looks=Looks(self.loop.time),
            lacking=Patience(PATIENCE, self.loop.time),
            missing=Patience(COMPANY, self.loop.time),
            spaces=Spaces(self.loop.time),
            untold=Untold(self.loop.time),
        )
        self.resync = Resync(self.context, {resource: selector_of(resource) for resource in WATCHED})
        self.api.tell = self._news
        self._shown: set[ObjectKey] = set()
        self._told_of: set[str] = set()  # the kinds whose news are told
        self._snapshots: dict[str, tuple[list[Object], str]] = {}
        self._tasks = [self.loop.create_task(self._lead()), self.loop.create_task(self.resync.run())]
        self.go_on()

    async def _lead(self) -> None:
        await self.resync.first()
        self.watching = True
        for resource in BY_KOPF:
            self._begin_watch(resource.kind)
        for key in built_in_keys():
            self.context.queue.add(key)
        self._tasks += [self.loop.create_task(work(self.context)) for _ in range(WORKERS)]

    # ---- what whoever drives it may do

    def go_on(self) -> None:
        """Let the process run until all of it waits."""
        self._run(_turns(12))

    def wait(self, seconds: float) -> None:
        self._run(asyncio.sleep(seconds))
        self.go_on()

    def act(self, request: Request) -> None:
        """The server does what it was asked for; the answer is on its way."""
        try:
            request.answer = self._act(request)
        except ApiError as error:
            request.answer = error

    def answer(self, request: Request) -> None:
        """The answer arrives; if the server has not acted yet, it does so just before."""
        if request.answer is None:
            self.act(request)
        self.client.sent.remove(request)
        if isinstance(request.answer, ApiError):
            request.answered.set_exception(request.answer)
        else:
            assert request.answer is not None
            request.answered.set_result(request.answer)
        self.go_on()

    def fail(self, request: Request, status: int) -> None:
        """The request fails on its way, or its answer does."""
        request.answer = ApiError(status, "Broken", "as was asked for")
        self.answer(request)

    def tell(self, stream: Stream, skip: int = 0) -> None:
        """A watch tells; what is done with it is what watch.py does."""
        event = self.streams.take(stream, skip)
        self._run(self._told(event))
        self.go_on()

    def cut(self, kind: str) -> None:
        """A watch ends, what it had not told is lost, and the server has forgotten where it was."""
        if not self.watching:
            return
        if by_kind(kind) in BY_KOPF:
            self._begin_watch(kind)
        elif kind in self._told_of:
            self._told_of.remove(kind)
            self.streams.begin_anew(kind, ())
            self._tasks.append(self.loop.create_task(self._list_again(by_kind(kind))))
            self.go_on()

    def look_again(self) -> None:
        """What each round of the resync does, without its lists."""
        self._run(self._look_again())
        self.go_on()

    def die(self) -> None:
        """SIGKILL."""
        self.api.tell = lambda event: None
        for task in self._tasks:
            task.cancel()
        self._run(_ended(self._tasks))

    # ---- how

    async def _list_again(self, resource: Resource) -> None:
        """What follow.py does then."""
        while True:
            try:
                await self.resync.list(resource, None)
            except ApiError:
                await asyncio.sleep(1.0)
            else:
                return

    async def _look_again(self) -> None:
        for key in self.context.cache._objects:
            if key.kind in RECONCILERS and key.kind != names.RUNTIME_PROFILE:
                self.context.queue.add(key)
        self.context.queue.add(ObjectKey(SCRIPTS, "search", ""))

    async def _told(self, event: Event) -> None:
        if event.type == "DELETED":
            routing.deleted(self.context, event.object)
            return
        routing.observed(self.context, event.object)
        if event.type == REPLAYED:
            self.resync.replayed(event.key.kind)

    def _news(self, event: Event) -> None:
        if event.key.kind not in self._told_of:
            return
        before, after = event.key in self._shown, event.type != "DELETED" and is_shown(event.object)
        if after:
            self._shown.add(event.key)
            self.streams.put(event)
        elif before:  # gone, or its label is: to a watch with a selector both are the same
            self._shown.discard(event.key)
            self.streams.put(Event("DELETED", event.object))

    def _begin_watch(self, kind: str) -> None:
        """Kopf tells first what exists."""
        existing = [obj for key, obj in sorted(self.api.objects.items()) if key.kind == kind and is_shown(obj)]
        # Kopf says nothing of a kind of which nothing exists, so no list follows
        self.deletions_lost |= not existing and bool(self.context.cache.keys(kind))
        self._show(kind)
        self.streams.begin_anew(kind, existing)

    def _show(self, kind: str) -> None:
        """From now on, news of a kind are told."""
        self._told_of.add(kind)
        self._shown = {key for key in self._shown if key.kind != kind}
        self._shown |= {key for key, obj in self.api.objects.items() if key.kind == kind and is_shown(obj)}

    def _act(self, request: Request) -> Object:
        verb, key, api = request.verb, request.key, self.api
        if verb == "list":
            return self._list(request)
        if verb == "get":
            return api.get(key)
        before = api.version
        try:
            if verb == "create":
                return api.create(request.body)
            if verb == "delete":
                api.delete(key, request.body.get("preconditions", {}).get("uid"))
                return {}
            if verb == "patch":
                return api.patched(key, request.body)
            assert verb == "apply", f"the model knows no {verb}"
            if request.path.endswith("/status"):
                return api.status_applied(request.body)
            return api.applied(request.body, force=request.query["force"])
        finally:
            if api.version != before:
                api.writes.append(f"{verb} {request.path}")

    def _list(self, request: Request) -> Object:
        token = request.query.get("continue")
        if token:
            left, version = self._snapshots[token]  # two lists at one version have the same token
        else:
            whole = not request.key.namespace  # the operator asks for one namespace only to look once
            if whole and request.resource not in BY_KOPF and request.key.kind not in self._told_of:
                self._show(request.key.kind)  # children are followed from their list on, as services are
            objects = sorted(self.api.objects.items())
            left = [obj for key, obj in objects if key.kind == request.key.kind and _is_selected(obj, request.query)]
            version = str(self.api.version)
        metadata = {"resourceVersion": version}
        if len(left) > PAGE:
            metadata["continue"] = f"{request.key.kind}-{request.query.get('labelSelector')}-{len(left)}-{version}"
            self._snapshots[metadata["continue"]] = (left[PAGE:], version)
        return {"metadata": metadata, "items": [dict(obj) for obj in left[:PAGE]]}

    def _run(self, awaitable: Awaitable[None]) -> None:
        async def watched() -> None:
            await awaitable

        self.loop.run_until_complete(watched())
        for task in self._tasks:
            if task.done() and not task.cancelled() and task.exception() is not None:
                raise AssertionError("a task of the operator died") from task.exception()


def _is_selected(obj: Object, query: Any) -> bool:
    labels = obj["metadata"].get("labels") or {}
    wanted = [part.split("=") for part in (query.get("labelSelector") or "").split(",") if part]
    return all(labels.get(name) == value for name, value in wanted)


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
