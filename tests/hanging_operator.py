"""`python -m tests.hanging_operator run ...`: the operator, which hangs when it is told to.

SIGUSR1 blocks its event loop for good: what it interrupts never goes on. And a worker never comes back from a service
that is called `hangs`; for which 5 seconds are far too long here, not 10 minutes.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time

from embedding_operator.api import names
from embedding_operator.cli import main
from embedding_operator.controllers import liveness
from embedding_operator.controllers.context import Context
from embedding_operator.controllers.workers import RECONCILERS
from embedding_operator.kube.resources import ObjectKey

HANGS = "hangs"
_reconcile = RECONCILERS[names.EMBEDDING_SERVICE]


def block_for_good(*_: object) -> None:
    while True:
        time.sleep(1)


async def reconcile(context: Context, key: ObjectKey) -> float | None:
    if key.name == HANGS:
        await asyncio.Event().wait()
    return await _reconcile(context, key)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, block_for_good)
    liveness.STUCK = 5.0
    RECONCILERS[names.EMBEDDING_SERVICE] = reconcile
    sys.exit(main(sys.argv[1:]))
