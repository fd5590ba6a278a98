"""`python -m benchmarks.takeover`: how long nobody leads, on a real API server, when the leader of two replicas goes.

Each replica lives in a network namespace of its own, so root is needed. Right after the leader is hit a service is
scaled. Counted, from the moment of the hit and by the API server's audit log: until the heir holds the Lease, and until
its first write. docs/reliability.md says what came of it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from embedding_operator.commands.argvalues import positive
from embedding_operator.kube.connection import connect
from tests.apart import Apart, apart
from tests.faulty.direct import Direct
from tests.faulty.kubelet import play_kubelet
from tests.faulty.story import claim, service, serving
from tests.twins import Twins

_LEASE = 15
_QUIET = 20.0  # seconds until a replica that has just started follows its watches and no longer lists


Hit = Callable[[Apart, Twins, str], float]
"""Does something to the leader, and says when."""


class Takeover(NamedTuple):
    """Seconds since the leader was hit."""

    led: float
    wrote: float


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.takeover", description=__doc__)
    parser.add_argument("--rounds", type=positive, default=5, metavar="N", help="of each kind (%(default)s)")
    parser.add_argument("--only", choices=sorted(_HITS), metavar="KIND", help=f"one of: {', '.join(sorted(_HITS))}")
    arguments = parser.parse_args()
    kinds = [arguments.only] if arguments.only else list(_HITS)
    print("| what became of the leader | times | led by the heir after s | longest | wrote after s | longest | limit |")
    print("|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as directory, apart(Path(directory)) as separate:
        for kind in kinds:
            took = asyncio.run(_measure(separate, kind, arguments.rounds))
            limit = "-" if kind in _ORDERLY else f"{_LEASE}"
            cells = [
                kind,
                f"{len(took)}",
                *_told([one.led for one in took]),
                *_told([one.wrote for one in took]),
                limit,
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


def _told(seconds: list[float]) -> tuple[str, str]:
    return f"{statistics.median(seconds):.2f}", f"{max(seconds):.2f}"


async def _measure(separate: Apart, kind: str, rounds: int) -> list[Takeover]:
    connection = await connect(separate.control_plane.kubeconfig)
    kubelet = asyncio.create_task(play_kubelet(connection))
    users = Direct(connection, f"users-{time.monotonic_ns()}")
    await users.ask("POST", "/api/v1/namespaces", {"metadata": {"name": users.namespace}})
    replicas = itertools.cycle((1, 2))
    try:
        with separate.twins(f"twins-{time.monotonic_ns()}", lease=_LEASE) as twins:
            await users.create("pvc", claim())
            await users.create("emb", service("a", "Qwen/Qwen3-Embedding-0.6B", replicas=2))
            await _until_serving(users, 2)
            return [await _once(separate, twins, users, kind, next(replicas)) for _ in range(rounds)]
    finally:
        kubelet.cancel()
        await asyncio.gather(kubelet, return_exceptions=True)
        await connection.close()


async def _once(separate: Apart, twins: Twins, users: Direct, kind: str, replicas: int) -> Takeover:
    await asyncio.sleep(_QUIET)
    leader = twins.leader()
    heir = twins.other(leader)
    began = _HITS[kind](separate, twins, leader)
    await users.patch("emb", "a", {"spec": {"replicas": replicas}})
    await _until_serving(users, replicas)
    ours = [one for one in twins.requests() if one.who == heir and one.at > began]
    led = next(one.at for one in ours if one.holds)
    wrote = next(one.at for one in ours if one.is_write)
    await asyncio.to_thread(_bring_back, separate, twins, leader)
    return Takeover(led - began, wrote - began)


def _bring_back(separate: Apart, twins: Twins, name: str) -> None:
    """As the kubelet would: a replica that has ended is started anew."""
    replica = twins.replicas[name]
    with contextlib.suppress(ProcessLookupError):
        replica.send(signal.SIGCONT)
    replica.wait()
    separate.mend(name)
    replica.start()


async def _until_serving(users: Direct, replicas: int) -> None:
    while not await serving(users, a=replicas):  # noqa: ASYNC110 - it is in another process
        await asyncio.sleep(0.05)


def _sent(how: signal.Signals) -> Hit:
    def hit(_: Apart, twins: Twins, leader: str) -> float:
        twins.replicas[leader].send(how)
        return time.time()

    return hit


def _cut(separate: Apart, _: Twins, leader: str) -> float:
    separate.cut(leader)
    return time.time()


def _upgraded(_: Apart, twins: Twins, leader: str) -> float:
    """As a Deployment rolls two replicas: the standby is replaced, then the leader is told to stop."""
    standby = twins.replicas[twins.other(leader)]
    standby.terminate()
    standby.start()
    twins.replicas[leader].send(signal.SIGTERM)
    return time.time()


_ORDERLY = ("told to stop (SIGTERM)", "rolling upgrade")
_HITS: dict[str, Hit] = {
    _ORDERLY[0]: _sent(signal.SIGTERM),
    _ORDERLY[1]: _upgraded,
    "killed (SIGKILL)": _sent(signal.SIGKILL),
    "stopped (SIGSTOP)": _sent(signal.SIGSTOP),
    "cut off": _cut,
}

if __name__ == "__main__":
    main()
