"""`python -m tests.killed_operator N writes|calls run ...`: the operator, which SIGKILL ends right after the N-th one.

Writes are what changes anybody's objects; the Lease and Events do not count, for they hold no state of those. Calls
are all that its client asks of the API server, reads, Events and taking the Lease included. That the Lease is renewed
does not count: it happens every two seconds, whatever else does. The watches only read.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
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
    exchange, streaming, left = KubeClient._exchange, KubeClient.streaming, number

    def answered(verb: str, resource: Resource) -> None:
        nonlocal left
        left -= is_counted(verb, resource)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    async def counted(self: KubeClient, verb: str, resource: Resource, *rest: Any) -> bytes:
        try:
            return await exchange(self, verb, resource, *rest)
        finally:  # a refusal is an answer too
            answered(verb, resource)

    @asynccontextmanager
    async def counted_stream(
        self: KubeClient, resource: Resource, namespace: str | None, query: Any, timeout: Any, verb: str = "watch"
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        try:
            async with streaming(self, resource, namespace, query, timeout, verb) as chunks:
                yield chunks
        finally:
            if verb == "list":
                answered(verb, resource)

    KubeClient._exchange = counted  # type: ignore[method-assign]
    KubeClient.streaming = counted_stream  # type: ignore[method-assign]


if __name__ == "__main__":
    die_after(int(sys.argv[1]), {"writes": is_write, "calls": all_but_renewals()}[sys.argv[2]])
    sys.exit(main(sys.argv[3:]))
