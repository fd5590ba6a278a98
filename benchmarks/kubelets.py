"""`python -m benchmarks.kubelets KUBECONFIG`: all simulated kubelets, in one process.

Each pod that the scheduler has bound is patched to Running and Ready, once and at once: one write where a real
kubelet makes three or more. The API server filters (`spec.nodeName` set, phase Pending) and sends metadata only. A pod
that is deleted is gone at once, as if it had ended.
Each node's Lease is renewed every ten seconds, as kubelets do, or its pods would be taken away.
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

from benchmarks.api import APPLY, MERGE, METADATA, STRATEGIC, Api, Lines, Object, RequestRefusedError, connected
from benchmarks.manifests import NODES, node_name

_WORKERS: Final = 8
_HEARTBEAT: Final = 10.0  # seconds
_LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_BOUND: Final = "/api/v1/pods?fieldSelector=spec.nodeName!=,status.phase=Pending"
_RUNNING: Final = "/api/v1/pods?fieldSelector=spec.nodeName!=,status.phase=Running"


async def simulate(kubeconfig: Path) -> None:
    """Until cancelled."""
    waiting: asyncio.Queue[str] = asyncio.Queue()
    deleted: asyncio.Queue[str] = asyncio.Queue()
    addresses = pod_addresses()
    async with connected(kubeconfig) as api, asyncio.TaskGroup() as group:
        for _ in range(_WORKERS):
            group.create_task(_start_pods(api, waiting, addresses))
            group.create_task(_end_pods(api, deleted))
        await _make_leases(api)
        for index in range(NODES):
            group.create_task(_live(api, index))
        lines = Lines(api, _BOUND, METADATA)
        group.create_task(_bound(lines, waiting))
        running_pods = Lines(api, _RUNNING, METADATA)
        group.create_task(_ending(running_pods, deleted))
        await lines.begun.wait()
        await running_pods.begun.wait()
        print("ready", flush=True)


async def _make_leases(api: Api) -> None:
    for index in range(NODES):
        spec = {"holderIdentity": node_name(index), "leaseDurationSeconds": 40, "renewTime": _micro_time()}
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": node_name(index)}}
        path = f"{_LEASES}/{node_name(index)}?fieldManager=kubelets&force=true"  # kubelets before us may have made it
        await api.send("PATCH", path, json.dumps({**body, "spec": spec}), APPLY)


async def _live(api: Api, index: int) -> None:
    """Renew a node's Lease; all nodes spread over the period."""
    await asyncio.sleep(_HEARTBEAT * index / NODES)
    while True:
        body = json.dumps({"spec": {"renewTime": _micro_time()}})
        await api.send("PATCH", f"{_LEASES}/{node_name(index)}", body, MERGE)
        await asyncio.sleep(_HEARTBEAT)


def _micro_time() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def _bound(lines: Lines, waiting: asyncio.Queue[str]) -> None:
    """Each pod once, though the watch be opened again."""
    seen: set[str] = set()
    async for line in lines:
        if line.startswith(b'{"type":"ADDED"'):
            metadata = json.loads(line)["object"]["metadata"]
            if metadata["uid"] not in seen:
                seen.add(metadata["uid"])
                waiting.put_nowait(f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status")


async def _ending(lines: Lines, deleted: asyncio.Queue[str]) -> None:
    seen: set[str] = set()
    async for line in lines:
        if b'"deletionTimestamp"' in line and not line.startswith(b'{"type":"DELETED"'):
            metadata = json.loads(line)["object"]["metadata"]
            if "deletionTimestamp" in metadata and metadata["uid"] not in seen:
                seen.add(metadata["uid"])
                deleted.put_nowait(f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}")


async def _end_pods(api: Api, deleted: asyncio.Queue[str]) -> None:
    while True:
        path = await deleted.get()
        with contextlib.suppress(RequestRefusedError):  # gone already
            await api.send("DELETE", path, json.dumps({"gracePeriodSeconds": 0}))


def pod_addresses() -> Iterator[str]:
    """Where the operator asks pods and nobody answers: multicast, to which the kernel opens no connection. Whatever
    else is on this machine's networks, another cluster's pods for one, hears nothing of a benchmark."""
    return (f"239.{64 + n // 62500}.{n // 250 % 250}.{n % 250 + 1}" for n in itertools.count())


async def _start_pods(api: Api, waiting: asyncio.Queue[str], addresses: Iterator[str]) -> None:
    while True:
        path = await waiting.get()
        with contextlib.suppress(RequestRefusedError):  # deleted before it ran
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
