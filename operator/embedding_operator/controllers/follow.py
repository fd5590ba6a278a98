"""Follows services or their children of one kind: from a list on, all news since, for ever.

Kopf watches profiles and ModelCaches (watch.py). Of these there may be ten thousands, and all that is asked of their
news is to reach the cache and the queue: a task, a timer and a memory for each of them, which Kopf's handlers need,
would cost more than all the rest of the operator does.
"""

import asyncio
import logging
import random

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
    while True:
        wait = 0.0
        pause = min(pause * 2, _LONGEST_PAUSE)
        try:
            version = version or await resync.list(resource, namespace)
            if not version:  # the cluster does not have this kind, and may get it
                often = LOOK if resource in OWN_KINDS else context.settings.resync_seconds
                await asyncio.sleep(often * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load
                continue
            told.begun(resource, namespace)
            async for batch in watch(context.client, resource, namespace, selector, version):
                told.heard(resource, namespace, sum(news.type != "BOOKMARK" for news in batch))
                for news in batch:
                    version = _take(context, news)
                pause = _PAUSE
        except ApiError as error:
            told.failed(resource, namespace)
            if error.is_expired or error.is_not_found or (error.is_forbidden and resource in OPTIONAL_KINDS):
                version = ""  # what was missed is unknown: a list tells, of deletions and of such a kind too
            logger.log(
                logging.INFO if error.is_expired else logging.WARNING, "the watch of %s: %s", resource.plural, error
            )
            wait = error.retry_after or 0.0
        await asyncio.sleep(max(wait, pause * random.uniform(0.5, 1.0)))  # noqa: S311 - spreads load


def _take(context: Context, news: News) -> str:
    """Take one piece of news in. Returns the version up to which all is known now."""
    if news.type == "DELETED":
        routing.deleted(context, news.object)
    elif news.type != "BOOKMARK":
        routing.observed(context, news.object, shaped=True)
    return str(news.object["metadata"]["resourceVersion"])
