"""A model of the API server's objects, and of the controllers around them: the world that the operator works in.

It knows what the operator's loop depends on: resourceVersions that all objects share, generations that move with the
spec, uids, owners and garbage collection, server-side apply by one manager, preconditions, and the answers 404 and
409. It validates nothing and knows no other field managers; for these there are tests on a real API server.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from embedding_operator.api.names import API_VERSION, FIELD_MANAGER
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import Object, ObjectKey, key_of
from tests.replay.recording import Event

_COUNTED = frozenset(
    {
        *("EmbeddingService", "EmbeddingJob", "EmbeddingBenchmark", "ModelCache", "RuntimeProfile"),
        *("Deployment", "Job", "PodDisruptionBudget", "Pod"),
    }
)


class ApiServer:
    """Objects by key. Every change is an event, handed to `tell`."""

    def __init__(self) -> None:
        self.objects: dict[ObjectKey, Object] = {}
        self.version = 0
        self.nodes_are_full = False
        self.writes: list[str] = []  # what the operator changed
        self.tell: Callable[[Event], None] = lambda event: None
        self._applied: dict[str, Object] = {}  # by uid: what the operator last applied
        self._uids = 0

    # ---- what anybody does

    def get(self, key: ObjectKey) -> Object:
        if key not in self.objects:
            raise ApiError(404, "NotFound", f"{key} not found")
        return self.objects[key]

    def create(self, obj: Mapping[str, Any]) -> Object:
        key = key_of(obj)
        if key in self.objects:
            raise ApiError(409, "AlreadyExists", f"{key} already exists")
        self._uids += 1
        new = copy.deepcopy(dict(obj))
        new["metadata"] |= {"uid": f"uid-{self._uids}", "creationTimestamp": f"2026-01-01T00:{self._uids // 60:02}:00Z"}
        if key.kind in _COUNTED:
            new["metadata"]["generation"] = 1
        new.setdefault("apiVersion", API_VERSION)
        return self._store("ADDED", key, new)

    def change(self, key: ObjectKey, change: Callable[[Object], None]) -> Object:
        """Anything that anybody edits in place; what changes nothing is no new version."""
        old = self.get(key)
        new = copy.deepcopy(old)
        change(new)
        if new == old:
            return old
        if key.kind in _COUNTED and new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] += 1
        return self._store("MODIFIED", key, new)

    def delete(self, key: ObjectKey, uid: str | None = None) -> None:
        obj = self.get(key)
        if uid not in (None, obj["metadata"]["uid"]):
            raise ApiError(409, "Conflict", f"{key} has another uid")
        del self.objects[key]
        self.version += 1
        last = copy.deepcopy(obj)
        last["metadata"]["resourceVersion"] = str(self.version)
        self.tell(Event("DELETED", last))

    # ---- what the operator does

    def applied(self, desired: Object, *, force: bool) -> Object:
        key = key_of(desired)
        version = desired["metadata"].get("resourceVersion")
        desired = {**desired, "metadata": {f: v for f, v in desired["metadata"].items() if f != "resourceVersion"}}
        if key not in self.objects:  # whatever the version
            answer = self.create(desired)
        else:
            if version not in (None, self.objects[key]["metadata"]["resourceVersion"]):
                raise ApiError(409, "Conflict", f"{key} has been modified")
            if not force:
                raise ApiError(409, "Conflict", f"{key}: fields belong to somebody else")
            before = self._applied.get(self.objects[key]["metadata"]["uid"], {})
            answer = self.change(key, lambda obj: _merge(obj, before, desired))
        self._applied[answer["metadata"]["uid"]] = copy.deepcopy(desired)
        return answer

    def patched(self, key: ObjectKey, patch: Object) -> Object:
        """A merge patch of some fields of the spec, for one version."""
        if patch["metadata"]["resourceVersion"] != self.get(key)["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", f"{key} has been modified")
        return self.change(key, lambda obj: obj["spec"].update(patch["spec"]))

    def status_applied(self, desired: Object) -> Object:
        key = key_of(desired)
        current = self.get(key)["metadata"]["resourceVersion"]
        if desired["metadata"].get("resourceVersion", current) != current:
            raise ApiError(409, "Conflict", f"{key} has been modified")
        return self.change(key, lambda obj: obj.update(status=copy.deepcopy(desired["status"])))

    def _store(self, kind: str, key: ObjectKey, obj: Object) -> Object:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        self.objects[key] = obj
        self.tell(Event(kind, obj))
        return obj


def is_shown(obj: Object) -> bool:
    """Whether the operator's watches, with their selectors, show it."""
    labels = obj["metadata"].get("labels") or {}
    own = obj.get("apiVersion") == API_VERSION
    return own or labels.get("app.kubernetes.io/managed-by") == FIELD_MANAGER


def _merge(obj: Object, before: Mapping[str, Any], desired: Mapping[str, Any]) -> None:
    """Server-side apply with force: what was applied and is no more goes, what is applied is set."""
    for name in [name for name in before if name not in desired]:
        obj.pop(name, None)
    for name, value in desired.items():
        if isinstance(value, dict) and isinstance(obj.get(name), dict):
            _merge(obj[name], before.get(name) or {}, value)
        else:
            obj[name] = copy.deepcopy(value)
