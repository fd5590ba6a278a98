"""What a replica that does not work need not remember: it puts keys into its queue as all do, and nobody takes any out.

Of what came and went meanwhile a leader would find nothing to do, and one that starts anew does not even hear. All that
exists, and all that somebody waits for, stays in the queue in its order.
"""

import asyncio

from embedding_operator.api import names
from embedding_operator.controllers.context import SCRIPTS, Context
from embedding_operator.kube.resources import ObjectKey


async def stand_by(context: Context) -> None:
    """Forget what has gone, once each period, until cancelled."""
    while True:
        await asyncio.sleep(context.settings.resync_seconds)
        forget_what_has_gone(context)


def forget_what_has_gone(context: Context) -> None:
    """Only while nobody works: a leader has more to do for what is gone."""
    context.queue.drop([key for key in context.queue.waiting() if not _matters(context, key)])
    context.bereft.intersection_update([key for key in context.bereft if key in context.cache])


def _matters(context: Context, key: ObjectKey) -> bool:
    if key.kind == SCRIPTS:
        return bool(context.cache.keys("ConfigMap", key.namespace))
    if key.kind == names.MODEL_CACHE and context.users.of(key):
        return True  # it is to be made
    return key in context.cache or key.kind == names.RUNTIME_PROFILE
