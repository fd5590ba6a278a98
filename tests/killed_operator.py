"""`python -m tests.killed_operator N run ...`: the operator, which SIGKILL ends right after its N-th write.

The Lease and Events do not count: what they say holds no state of anybody's objects.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from embedding_operator.cli import main
from embedding_operator.kube.client import KubeClient
from embedding_operator.kube.resources import EVENTS, LEASES, Object, Resource


def die_after(writes: int) -> None:
    """From now on, the N-th answer to a write is the last thing that this process sees."""
    exchange, left = KubeClient._exchange, writes

    async def counted(self: KubeClient, verb: str, resource: Resource, *rest: Any) -> Object:
        nonlocal left
        answer = await exchange(self, verb, resource, *rest)
        if verb not in ("get", "list") and resource not in (LEASES, EVENTS):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return answer

    KubeClient._exchange = counted  # type: ignore[method-assign]


if __name__ == "__main__":
    die_after(int(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
