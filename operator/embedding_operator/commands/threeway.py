"""What an apply of a manifest would make of an object, worked out by the API server without a change.

It is asked as the tool asks that wrote the object: `kubectl apply` takes away what stood in its last manifest and does
not in this one, a server-side apply what its manager owned. So what an autoscaler or a person wrote beside it stays.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any, Final

from embedding_operator.api.json import JsonObject
from embedding_operator.commands import CommandError
from embedding_operator.kube.client import KubeClient
from embedding_operator.kube.resources import Object, key_of

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_MANAGER: Final = "embedding-operator-diff"
_OURS: Final = ("apiVersion", "kind", "metadata", "spec")


async def applied(client: KubeClient, manifest: JsonObject, live: Object | None) -> Object:
    """The object as it would be. Raises ApiError with the API server's words where it would be refused, CommandError
    where nobody can tell what `kubectl apply` would send."""
    wanted: JsonObject = {field: manifest[field] for field in _OURS if field in manifest}
    if live is None:
        return await client.create(wanted, manager=_MANAGER, dry_run=True)
    last = (live["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    manager = applier(live) if last is None else None
    if manager is not None:
        return await client.apply(wanted, manager=manager, dry_run=True)
    before = last_manifest(live, last) if last else {}
    change = {part: three_way(_part(before, part), _part(wanted, part), live.get(part) or {}) for part in _PARTS}
    change = {part: value for part, value in change.items() if value}
    return await client.merge_patch(key_of(live), change, manager=_MANAGER, dry_run=True) if change else live


def last_manifest(live: Object, text: str) -> JsonObject:
    """What the annotation of `kubectl apply` has. Raises CommandError for what is no manifest."""
    with contextlib.suppress(ValueError, RecursionError):
        before = json.loads(text)
        if isinstance(before, dict) and all(isinstance(before.get(part) or {}, dict) for part in _PARTS):
            return before
    raise CommandError(
        f"{key_of(live)}: its annotation {LAST_APPLIED} is no manifest: take it off, and apply once more"
    )


def three_way(last: Mapping[str, Any], wanted: Mapping[str, Any], live: Mapping[str, Any]) -> JsonObject:
    """The JSON merge patch of `kubectl apply`: lists are written whole, and what is nobody's stays."""
    change: JsonObject = {}
    for field, value in wanted.items():
        there = live.get(field)
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            before = last.get(field)
            if inner := three_way(before if isinstance(before, Mapping) else {}, value, there):
                change[field] = inner
        elif value != there:
            change[field] = value
    return change | {field: None for field in last if field not in wanted and field in live}


def applier(live: Object) -> str | None:
    """Who wrote the object's spec by server-side apply, if anybody did."""
    for entry in live["metadata"].get("managedFields") or ():
        is_apply = entry.get("operation") == "Apply" and not entry.get("subresource")
        if is_apply and "f:spec" in (entry.get("fieldsV1") or {}):
            return str(entry["manager"])
    return None


_PARTS: Final = ("metadata", "spec")


def _part(manifest: JsonObject, part: str) -> JsonObject:
    """Of the metadata, what is not the object's identity."""
    value: JsonObject = manifest.get(part) or {}
    if part == "metadata":
        return {field: value[field] for field in ("labels", "annotations") if field in value}
    return value
