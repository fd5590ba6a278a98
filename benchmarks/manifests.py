"""What a run creates: EmbeddingServices as users write them, staged ModelCaches, a volume, simulated nodes."""

from __future__ import annotations

import math
from typing import Any, Final

from embedding_operator.api import names
from embedding_operator.api.profile import RuntimeProfile
from embedding_operator.api.service import EmbeddingService
from embedding_operator.kube.resources import EMBEDDING_SERVICES, MODEL_CACHES
from embedding_operator.planning.profiles import ASCEND_910B
from embedding_operator.planning.weights import model_cache

Object = dict[str, Any]
PER_NAMESPACE: Final = 200
"""Services. kube-controller-manager looks at all Services of a pod's namespace whenever the pod changes."""
SERVICES: Final = EMBEDDING_SERVICES.path(None)
CACHES: Final = MODEL_CACHES.path(None)
CLAIM: Final = "model-weights"
PROFILE: Final = str(ASCEND_910B["metadata"]["name"])
SERVICES_PER_CACHE: Final = 20
NODES: Final = 100
_ROOM: Final = 1.25  # of what the pods of all services need


def service_name(index: int) -> str:
    """All of the same length, so that bodies recorded for one hold for all."""
    return f"bench-{index:05d}"


def namespace_of(index: int) -> str:
    """The namespace of a service; who shares a model shares a namespace."""
    return f"embeddings-{index // PER_NAMESPACE:02d}"


def namespaces(services: int) -> list[str]:
    """Those of so many services."""
    return [namespace_of(index) for index in range(0, services, PER_NAMESPACE)]


def path_of(index: int) -> str:
    """Of a service."""
    return EMBEDDING_SERVICES.path(namespace_of(index), service_name(index))


def service(index: int, replicas: int) -> Object:
    """One EmbeddingService; twenty of them share a model."""
    revision = f"v{index // SERVICES_PER_CACHE}"
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.EMBEDDING_SERVICE,
        "metadata": {"name": service_name(index), "namespace": namespace_of(index)},
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


def volume(namespace: str) -> list[Object]:
    """A namespace with a static ReadWriteMany volume and its claim, bound to each other."""
    capacity, modes, name = {"storage": "1Ti"}, ["ReadWriteMany"], f"{CLAIM}-{namespace}"
    reference = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": CLAIM, "namespace": namespace}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
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
            "metadata": {"name": CLAIM, "namespace": namespace},
            "spec": {
                "accessModes": modes,
                "resources": {"requests": capacity},
                "storageClassName": "",
                "volumeName": name,
            },
        },
    ]


def nodes(pods: int) -> list[Object]:
    """As many as a big site has, and each large enough for its part of the pods; a real one has eight NPUs."""
    each = max(8, math.ceil(_ROOM * pods / NODES))
    space = {
        "cpu": str(32 * each),
        "memory": f"{128 * each}Gi",
        "pods": str(2 * each),
        ASCEND_910B["spec"]["accelerator"]["resourceName"]: str(each),
    }
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "simulated"}
    labels = {**ASCEND_910B["spec"]["pod"]["nodeSelector"], "kubernetes.io/arch": "arm64", "kubernetes.io/os": "linux"}
    return [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": labels | {"kubernetes.io/hostname": name}},
            "status": {"capacity": space, "allocatable": space, "conditions": [ready]},
        }
        for name in map(node_name, range(NODES))
    ]


def node_name(index: int) -> str:
    """Of one of the simulated nodes."""
    return f"node-{index}"
