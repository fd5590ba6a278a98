"""What a run creates: EmbeddingServices as users write them, staged ModelCaches, a volume, simulated nodes."""

from __future__ import annotations

import math
from typing import Any, Final

from embedding_operator.api import names
from embedding_operator.api.profile import RuntimeProfile
from embedding_operator.api.service import EmbeddingService
from embedding_operator.planning.profiles import ASCEND_910B
from embedding_operator.planning.weights import model_cache

Object = dict[str, Any]
NAMESPACE: Final = "embeddings"
CLAIM: Final = "model-weights"
PROFILE: Final = str(ASCEND_910B["metadata"]["name"])
SERVICES_PER_CACHE: Final = 20
_PODS_PER_NODE: Final = 64


def service_name(index: int) -> str:
    """All of the same length, so that bodies recorded for one hold for all."""
    return f"bench-{index:05d}"


def service(index: int, replicas: int) -> Object:
    """One EmbeddingService; twenty of them share a model."""
    revision = f"v{index // SERVICES_PER_CACHE}"
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.EMBEDDING_SERVICE,
        "metadata": {"name": service_name(index), "namespace": NAMESPACE},
        "spec": {
            "model": {"source": {"modelScope": {"repo": "Qwen/Qwen3-VL-Embedding-8B", "revision": revision}}},
            "cache": {"claimName": CLAIM},
            "runtime": {"profile": PROFILE},
            "replicas": replicas,
        },
    }


def staged_caches(services: int) -> list[tuple[Object, Object]]:
    """The ModelCaches that so many services ask for, each with the status that says it is staged."""
    made = []
    pod = RuntimeProfile.from_dict({**ASCEND_910B, "metadata": {**ASCEND_910B["metadata"], "uid": "x"}}).spec.pod
    for index in range(0, services, SERVICES_PER_CACHE):
        asking = service(index, 1)
        asking["metadata"] |= {"uid": "x", "generation": 1}
        cache = model_cache(EmbeddingService.from_dict(asking), pod)
        commit = f"{index:040x}"
        status = {
            "revision": commit,
            "digest": f"sha256:{index:064x}",
            "path": f"modelscope/Qwen--Qwen3-VL-Embedding-8B/{commit}",
            "files": 18,
            "bytes": 17_000_000_000,
        }
        made.append((cache, {"status": status}))
    return made


def volume() -> list[Object]:
    """A static ReadWriteMany volume and its claim, bound to each other."""
    capacity, modes = {"storage": "1Ti"}, ["ReadWriteMany"]
    reference = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": CLAIM, "namespace": NAMESPACE}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": CLAIM},
            "spec": {
                "capacity": capacity,
                "accessModes": modes,
                "nfs": {"server": "nfs.example.com", "path": "/models"},
                "storageClassName": "",
                "claimRef": reference,
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": CLAIM, "namespace": NAMESPACE},
            "spec": {
                "accessModes": modes,
                "resources": {"requests": capacity},
                "storageClassName": "",
                "volumeName": CLAIM,
            },
        },
    ]


def nodes(pods: int) -> list[Object]:
    """Few and large, since the scheduler is not what is measured; a real node has eight NPUs."""
    count = max(2, math.ceil(1.25 * pods / _PODS_PER_NODE))
    space = {
        "cpu": str(32 * _PODS_PER_NODE),
        "memory": f"{128 * _PODS_PER_NODE}Gi",
        "pods": str(2 * _PODS_PER_NODE),
        ASCEND_910B["spec"]["accelerator"]["resourceName"]: str(_PODS_PER_NODE),
    }
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "simulated"}
    labels = {**ASCEND_910B["spec"]["pod"]["nodeSelector"], "kubernetes.io/arch": "arm64", "kubernetes.io/os": "linux"}
    return [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": f"node-{index}", "labels": labels | {"kubernetes.io/hostname": f"node-{index}"}},
            "status": {"capacity": space, "allocatable": space, "conditions": [ready]},
        }
        for index in range(count)
    ]
