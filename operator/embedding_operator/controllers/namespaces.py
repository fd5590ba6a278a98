"""Namespaces that were named to the operator, and in which it has no rights: with a namespace goes the Role in it.

All others are worked in without them. Once the rights are there the operator begins anew, as after a start: nobody
works in a namespace of which not all has been listed.
"""

import asyncio
import logging
from collections.abc import Iterable

from embedding_operator.controllers.context import Context
from embedding_operator.kube.client import peek
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import EMBEDDING_SERVICES

logger = logging.getLogger(__name__)

_TRIES = 5  # in seven seconds: all API servers know then of rights that were given a moment ago, and have read them all
_LOOK = 5.0  # seconds between two looks for rights


async def leave_out(context: Context) -> None:
    """Leave those out in which nothing may be listed. Where that is all of them, wait for the first.

    An API server that says neither yes nor no is waited for. One that is the only one needs no question: it is listed
    until it can be.
    """
    named, tries, delay = context.settings.namespaces, 0, 0.5
    while len(named) > 1 and (failed := await _failed(context, named)):
        refused = {namespace: error for namespace, error in failed.items() if error.is_forbidden}
        tries = tries + 1 if refused else 0
        if tries == _TRIES:
            until = "left out until they are there" if len(refused) < len(named) else "waited for"
            for namespace, error in refused.items():
                logger.warning("no rights in namespace %s, which is %s: %s", namespace, until, error.message)
        if tries >= _TRIES and len(refused) == len(failed) < len(named):
            context.left_out.update(refused)
            return
        for namespace in failed.keys() - refused.keys():
            logger.warning("cannot list services in %s yet, trying again: %s", namespace, failed[namespace])
        await asyncio.sleep(delay)
        delay = min(2 * delay, _LOOK)


async def until_given(context: Context) -> None:
    """Wait until there are rights in one of those that were left out."""
    while True:
        await asyncio.sleep(_LOOK)
        if len(await _failed(context, context.left_out)) < len(context.left_out):
            return


async def _failed(context: Context, namespaces: Iterable[str]) -> dict[str, ApiError]:
    """Those in which services cannot be listed, and why. That there is no such kind is told to who has rights alone."""
    failed = {}
    for namespace in namespaces:
        try:
            await peek(context.client, EMBEDDING_SERVICES, namespace)
        except ApiError as error:
            if not error.is_not_found:
                failed[namespace] = error
    return failed
