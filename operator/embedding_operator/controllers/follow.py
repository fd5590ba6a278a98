"""Follows services or their children of one kind: from a list on, all news since, for ever.

Kopf watches profiles and ModelCaches (watch.py). Of these there may be ten thousands, and all that is asked of their
news is to reach the cache and the queue: a task, a timer and a memory for each of them, which Kopf's handlers need,
would cost more than all the rest of the operator does.
"""

import asyncio
import logging
import random
from contextlib import aclosing

from embedding_operator.controllers import routing
from embedding_operator.controllers.context import Context
from embedding_operator.controllers.resync import Resync
from embedding_operator.controllers.served import LOOK
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import OPTIONAL_KINDS, OWN_KINDS, Resource
from embedding_operator.kube.watching import News, watch

logger = logging.getLogger(__name__)

_PAUSE = 0.5  # seconds between two watches; while none brings news (bookmarks are some) twice as long each time
_LONGEST_PAUSE = 15.0


async def follow(context: Context, resync: Resync, resource: Resource, namespace: str | None, selector: str) -> None:
    """Take in the news of a kind (in one namespace, if given) until cancelled; `resync` has listed it already."""
    version, told = resync.versions[resource, namespace], context.watches
    pause = _PAUSE / 2
    looks = 0
    while True:
        wait = 0.0
        pause = min(pause * 2, _LONGEST_PAUSE)
        try:
            version = version or await resync.list(resource, namespace)
            if not version:  # the cluster does not have this kind, and may get it
                await asyncio.sleep(_until_next(resource, looks, context) * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load
                looks += 1
                continue
            looks = 0
            told.begun(resource, namespace)
            async with aclosing(watch(context.client, resource, namespace, selector, version)) as batches:
                async for batch in batches:
                    told.heard(resource, namespace, sum(news.type != "BOOKMARK" for news in batch))
                    for news in batch:
                        version = _take(context, news)
                    pause = _PAUSE
                    if resource.kind in context.absent:  # to a list, which forgot what there is of it
                        version = ""
                        break
        except ApiError as error:
            told.failed(resource, namespace)
            if error.is_expired or error.is_not_found or (error.is_forbidden and resource in OPTIONAL_KINDS):
                version = ""  # what was missed is unknown: a list tells, of deletions and of such a kind too
            logger.log(
                logging.INFO if error.is_expired else logging.WARNING, "the watch of %s: %s", resource.plural, error
            )
            wait = error.retry_after or 0.0
        await asyncio.sleep(max(wait, pause * random.uniform(0.5, 1.0)))  # noqa: S311 - spreads load


def _until_next(resource: Resource, looks: int, context: Context) -> float:
    """Seconds until the next look for a kind that is not there. An API server that has just started refuses what it
    serves a moment later, so of those that a cluster may not have at all it is seldom only in the end."""
    return LOOK if resource in OWN_KINDS else min(LOOK * 2.0 ** min(looks, 16), context.settings.resync_seconds)


def _take(context: Context, news: News) -> str:
    """Take one piece of news in. Returns the version up to which all is known now."""
    if news.type == "DELETED":
        routing.deleted(context, news.object)
    elif news.type != "BOOKMARK":
        routing.observed(context, news.object, shaped=True)
    return str(news.object["metadata"]["resourceVersion"])
