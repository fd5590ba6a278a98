"""The services that are recorded: what reaches a pod in as many ways as the oldest version knew."""

from typing import Any

Object = dict[str, Any]
NAMES = ("shared", "small", "tuned")
API = "embedding-operator.io/v1alpha1"


_APART = {
    "weight": 1,
    "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "other"}}},
}


def _service(name: str, **spec: Any) -> Object:
    return {"apiVersion": API, "kind": "EmbeddingService", "metadata": {"name": name}, "spec": spec}


def _source(repo: str) -> Object:
    return {"source": {"modelScope": {"repo": repo}}}


FIRST_SMALL = _service(
    "small",
    model=_source("sentence-transformers/all-MiniLM-L6-v2"),
    cache={"claimName": "model-weights"},
    runtime={"profile": "cpu"},
    replicas=2,
)
CACHE = {
    "apiVersion": API,
    "kind": "ModelCache",
    "metadata": {"name": "preloaded"},
    "spec": {
        "source": {"modelScope": {"repo": "Qwen/Qwen3-Embedding-0.6B", "revision": "master"}},
        "storage": {"claimName": "model-weights", "subPath": "models"},
    },
}
SERVICES = (
    FIRST_SMALL | {"spec": FIRST_SMALL["spec"] | {"serving": {"maxModelLen": 256}}},  # so it has two revisions
    _service("shared", model={"cacheRef": {"name": "preloaded"}}, runtime={"profile": "cpu"}, replicas=1),
    _service(
        "tuned",
        model=_source("Qwen/Qwen3-VL-Embedding-8B") | {"servedName": "embed", "aliases": ["text-embedding"]},
        cache={"claimName": "model-weights", "subPath": "models"},
        runtime={
            "profile": "ascend-910b",
            "version": "0.18.0",
            "args": ["--no-enable-prefix-caching"],
            "env": [{"name": "OMP_NUM_THREADS", "value": "1"}],
            "imagePullSecrets": [{"name": "registry"}],
            "resources": {"requests": {"cpu": 8, "memory": "64Gi"}},
        },
        parallelism={"tensor": 2},
        serving={"maxModelLen": 8192, "dtype": "BFloat16", "maxBatchedTokens": 16384, "maxSequences": 256},
        rollout={"strategy": "Surge", "drainTimeout": "2m", "revisionHistoryLimit": 3},
        exposure={"service": {"type": "NodePort", "port": 80}},
        scheduling={
            "nodeSelector": {"rack": "r1"},
            "tolerations": [{"key": "npu", "operator": "Exists", "effect": "NoSchedule"}],
            "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [_APART]}},
        },
        replicas=2,
    ),
)
