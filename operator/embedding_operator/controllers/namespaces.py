"""Namespaces that were named to the operator, and in which it has no rights: with a namespace goes the Role in it.

All others are worked in without them. Once the rights are there the operator begins anew, as after a start: nobody
works in a namespace of which not all has been listed.
"""

import asyncio
import logging
from collections.abc import Iterable

from embedding_operator.controllers.context import Context
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import EMBEDDING_SERVICES

logger = logging.getLogger(__name__)

_TRIES = 5  # a second apart: all API servers know then of rights that were given a moment ago, and have read them all
_PAUSE = 1.0
_LOOK = 5.0  # seconds between two looks for rights


async def leave_out(context: Context) -> None:
    """Leave those out in which nothing may be listed. Where that is all of them, wait for the first."""
    named, tries = context.settings.namespaces, 0
    while refused := await _refused(context, named):
        tries += 1
        if tries == _TRIES:
            until = "left out until they are there" if len(refused) < len(named) else "waited for"
            for namespace, why in refused.items():
                logger.warning("no rights in namespace %s, which is %s: %s", namespace, until, why)
        if tries >= _TRIES and len(refused) < len(named):
            context.left_out.update(refused)
            return
        await asyncio.sleep(_PAUSE if tries < _TRIES else _LOOK)


async def until_given(context: Context) -> None:
    """Wait until there are rights in one of those that were left out."""
    while True:
        await asyncio.sleep(_LOOK)
        if len(await _refused(context, context.left_out)) < len(context.left_out):
            return


async def _refused(context: Context, namespaces: Iterable[str]) -> dict[str, str]:
    """Those in which the API server lets us list no services, and its words. What it says else is no refusal."""
    refused = {}
    for namespace in namespaces:
        try:
            async for _ in context.client.pages(EMBEDDING_SERVICES, namespace, chunk=1):
                break
        except ApiError as error:
            if error.is_forbidden:
                refused[namespace] = error.message
    return refused
