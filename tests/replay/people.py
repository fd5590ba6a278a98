"""What users write, and what people who meddle do to what the operator made."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

from embedding_operator.kube.resources import Object, ObjectKey, key_of

NAMES = ("a", "b")
REPOS = ("org/one", "org/two")
_FILES: Object = {
    "input": {"claimName": "corpus", "files": ["*.jsonl"], "format": "JsonLines", "textField": "text"},
    "output": {"claimName": "vectors"},
}


def specs() -> st.SearchStrategy[Object]:
    """What users write."""
    return st.builds(
        _spec,
        repo=st.sampled_from(REPOS),
        replicas=st.integers(0, 3),
        length=st.sampled_from([None, 1024, 2048]),
        made_claim=st.booleans(),
        suspend=st.sampled_from([False, False, True]),
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


def jobs() -> st.SearchStrategy[Object]:
    """Jobs with workers of their own, and with a service."""
    own = st.builds(
        lambda repo, profile: {
            "model": {"source": {"modelScope": {"repo": repo, "revision": "master"}}},
            "cache": {"claimName": "weights"},
            "runtime": {"profile": profile},
        },
        repo=st.sampled_from(REPOS),
        profile=st.sampled_from(["cpu", "cpu", "cpu", "none-such"]),
    )
    by = own | st.sampled_from(NAMES).map(lambda name: {"serviceRef": {"name": name}})
    return st.builds(lambda by, parallelism: by | _FILES | {"parallelism": parallelism}, by, st.integers(1, 3))


def benchmarks() -> st.SearchStrategy[Object]:
    """Loads on a service, once or twice."""
    run = {"dataset": "random", "inputTokens": 200, "prompts": 1000}
    return st.builds(
        lambda name, runs: {"serviceRef": {"name": name}, "runs": [run] * runs},
        st.sampled_from(["a", "a", "a", "b"]),  # so that some wait for their turn
        st.integers(1, 2),
    )


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
