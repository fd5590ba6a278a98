"""`python -m tests.killed_operator N writes|calls run ...`: the operator, which SIGKILL ends right after the N-th one.

Writes are what changes anybody's objects; the Lease and Events do not count, for they hold no state of those. Calls
are all that its client asks of the API server, reads, Events and taking the Lease included. That the Lease is renewed
does not count: it happens every two seconds, whatever else does. The watches, which are Kopf's, only read.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from embedding_operator.cli import main
from embedding_operator.kube.client import KubeClient
from embedding_operator.kube.resources import EVENTS, LEASES, Resource

READS = ("get", "list")
TAKING = 2  # a look at the Lease and the write that takes it


def is_write(verb: str, resource: Resource) -> bool:
    return verb not in READS and resource not in (LEASES, EVENTS)


def all_but_renewals() -> Callable[[str, Resource], bool]:
    seen = 0

    def is_counted(verb: str, resource: Resource) -> bool:
        nonlocal seen
        seen += resource == LEASES
        return resource != LEASES or seen <= TAKING

    return is_counted


def die_after(number: int, is_counted: Callable[[str, Resource], bool]) -> None:
    """From now on, the N-th answer that counts is the last thing that this process sees."""
    exchange, left = KubeClient._exchange, number

    async def counted(self: KubeClient, verb: str, resource: Resource, *rest: Any) -> bytes:
        nonlocal left
        try:
            return await exchange(self, verb, resource, *rest)
        finally:  # a refusal is an answer too
            left -= is_counted(verb, resource)
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    KubeClient._exchange = counted  # type: ignore[method-assign]


if __name__ == "__main__":
    die_after(int(sys.argv[1]), {"writes": is_write, "calls": all_but_renewals()}[sys.argv[2]])
    sys.exit(main(sys.argv[3:]))
