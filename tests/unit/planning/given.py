"""Things that plan tests are given, as short as they can be said."""

import copy
from typing import Any

from embedding_operator.api.modelcache import ModelCache
from embedding_operator.api.profile import RuntimeProfile
from embedding_operator.api.service import EmbeddingService
from embedding_operator.planning import revision
from embedding_operator.planning.observed import Observed
from embedding_operator.planning.plan import Plan, plan_service
from embedding_operator.planning.profiles import BUILT_IN
from embedding_operator.planning.vectors import Record

JsonObject = dict[str, Any]
SCRIPTS = {"launch": "1", "middleware": "2", "probe": "3", "drain": "4"}
RECORD = Record({"short": {"vector": "ADwAAA==", "length": 1.0}})  # (1, 0)
DIGEST = "sha256:" + "ab" * 32


def profiles(**spec: Any) -> dict[str, RuntimeProfile]:
    """The built-in profiles, with parts of their spec replaced."""
    changed = [profile | {"spec": profile["spec"] | spec} for profile in BUILT_IN]
    return {profile["metadata"]["name"]: RuntimeProfile.from_dict(profile) for profile in changed}


def service(**spec: Any) -> JsonObject:
    """The README's service, with parts of its spec replaced."""
    base: JsonObject = {
        "model": {"source": {"modelScope": {"repo": "Qwen/Qwen3-VL-Embedding-8B"}}},
        "cache": {"claimName": "model-weights"},
        "runtime": {"profile": "ascend-910b"},
        "replicas": 4,
    }
    return {
        "apiVersion": "embedding-operator.io/v1alpha1",
        "kind": "EmbeddingService",
        "metadata": {"name": "qwen", "namespace": "search", "uid": "u-1", "generation": 3},
        "spec": {key: value for key, value in (base | spec).items() if value is not None},
    }


def cache(
    *, staged: bool = True, digest: str = DIGEST, repo: str = "Qwen/Qwen3-VL-Embedding-8B", **status: Any
) -> ModelCache:
    """The ModelCache of that service."""
    done = {"revision": "9c3d", "digest": digest, "path": "modelscope/Qwen--Qwen3-VL-Embedding-8B/9c3d"}
    return ModelCache.from_dict(
        {
            "metadata": {"name": "modelscope-qwen", "namespace": "search", "uid": "u-2", "generation": 1},
            "spec": {
                "source": {"modelScope": {"repo": repo, "revision": "master"}},
                "storage": {"claimName": "model-weights"},
            },
            "status": (done if staged else {}) | status,
        }
    )


def seen(**observed: Any) -> Observed:
    usual: JsonObject = {"profiles": profiles(), "script_sources": SCRIPTS}
    return Observed(**(usual | observed))


def plan(obj: JsonObject, observed: Observed) -> Plan:
    return plan_service(EmbeddingService.from_dict(obj), obj["spec"], observed)


def child(planned: Plan, kind: str) -> JsonObject:
    (found,) = [one for one in planned.apply if one["kind"] == kind]
    return found


def kinds(planned: Plan) -> list[str]:
    return [one["kind"] for one in planned.apply]


def conditions(planned: Plan) -> dict[str, tuple[str, str, str]]:
    return {c.type: (c.status, str(c.reason), c.message) for c in planned.status.conditions}


def stored(planned: Plan) -> list[revision.Revision]:
    """The revisions as they are read back after a plan was applied."""
    parsed = [revision.parse(copy.deepcopy(one)) for one in planned.apply if one["kind"] == "ControllerRevision"]
    return [one for one in parsed if one]


def space(planned: Plan) -> str:
    """The ConfigMap of the vectors that the pods of a plan are held against; empty where they give none."""
    annotations = child(planned, "Deployment")["spec"]["template"]["metadata"]["annotations"]
    return str(annotations.get("embedding-operator.io/embedding-space") or "")


def deployment(*, replicas: int, ready: int, updated: int | None = None, **status: Any) -> JsonObject:
    return {
        "kind": "Deployment",
        "metadata": {"name": "qwen", "namespace": "search", "generation": 2},
        "status": {
            "observedGeneration": 2,
            "replicas": replicas,
            "readyReplicas": ready,
            "updatedReplicas": replicas if updated is None else updated,
        }
        | status,
    }


def pod(name: str, *, node: str | None = "n1", ready: bool = True, **status: Any) -> JsonObject:
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "search"},
        "spec": {"nodeName": node},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]} | status,
    }
