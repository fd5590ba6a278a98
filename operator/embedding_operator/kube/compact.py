"""Cuts objects down to what planners read, so that ten thousand of them fit in a small pod.

The cut keeps Kubernetes' own shape and names: a compact object is read like the whole one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from embedding_operator.kube.resources import Object

_METADATA: Final = (
    "name",
    "namespace",
    "uid",
    "generation",
    "resourceVersion",
    "labels",
    "deletionTimestamp",
    "creationTimestamp",
)
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_INTERN_LIMIT: Final = 64
_GENERATIONS: Final = frozenset({"Deployment", "PodDisruptionBudget"})  # the spec is kept whole


def compact(obj: Mapping[str, Any], known: Mapping[str, Any] | None = None) -> Object:
    """A fresh, small copy of `obj`; nothing in it is shared with the original.

    `known` is the compact copy of an earlier state: a Deployment's spec, most of what there is to copy, is taken
    over from there while the generation says that it has not changed.
    """
    keep = _CUTS.get(obj["kind"], _nothing)
    if known is not None and obj["kind"] in _GENERATIONS and _same_generation(obj, known):
        return {**_cut({**obj, "spec": None}, keep), "spec": known["spec"]}
    return _cut(obj, keep)


def _cut(obj: Mapping[str, Any], keep: Callable[[Mapping[str, Any]], Object]) -> Object:
    cut: Object = {
        "apiVersion": obj.get("apiVersion", ""),
        "kind": obj["kind"],
        "metadata": _metadata(obj["metadata"]),
        **keep(obj),
    }
    interned: Object = _intern(cut)
    return interned


def _same_generation(obj: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    new, old = obj["metadata"], known["metadata"]
    return "generation" in new and all(new.get(field) == old.get(field) for field in ("uid", "generation"))


def _metadata(metadata: Mapping[str, Any]) -> Object:
    cut = _pick(metadata, *_METADATA)
    annotations = {name: text for name, text in (metadata.get("annotations") or {}).items() if name != _LAST_APPLIED}
    if annotations:
        cut["annotations"] = annotations
    owners = [
        _pick(owner, "apiVersion", "kind", "name", "uid", "controller")
        for owner in metadata.get("ownerReferences") or ()
    ]
    if owners:
        cut["ownerReferences"] = owners
    return cut


def _nothing(_: Mapping[str, Any]) -> Object:
    return {}


def _own(obj: Mapping[str, Any]) -> Object:
    return _pick(obj, "spec", "status")


def _deployment(obj: Mapping[str, Any]) -> Object:
    spec = obj.get("spec") or {}
    status = dict(obj.get("status") or {})
    # lastUpdateTime moves with every pod that becomes ready; nobody decides anything by it.
    conditions = [
        {name: value for name, value in condition.items() if name != "lastUpdateTime"}
        for condition in status.get("conditions") or ()
    ]
    if conditions:
        status["conditions"] = conditions
    return {"spec": spec, "status": status}


def _service(obj: Mapping[str, Any]) -> Object:
    spec = _pick(obj.get("spec") or {}, "type", "clusterIP", "ports", "selector")
    return {"spec": spec, "status": _pick(obj.get("status") or {}, "loadBalancer")}


def _revision(obj: Mapping[str, Any]) -> Object:
    return _pick(obj, "data", "revision")


def _config_map(obj: Mapping[str, Any]) -> Object:
    """Ours hold the scripts, the same in each namespace: one copy of the texts will do."""
    data = {name: sys.intern(str(text)) for name, text in (obj.get("data") or {}).items()}
    return {**_pick(obj, "immutable"), "data": data}


def _job(obj: Mapping[str, Any]) -> Object:
    status = {name: value for name, value in (obj.get("status") or {}).items() if name != "uncountedTerminatedPods"}
    return {"spec": _pick(obj.get("spec") or {}, "suspend"), "status": status}


def _budget(obj: Mapping[str, Any]) -> Object:
    status = _pick(obj.get("status") or {}, "currentHealthy", "desiredHealthy", "disruptionsAllowed")
    return {"spec": obj.get("spec") or {}, "status": status}


def _pod(obj: Mapping[str, Any]) -> Object:
    status = obj.get("status") or {}
    cut = _pick(status, "phase", "podIP", "reason", "message")
    for name in ("initContainerStatuses", "containerStatuses"):
        containers = [_container(container) for container in status.get(name) or ()]
        if containers:
            cut[name] = containers
    conditions = [
        _pick(condition, "type", "status", "reason", "message")
        for condition in status.get("conditions") or ()
        if condition.get("type") in ("Ready", "PodScheduled")
    ]
    if conditions:
        cut["conditions"] = conditions
    return {"spec": _pick(obj.get("spec") or {}, "nodeName"), "status": cut}


def _container(status: Mapping[str, Any]) -> Object:
    cut = _pick(status, "name", "ready", "started", "restartCount")
    for name in ("state", "lastState"):
        state = _container_state(status.get(name) or {})
        if state:
            cut[name] = state
    return cut


def _container_state(state: Mapping[str, Any]) -> Object:
    cut: Object = {}
    if "waiting" in state:
        cut["waiting"] = _pick(state["waiting"] or {}, "reason", "message")
    if "terminated" in state:
        cut["terminated"] = _pick(state["terminated"] or {}, "exitCode", "signal", "reason", "message", "finishedAt")
    if "running" in state:
        cut["running"] = {}
    return cut


def _claim(obj: Mapping[str, Any]) -> Object:
    spec = _pick(obj.get("spec") or {}, "storageClassName", "accessModes", "volumeName")
    return {"spec": spec, "status": _pick(obj.get("status") or {}, "phase", "capacity")}


_CUTS: Final[Mapping[str, Callable[[Mapping[str, Any]], Object]]] = {
    "EmbeddingService": _own,
    "ModelCache": _own,
    "RuntimeProfile": _own,
    "Deployment": _deployment,
    "Service": _service,
    "ControllerRevision": _revision,
    "ConfigMap": _config_map,
    "Job": _job,
    "PodDisruptionBudget": _budget,
    "Pod": _pod,
    "PersistentVolumeClaim": _claim,
}


def _pick(source: Mapping[str, Any], *names: str) -> Object:
    return {name: source[name] for name in names if name in source}


def _intern(value: Any) -> Any:
    """Copy JSON, sharing equal short strings: keys, labels and reasons repeat in every object."""
    if isinstance(value, str):
        return sys.intern(value) if type(value) is str and len(value) <= _INTERN_LIMIT else value
    if isinstance(value, dict):
        return {_intern(name): _intern(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_intern(item) for item in value]
    return value
