"""The workers: take a key, reconcile it, decide when to look again. One key, one worker at a time."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from embedding_operator.api import names
from embedding_operator.controllers import routing
from embedding_operator.controllers.benchmarks import reconcile_benchmark
from embedding_operator.controllers.caches import reconcile_cache
from embedding_operator.controllers.context import FIRST_ROUND, SCRIPTS, Context
from embedding_operator.controllers.jobs import reconcile_job
from embedding_operator.controllers.services import reconcile_service
from embedding_operator.controllers.shared import reconcile_profile, reconcile_scripts
from embedding_operator.kube.errors import ApiError, LeaseLost, NameTaken
from embedding_operator.kube.resources import ObjectKey
from embedding_operator.kube.workqueue import QueueShutDown
from embedding_operator.logs import working_on

logger = logging.getLogger(__name__)


async def _end_first_round(context: Context, key: ObjectKey) -> None:
    """Keys are taken in the order in which they came: all that the first lists showed were before this one."""
    context.caught_up.set()
    logger.info("caught up: all objects were looked at once")


Reconcile = Callable[[Context, ObjectKey], Awaitable[float | None]]
RECONCILERS: dict[str, Reconcile] = {
    names.EMBEDDING_SERVICE: reconcile_service,
    names.EMBEDDING_JOB: reconcile_job,
    names.MODEL_CACHE: reconcile_cache,
    names.RUNTIME_PROFILE: reconcile_profile,
    names.EMBEDDING_BENCHMARK: reconcile_benchmark,
    SCRIPTS: reconcile_scripts,
    FIRST_ROUND: _end_first_round,
}


async def work(context: Context) -> None:
    """Reconcile keys until the queue is shut down."""
    while True:
        try:
            key = await context.queue.get()
        except QueueShutDown:
            return
        began, result = time.monotonic(), "cancelled"
        try:
            with working_on(key.kind, key.namespace, key.name):
                result = await _once(context, key)
        finally:
            context.queue.done(key)
            context.meters.reconciles[key.kind, result] += 1
            context.meters.seconds[key.kind].observe(time.monotonic() - began)
        await asyncio.sleep(0)  # where all is in force nobody is waited for: the Lease and the probes need their turn


async def _once(context: Context, key: ObjectKey) -> str:
    """Reconcile a key. Returns how that went, in a word for the metrics."""
    queue = context.queue
    try:
        again = await RECONCILERS[key.kind](context, key)
    except LeaseLost:
        return "lease_lost"  # the next leader looks at everything
    except ApiError as error:
        if error.is_namespace_ending:
            queue.forget(key)
            return "namespace_ending"
        if error.is_kind_missing or error.is_kind_ending or error.is_kind_new:
            delay = queue.add_rate_limited(key)  # and before that, once it is there again (controllers/served.py)
            logger.debug("%s: %s; again in %.1f s", key, error, delay)
            return "kind_missing"
        if error.is_conflict or error.is_not_found:
            await _look(context, key)
        _again(context, key, error, error.retry_after or 0.0)
        return "conflict" if error.is_conflict else "api_error"
    except NameTaken as error:
        _again(context, key, error)
        return "name_taken"
    except Exception:
        delay = queue.add_rate_limited(key)
        logger.exception("%s: a defect of the operator; again in %.1f s", key, delay)
        return "defect"
    queue.forget(key)
    if again is not None:
        queue.add_after(key, again)
    return "done" if again is None else "again_later"


def _again(context: Context, key: ObjectKey, error: Exception, at_least: float = 0.0) -> None:
    delay = context.queue.add_rate_limited(key, at_least=at_least)
    level = logging.WARNING if context.queue.failures(key) > 3 else logging.INFO
    logger.log(level, "%s: %s; again in %.1f s", key, error, delay)


async def _look(context: Context, key: ObjectKey) -> None:
    """The API server knows of something that we do not: ask it, because a watch may have lost just that."""
    if key.kind == SCRIPTS:
        return
    known = context.cache.get(key)
    try:
        obj = await context.client.get(key)
    except ApiError:
        return
    if obj is not None:
        routing.observed(context, obj)
    elif known is not None:  # else nobody knows of it, and something else is not there
        routing.gone(context, key, known)  # that one: a namesake may have been told of while we asked
