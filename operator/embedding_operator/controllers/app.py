"""Puts the operator together and runs it: watches and cache on every replica, workers on the leader.

Order matters: the cache is full before anybody works, and no write begins without the lease. Losing the lease
ends the process; a fresh one takes part in the next election without any memory.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp

from embedding_operator import logs
from embedding_operator.controllers import watch
from embedding_operator.controllers.apart import keep_watching
from embedding_operator.controllers.asking import ask_pods
from embedding_operator.controllers.context import FIRST_ROUND, Context, Settings
from embedding_operator.controllers.follow import follow
from embedding_operator.controllers.health import serve_health
from embedding_operator.controllers.heartbeat import Heartbeat
from embedding_operator.controllers.liveness import complaints
from embedding_operator.controllers.namespaces import until_given
from embedding_operator.controllers.resync import Resync
from embedding_operator.controllers.shared import make_profiles
from embedding_operator.controllers.siteprofiles import follow_files
from embedding_operator.controllers.standby import stand_by
from embedding_operator.controllers.telling import families
from embedding_operator.controllers.telling.operator import Standing
from embedding_operator.controllers.workers import work
from embedding_operator.kube.apply import Applier
from embedding_operator.kube.cache import Cache
from embedding_operator.kube.client import KubeClient
from embedding_operator.kube.connection import Connection, connect
from embedding_operator.kube.events import Recorder
from embedding_operator.kube.leader import Elector
from embedding_operator.kube.resources import ObjectKey
from embedding_operator.metrics.text import render

logger = logging.getLogger(__name__)

LEASE_LOST = 1  # the exit code

# Calls. An API server keeps what is nested 10,000 deep (in an affinity, say), and a list shows everybody's objects: one
# that cannot be read would stop the operator for all. Tried with twice that depth on a stack of 8 MiB.
_DEEPEST = 50_000
_ASKING = 4  # services whose pods are asked for vectors at a time


async def run(settings: Settings, kubeconfig: Path | None = None) -> int:
    """Run until SIGTERM or SIGINT (returns 0) or until the lease is lost (returns 1)."""
    sys.setrecursionlimit(_DEEPEST)
    stop = asyncio.Event()
    _stop_on_signals(stop)
    while (code := await _run(settings, kubeconfig, stop)) is None:
        logger.info("there are rights in a namespace that was left out: beginning anew")
    return code


async def _run(settings: Settings, kubeconfig: Path | None, stop: asyncio.Event) -> int | None:
    """One operator, from its first list to its end. Returns the exit code, or None if another is to begin."""
    async with AsyncExitStack() as stack:
        connection = await connect(kubeconfig, unacknowledged=settings.lease.margin)
        stack.push_async_callback(connection.close)
        logger.info("API server %s", connection.host)
        client = KubeClient(connection)
        elector = Elector(
            client,
            namespace=settings.lease_namespace,
            name=settings.lease_name,
            identity=settings.identity,
            times=settings.lease,
        )
        client.gate = lambda: elector.held
        logs.identify(settings.identity, lambda: elector.held)
        _end_if_woken_too_late(elector)
        context = await _context(settings, client, stack)
        resync = Resync(context, {resource: watch.selector_of(resource) for resource in watch.WATCHED})
        if settings.health_port is not None:
            runner = await serve_health(
                settings.health_port,
                ready=resync.synced.is_set,
                complaints=lambda: complaints(context),
                metrics=lambda: render(families(context, _standing(elector, resync))),
            )
            stack.push_async_callback(runner.cleanup)
        return await _operate(context, resync, elector, connection, stop)


def _standing(elector: Elector, resync: Resync) -> Standing:
    return Standing(leads=elector.held, transitions=elector.transitions, synced=resync.synced.is_set())


async def _context(settings: Settings, client: KubeClient, stack: AsyncExitStack) -> Context:
    cache = Cache()
    return Context(
        settings=settings,
        client=client,
        cache=cache,
        applier=Applier(client, cache),
        recorder=Recorder(client, instance=settings.identity),
        http=await stack.enter_async_context(aiohttp.ClientSession(trust_env=False)),
    )


async def _operate(
    context: Context, resync: Resync, elector: Elector, connection: Connection, stop: asyncio.Event
) -> int | None:
    """First list, then watch; lead when elected; stop in the reverse order, finishing what was begun. Returns the exit
    code, or None if another is to begin."""
    tasks = [asyncio.create_task(keep_watching(context, resync, connection), name="watch")]
    tasks.append(asyncio.create_task(_follow(context, resync), name="follow"))
    tasks.append(asyncio.create_task(_lead(context, resync, elector), name="lead"))
    tasks.append(asyncio.create_task(resync.run(), name="resync"))
    tasks.append(asyncio.create_task(context.recorder.run(), name="events"))
    tasks.append(asyncio.create_task(Heartbeat().run(context.meters.lag), name="heartbeat"))
    tasks.append(asyncio.create_task(_until_there_is_more(context, resync), name="namespaces"))
    ends = [asyncio.create_task(stop.wait()), asyncio.create_task(elector.lost.wait())]
    try:
        done, _ = await asyncio.wait([*tasks, *ends], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()  # a defect in a task ends the process with its traceback
        was_lost = elector.lost.is_set()  # STRICTLY BEFORE it is released, which sets it, too
    finally:
        context.queue.shut_down()
        context.asks.shut_down()
        if elector.held:  # a standby's queue is full and has no workers
            await _within(20.0, context.queue.drained())
            await _within(2.0, context.recorder.flush())
        await elector.release()
        for task in (*tasks, *ends):
            task.cancel()
        await asyncio.gather(*tasks, *ends, return_exceptions=True)
    logger.info("stopped")
    if stop.is_set():
        return 0
    return LEASE_LOST if was_lost else None


async def _lead(context: Context, resync: Resync, elector: Elector) -> None:
    await resync.first()
    logger.info("listed %d objects", len(context.cache))
    standing_by = asyncio.create_task(stand_by(context), name="standby")
    try:
        await elector.acquire()
    finally:
        standing_by.cancel()
    await make_profiles(context)
    context.queue.add(ObjectKey(FIRST_ROUND, "", ""))
    async with asyncio.TaskGroup() as group:
        group.create_task(follow_files(context))
        for _ in range(context.settings.workers):
            group.create_task(work(context))
        for _ in range(_ASKING):
            group.create_task(ask_pods(context))
    await asyncio.Event().wait()  # workers end only with the queue


async def _until_there_is_more(context: Context, resync: Resync) -> None:
    """Until there are rights in a namespace without which it began: with it all is listed once more."""
    await resync.synced.wait()
    if not context.left_out:
        await asyncio.Event().wait()
    await until_given(context)


async def _follow(context: Context, resync: Resync) -> None:
    await resync.synced.wait()
    async with asyncio.TaskGroup() as group:
        for resource in watch.FOLLOWED:
            for namespace in resync.scopes(resource):
                group.create_task(follow(context, resync, resource, namespace, watch.selector_of(resource)))


def _stop_on_signals(stop: asyncio.Event) -> None:
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)


def _end_if_woken_too_late(elector: Elector) -> None:
    """A process that was stopped may have the rest of a write in its buffers, and would send that before anything else.

    Python calls a handler before the event loop goes on. Told without logging, which may be in the middle of a line.
    """

    def woken(*_: object) -> None:
        if elector.has_expired:
            os.write(sys.stderr.fileno(), b"stopped for longer than the lease holds: ended without a further write\n")
            os._exit(LEASE_LOST)

    signal.signal(signal.SIGCONT, woken)


async def _within(seconds: float, waiting: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(seconds):
            await waiting
    except TimeoutError:
        logger.warning("stopping without waiting any longer")
