"""When the operator would better be started anew: something hangs that no timeout of its own has ended.

Never because the API server is away, however long: a new process would not reach it either, and would have lost its
cache. A blocked event loop needs no line here, for then nobody answers at all.
"""

from collections.abc import Iterator

from embedding_operator.controllers.context import Context

STUCK = 600.0
"""Seconds that a worker may have a key. Each call of the API server ends after 30, and a reconcile makes a few."""
SILENT = 900.0
"""Seconds in which a watch must have said something, failed or begun anew. Each ends or fails within 300."""


def complaints(context: Context) -> Iterator[str]:
    """What hangs, each in one line."""
    longest = context.queue.longest()
    if longest is not None and longest[1] > STUCK:
        yield f"a worker has been at {longest[0]} for {longest[1]:.0f} s"
    unanswered = context.client.calls.unanswered_at
    for watch, seconds in context.watches.silent(longer_than=SILENT, since=unanswered):
        yield f"the watch of {watch} has been silent for {seconds:.0f} s, while the API server answered all else"
