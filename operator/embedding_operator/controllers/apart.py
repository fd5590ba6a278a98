"""Kopf, kept apart: in a thread with an event loop of its own, and again whenever it ends.

Kopf ends when a watch tells of an error that it does not know, when an answer is cut short, and whenever else one of
its tasks fails; on its way out it cancels all tasks of its event loop that are younger than it, whosever they are. None
of this ends the operator: the next Kopf lists what there is, which heals what was missed. Nor does it hear of kinds
that come after it: for those, too, another begins.
"""

import asyncio
import concurrent.futures
import contextlib
import logging
import random
import threading
from collections.abc import Collection
from typing import Any, cast

import kopf

from embedding_operator.controllers import watch
from embedding_operator.controllers.context import Context
from embedding_operator.controllers.resync import Resync
from embedding_operator.controllers.served import LOOK, passed_over, served
from embedding_operator.kube.connection import Connection
from embedding_operator.kube.resources import Resource

logger = logging.getLogger(__name__)

_PAUSE = 1.0  # seconds before Kopf begins again; twice as long after each that did not last
_LONGEST_PAUSE = 15.0
_LASTED = 60.0  # seconds
_STOPPING = 3.0  # seconds, after which it is left alone: its thread holds nobody up
_TELLINGS = 10  # within that time
_UNCUT = 250.0  # seconds that a watch lasts at the least if nothing cuts it, and a list does not
_KNOWN = 2.0  # seconds after which all API servers list a kind that one of them serves

Stop = concurrent.futures.Future[None]


async def keep_watching(context: Context, resync: Resync, connection: Connection) -> None:
    """Watch those of Kopf's kinds that the cluster serves, until cancelled."""
    loop = asyncio.get_running_loop()
    await resync.synced.wait()
    pause = _PAUSE
    while True:
        kinds = await served(context, watch.BY_KOPF)
        if not kinds:
            await asyncio.sleep(LOOK)
            continue
        began = loop.time()
        error = await _run(context, resync, connection, kinds)
        if isinstance(error, Resource):  # it is served now
            await asyncio.sleep(_KNOWN)
            continue
        pause = _PAUSE if loop.time() - began > _LASTED else min(2 * pause, _LONGEST_PAUSE)
        wait = pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load
        why = str(error or "no reason was given") or repr(error)
        logger.warning("the watches of our own kinds ended, again in %.1f s: %s", wait, why)
        await asyncio.sleep(wait)


async def _run(
    context: Context, resync: Resync, connection: Connection, kinds: Collection[Resource]
) -> BaseException | Resource | None:
    """One Kopf, from its start to its end. Returns what it ended with, or the kind for which another must begin."""
    loop = asyncio.get_running_loop()
    stop: Stop = concurrent.futures.Future()
    ended: asyncio.Future[BaseException | None] = loop.create_future()
    watched: dict[Resource, float] = {}  # since when it lists or watches each

    def seen(event: Any) -> None:
        loop.call_soon_threadsafe(watch.take, context, resync, event)

    def begun(resource: Resource) -> None:
        loop.call_soon_threadsafe(note, resource)

    def note(resource: Resource) -> None:
        context.watches.begun(resource)
        context.watches.heard(resource, events=0)  # Kopf keeps bookmarks to itself: of what is at rest this is all
        now = loop.time()
        if now - watched.get(resource, now) < _UNCUT:
            resync.replayed(resource.kind)  # it may have listed what there is, and does not tell what has gone
        watched[resource] = now

    async def credentials() -> dict[str, Any]:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(connection.credentials(), loop))

    def run() -> None:
        outcome: BaseException | None = None
        try:
            asyncio.run(_kopf(context, watch.registry(seen, credentials, kinds), watch.settings(begun), stop))
        except BaseException as error:
            outcome = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, ended, outcome)

    threading.Thread(target=run, name="kopf", daemon=True).start()
    looking = asyncio.create_task(passed_over(context, watch.BY_KOPF, kinds, watched))
    try:
        first: set[asyncio.Future[Any]] = {ended, looking}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        return ended.result() if ended.done() else looking.result()
    finally:
        looking.cancel()
        with contextlib.suppress(concurrent.futures.InvalidStateError):  # it has ended
            stop.set_result(None)
        await asyncio.wait([ended], timeout=_STOPPING)


async def _kopf(context: Context, registry: kopf.OperatorRegistry, settings: kopf.OperatorSettings, stop: Stop) -> None:
    # of a task that nobody asked for its result: Kopf has told before why it failed
    asyncio.get_running_loop().set_exception_handler(lambda _, said: logger.debug("%s", said.get("message")))
    namespaces = context.namespaces
    tasks = await kopf.spawn_tasks(
        registry=registry,
        settings=settings,
        identity=cast(Any, context.settings.identity),  # else Kopf asks who runs it; that user has no name
        standalone=True,
        clusterwide=not namespaces,
        namespaces=list(namespaces),
    )
    try:
        done, _ = await asyncio.wait([*tasks, asyncio.wrap_future(stop)], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await _end(tasks)


async def _end(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Kopf's own way out waits five seconds for watches that it does not end, and for ever for one that has swallowed
    its cancellation. Here it may clean up, and is then told as often as it takes."""
    for _ in range(_TELLINGS):
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_STOPPING / _TELLINGS)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}


def _resolve(ended: asyncio.Future[BaseException | None], outcome: BaseException | None) -> None:
    if not ended.done():
        ended.set_result(outcome)
