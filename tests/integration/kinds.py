"""What the tests of the kinds share: installing the CRDs, and manifests to start from."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.kubectl import Kubectl
from tests.integration.operating import until

ROOT = Path(__file__).resolve().parents[2]
CRDS = ROOT / "crds"
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
PLURALS = ("embeddingjobs", "embeddingservices", "modelcaches", "runtimeprofiles", "embeddingbenchmarks")

Manifest = dict[str, Any]
REMOVE = object()
"""As a value of `changed`: take the field away."""


def install_kinds(kubectl: Kubectl) -> None:
    """Apply the CRDs, and wait until the API serves them."""
    kubectl("apply", "-f", str(CRDS))
    for plural in PLURALS:
        _until_served(kubectl, "crd", f"{plural}.embedding-operator.io")


def install_crd(kubectl: Kubectl, path: Path) -> None:
    """Apply somebody else's CRD, and wait until the API serves it."""
    kubectl("apply", "--server-side", "-f", str(path))
    _until_served(kubectl, "-f", str(path))


def _until_served(kubectl: Kubectl, *crd: str) -> None:
    """`kubectl wait` fails while it has no conditions."""

    def is_served() -> bool:
        conditions = (json.loads(kubectl("get", *crd, "-o", "json")).get("status") or {}).get("conditions") or ()
        return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)

    until(is_served)


def service(**changes: Any) -> Manifest:
    """An EmbeddingService with no more than it needs; changes are paths joined by a double underscore."""
    spec = {
        "model": {"source": {"modelScope": {"repo": "Qwen/Qwen3-Embedding-0.6B"}}},
        "cache": {"claimName": "model-weights"},
    }
    return changed(_manifest("EmbeddingService", "base", spec), changes)


def job(**changes: Any) -> Manifest:
    """An EmbeddingJob with no more than it needs."""
    spec = {
        "model": {"source": {"modelScope": {"repo": "Qwen/Qwen3-Embedding-0.6B"}}},
        "cache": {"claimName": "model-weights"},
        "input": {"claimName": "corpus", "files": ["*.jsonl"], "format": "JsonLines", "textField": "text"},
        "output": {"claimName": "vectors"},
    }
    return changed(_manifest("EmbeddingJob", "base", spec), changes)


def cache(**changes: Any) -> Manifest:
    """A ModelCache with no more than it needs."""
    spec = {
        "source": {"modelScope": {"repo": "Qwen/Qwen3-Embedding-0.6B"}},
        "storage": {"claimName": "model-weights"},
    }
    return changed(_manifest("ModelCache", "base", spec), changes)


def profile(**changes: Any) -> Manifest:
    """A RuntimeProfile with no more than it needs."""
    spec = {
        "accelerator": {"type": "Ascend", "resourceName": "huawei.com/Ascend910"},
        "runtime": {"name": "vllm-ascend", "version": "0.23.0", "image": "quay.io/ascend/vllm-ascend:v0.23.0"},
    }
    return changed(_manifest("RuntimeProfile", "base", spec), changes)


def benchmark(**changes: Any) -> Manifest:
    """An EmbeddingBenchmark with no more than it needs."""
    spec = {"serviceRef": {"name": "base"}, "runs": [{"dataset": "random", "inputTokens": 200, "prompts": 1000}]}
    return changed(_manifest("EmbeddingBenchmark", "base", spec), changes)


def changed(manifest: Manifest, changes: Mapping[str, Any]) -> Manifest:
    """A copy with values set or removed; a path such as `cache__claimName` is below spec, `metadata__x` is not."""
    copied = copy.deepcopy(manifest)
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = copied if parents and parents[0] == "metadata" else copied["spec"]
        for name in parents:
            place = place.setdefault(name, {})
        if value is REMOVE:
            del place[last]
        else:
            place[last] = value
    return copied


def as_yaml(*manifests: Manifest) -> str:
    """What `kubectl apply -f -` reads."""
    return yaml.safe_dump_all(manifests)


def _manifest(kind: str, name: str, spec: Manifest) -> Manifest:
    return {
        "apiVersion": "embedding-operator.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }
