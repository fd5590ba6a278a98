"""`python -m benchmarks.kubelets KUBECONFIG`: all simulated kubelets, in one process.

Each pod that the scheduler has bound is patched to Running and Ready, once and at once: one write where a real
kubelet makes three or more. The API server filters (`spec.nodeName` set, phase Pending) and sends metadata only.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.api import METADATA, STRATEGIC, Api, Lines, Object, connected

_WORKERS: Final = 8
_BOUND: Final = "/api/v1/pods?fieldSelector=spec.nodeName!=,status.phase=Pending"


async def simulate(kubeconfig: Path) -> None:
    """Until cancelled."""
    waiting: asyncio.Queue[str] = asyncio.Queue()
    addresses = (f"10.{64 + n // 62500}.{n // 250 % 250}.{n % 250 + 1}" for n in itertools.count())
    async with connected(kubeconfig) as api, asyncio.TaskGroup() as group:
        for _ in range(_WORKERS):
            group.create_task(_start_pods(api, waiting, addresses))
        lines = Lines(api, _BOUND, METADATA)
        group.create_task(_bound(lines, waiting))
        await lines.begun.wait()
        print("ready", flush=True)


async def _bound(lines: Lines, waiting: asyncio.Queue[str]) -> None:
    """Each pod once, though the watch be opened again."""
    seen: set[str] = set()
    async for line in lines:
        if line.startswith(b'{"type":"ADDED"'):
            metadata = json.loads(line)["object"]["metadata"]
            if metadata["uid"] not in seen:
                seen.add(metadata["uid"])
                waiting.put_nowait(f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status")


async def _start_pods(api: Api, waiting: asyncio.Queue[str], addresses: Iterator[str]) -> None:
    while True:
        path = await waiting.get()
        await api.send("PATCH", path, json.dumps({"status": running(next(addresses))}), STRATEGIC)


def running(address: str) -> Object:
    """The status of a pod whose one container, the server, runs and is ready."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    true = [{"type": kind, "status": "True", "lastTransitionTime": now} for kind in _CONDITIONS]
    container = {
        "name": "vllm",
        "ready": True,
        "started": True,
        "restartCount": 0,
        "image": "simulated",
        "imageID": "",
        "state": {"running": {"startedAt": now}},
    }
    return {
        "phase": "Running",
        "startTime": now,
        "hostIP": "192.0.2.10",
        "hostIPs": [{"ip": "192.0.2.10"}],
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": true,
        "containerStatuses": [container],
    }


_CONDITIONS: Final = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(simulate(Path(sys.argv[1])))
