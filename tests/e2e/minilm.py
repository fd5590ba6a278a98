"""A small real model, and the real vLLM for CPU that serves it."""

from __future__ import annotations

from typing import Any

from tests.e2e.product import HUB, Place

IMAGE = "docker.io/embedding-operator/vllm-cpu:0.32.0"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
MODEL = {"source": {"modelScope": {"repo": MINILM, "endpoint": HUB}}}
RUNTIME = {
    "profile": "cpu",
    "image": IMAGE,
    "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"memory": "6Gi"}},
}


def serve(place: Place, **spec: Any) -> None:
    """MiniLM on one replica."""
    place.service("minilm", **({"model": MODEL, "runtime": RUNTIME, "replicas": 1} | spec))
