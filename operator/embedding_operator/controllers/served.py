"""Which kinds the cluster serves: a CRD may be deleted while the operator runs, and installed again.

Kopf asks once, as it begins, and never watches what was not there then (controllers/apart.py); others meet an answer
that says so. Objects of a kind end before it, which their watch may have told, or have ended with. What is left of
them is forgotten, of our own kinds at the second look: one API server of several may only be late to hear of a new
kind.
"""

import asyncio
import logging
from collections.abc import Collection

from embedding_operator.api import names
from embedding_operator.controllers import routing
from embedding_operator.controllers.context import Context
from embedding_operator.kube.client import peek
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import OWN_KINDS, ObjectKey, Resource
from embedding_operator.planning.profiles import BUILT_IN

logger = logging.getLogger(__name__)

LOOK = 5.0  # seconds between two looks for a kind of ours
_BEGUN = 60.0  # seconds in which Kopf watches what it found, on the slowest machine


def vanished(context: Context, resource: Resource, namespace: str | None, error: ApiError) -> None:
    """The cluster does not serve a kind, or not to us: then its objects are there all the same."""
    is_second_look = context.watches.absent(resource, namespace)
    if error.is_not_found and (is_second_look or resource not in OWN_KINDS):
        routing.lost(context, resource.kind, namespace)
    if resource.kind in context.absent:
        return
    context.absent.add(resource.kind)
    if resource in OWN_KINDS:
        logger.warning("%s are not served, and looked for every %.0f s: %s", resource.plural, LOOK, error)
    else:
        logger.info("%s are not served, and looked for with each resync: %s", resource.plural, error)
        routing.wake_users(context)


def appeared(context: Context, resource: Resource) -> None:
    """The cluster serves a kind: where it did not, all that may want one of it is looked at."""
    if resource.kind not in context.absent:
        return
    context.absent.discard(resource.kind)
    logger.info("%s are served now", resource.plural)
    routing.wake_users(context)
    if resource.kind == names.RUNTIME_PROFILE:
        for name in {one["metadata"]["name"] for one in BUILT_IN} | context.site.wishes.keys():
            context.queue.add(ObjectKey(resource.kind, "", name))


async def served(context: Context, kinds: Collection[Resource]) -> frozenset[Resource]:
    """The kinds, but for those of which the API server says that it has none."""
    return frozenset([one for one in kinds if await _is_served(context, one) is not False])


async def passed_over(
    context: Context, kinds: Collection[Resource], expected: Collection[Resource], watched: Collection[Resource]
) -> Resource:
    """Wait until one of the kinds is served that a Kopf, which has just begun, does not watch, or was missed since.

    Of those that were served as it began this is `expected`, but it finds them in a list of the API server's that may
    lag behind. `watched` are those of which it is known, and grows. A watch that waits for an API server to be ready
    outlives a kind that was gone for as long.
    """
    began = asyncio.get_running_loop().time()
    while True:
        await asyncio.sleep(LOOK)
        has_begun = asyncio.get_running_loop().time() - began > _BEGUN
        for resource in kinds:
            is_unwatched = resource not in watched and (has_begun or resource not in expected)
            if (is_unwatched or resource.kind in context.absent) and await _is_served(context, resource):
                return resource


async def _is_served(context: Context, resource: Resource) -> bool | None:
    """None where nobody says so."""
    namespace = next(iter(context.namespaces), None) if resource.namespaced else None
    try:
        await peek(context.client, resource, namespace)
    except ApiError as error:
        if not error.is_not_found:
            return None
        vanished(context, resource, None, error)
        return False
    appeared(context, resource)
    return True
