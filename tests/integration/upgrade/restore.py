"""Puts what was recorded onto an API server, as the operator and the users of that time left it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tests.integration.operating import Namespace, make_ready, until

Object = dict[str, Any]
HERE = Path(__file__).parent
RECORDS = sorted(HERE.glob("*.yaml"))
_OWN = ("RuntimeProfile", "ModelCache", "EmbeddingService")


def restore(record: Path, namespace: Namespace) -> None:
    """All objects, with the pods that a controller manager makes of them ready."""
    objects = list(yaml.safe_load_all(record.read_text()))
    namespace.claim()
    for obj in objects:
        if obj["kind"] in _OWN:
            _write(namespace, obj)
    uids = {one["metadata"]["name"]: one["metadata"]["uid"] for one in namespace.items("emb")}
    for obj in objects:
        if obj["kind"] not in _OWN:
            for owner in obj["metadata"].get("ownerReferences") or ():
                owner["uid"] = uids[owner["name"]]
            arguments = ("apply", "--server-side", "--field-manager=embedding-operator", "-f", "-")
            namespace.kubectl(*arguments, input=json.dumps(obj))
    for deployment in namespace.items("deployment"):
        until(lambda name=deployment["metadata"]["name"]: _is_whole(namespace, name))  # type: ignore[misc]


def _write(namespace: Namespace, obj: Object) -> None:
    status = obj.pop("status", None)
    namespace.apply(obj)
    if status is not None:
        namespace.write_status(obj["kind"], obj["metadata"]["name"], status)


def _is_whole(namespace: Namespace, service: str) -> bool:
    make_ready(namespace, service)
    deployment = namespace.get("deployment", service) or {}
    counted = deployment.get("status") or {}
    return bool(
        counted.get("observedGeneration") == deployment["metadata"]["generation"]
        and counted.get("readyReplicas") == deployment["spec"]["replicas"]
    )
