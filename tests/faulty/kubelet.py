"""Plays kubelet for all namespaces: servers become ready, staging Jobs end well."""

from __future__ import annotations

import asyncio
import json

from embedding_operator.kube.connection import Connection
from tests.faulty.direct import Direct, Object
from tests.integration.operating import STAGED

_MANAGED = "app.kubernetes.io/managed-by=embedding-operator"
_READY: Object = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


async def play_kubelet(connection: Connection) -> None:
    """Until cancelled."""
    everywhere = Direct(connection)
    while True:
        for pod in await everywhere.items("pod", _MANAGED):
            if (pod["status"].get("phase")) == "Pending" and "deletionTimestamp" not in pod["metadata"]:
                metadata = pod["metadata"]
                path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
                await everywhere.ask("PATCH", path, {"status": _status(pod)}, missing=True)
        await asyncio.sleep(0.2)


def _status(pod: Object) -> Object:
    if pod["metadata"]["labels"]["app.kubernetes.io/name"] != "model-staging":
        return _READY
    ended = {
        "exitCode": 0,
        "message": json.dumps({"result": "Staged", **STAGED}),
        "startedAt": None,
        "finishedAt": None,
    }
    container = pod["spec"]["containers"][0]["name"]
    status = {"name": container, "image": "x", "imageID": "x", "ready": False, "restartCount": 0}
    return {"phase": "Succeeded", "containerStatuses": [status | {"state": {"terminated": ended}}]}
