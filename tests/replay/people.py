"""What users write, and what people who meddle do to what the operator made."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

from embedding_operator.kube.resources import Object, ObjectKey, key_of

REPOS = ("org/one", "org/two")


def specs() -> st.SearchStrategy[Object]:
    """What users write."""
    return st.builds(
        _spec,
        repo=st.sampled_from(REPOS),
        replicas=st.integers(0, 3),
        length=st.sampled_from([None, 1024, 2048]),
        made_claim=st.booleans(),
        suspend=st.booleans(),
        profile=st.sampled_from(["cpu", "cpu", "cpu", "none-such"]),
    )


def _spec(repo: str, replicas: int, length: int | None, made_claim: bool, suspend: bool, profile: str) -> Object:
    spec: Object = {
        "model": {"source": {"modelScope": {"repo": repo, "revision": "master"}}},
        "cache": {"claimTemplate": {"size": "1Gi"}} if made_claim else {"claimName": "weights"},
        "runtime": {"profile": profile},
        "replicas": replicas,
    }
    return spec | ({"serving": {"maxModelLen": length}} if length else {}) | ({"suspend": True} if suspend else {})


def new_object(key: ObjectKey, version: str = "embedding-operator.io/v1alpha1", **fields: Any) -> Object:
    metadata = {"name": key.name, "namespace": key.namespace}
    made = {"apiVersion": version, "kind": key.kind, "metadata": metadata, **copy.deepcopy(fields)}
    assert key_of(made) == key
    return made


def edit_spec(obj: Object) -> None:
    spec = obj["spec"]
    if "replicas" in spec:
        spec["replicas"] += 1
    elif spec.get("ports"):
        spec["ports"][0]["port"] += 1
    elif "maxUnavailable" in spec:
        spec["maxUnavailable"] = 2


def edit_label(obj: Object) -> None:
    if "labels" in obj["metadata"]:
        obj["metadata"]["labels"]["app.kubernetes.io/name"] = "other"


def remove_label(obj: Object) -> None:
    obj["metadata"].get("labels", {}).pop("embedding-operator.io/service", None)


def remove_mark(obj: Object) -> None:
    obj["metadata"].get("labels", {}).pop("app.kubernetes.io/managed-by", None)
