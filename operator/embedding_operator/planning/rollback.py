"""Going back to a stored revision: the spec as it will be, and all that speaks against it.

The spec stays the truth: what the revision was made of is written into the service again, and an annotation names the
revision, so that its template comes back as it was and is not rendered anew (planning/revision.py, `held`).
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from embedding_operator.api import names
from embedding_operator.api.json import JsonObject
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.planning.history import Entry
from embedding_operator.planning.revision import Revision, pod_spec, spec_hash
from embedding_operator.planning.sharing import merge_patch

_GUARDS: Final = {"apiKeySecretRef": "answers whoever reaches it", "tls": "is reached without TLS"}


class RollbackError(Exception):
    """Why it cannot be done, in one line."""


def target(entries: Sequence[Entry], spec: JsonObject, number: int | None) -> Revision:
    """The revision of that number; without one, the newest that is not what the spec asks for. Raises RollbackError."""
    numbers = ", ".join(str(entry.revision.number) for entry in entries) or "none"
    if number is None:
        # a spec that no revision was made of yet (weights are being staged, or it is refused) goes back to the newest
        undone = entries[-1:] if entries and entries[-1].revision.spec_hash != spec_hash(spec) else entries[-2:-1]
        if not undone:
            raise RollbackError(f"there is no earlier revision to go back to (stored: {numbers})")
        chosen = undone[0].revision
    else:
        found = [entry.revision for entry in entries if entry.revision.number == number]
        if not found:
            raise RollbackError(f"there is no revision {number}: choose one of those that are stored ({numbers})")
        chosen = found[-1]
    if chosen.spec is None and chosen.spec_hash != spec_hash(spec):
        raise RollbackError(
            f"revision {chosen.number} was stored by a version of the operator that did not keep the spec with it: "
            "apply the manifest of that time, which brings its pods back as they were"
        )
    return chosen


def restored(now: JsonObject, then: JsonObject) -> JsonObject:
    """The spec to write: `then` in what reaches the pods, `now` in all else (replicas, the Service, ...)."""
    kept = _left_out(now, pod_spec(now))
    if "cache" not in then:  # the model came from a cacheRef, beside which there is none
        kept.pop("cache", None)
    return _joined({field: value for field, value in then.items() if (field, value) != ("rollout", {})}, kept)


def patch(service: JsonObject, chosen: Revision) -> JsonObject:
    """The merge patch that goes back, for the object as it was read; without a spec where that is what it was."""
    metadata, now = service["metadata"], service["spec"]
    have: JsonObject = metadata.get("annotations") or {}
    wanted = {names.ROLLBACK_ANNOTATION: chosen.name, names.REFRESH_ANNOTATION: chosen.refresh}
    annotations = {name: value for name, value in wanted.items() if have.get(name) != value}
    spec = merge_patch(now, restored(now, chosen.spec)) if chosen.spec is not None else {}
    change: JsonObject = {"metadata": {"resourceVersion": metadata["resourceVersion"]}}
    if annotations:
        change["metadata"]["annotations"] = annotations
    return change | ({"spec": spec} if spec else {})


def guards_changed(service: JsonObject, chosen: Revision) -> list[str]:
    """What becomes of keys and TLS, which are in the pods and so in a revision: a line for each that changes."""
    if chosen.spec is None:  # then the service's own is that of the revision
        return []
    now, then = (spec.get("exposure") or {} for spec in (service["spec"], chosen.spec))
    lines = []
    for field, without in _GUARDS.items():
        if now.get(field) == then.get(field):
            continue
        path = f"spec.exposure.{field}"
        if field not in then:
            lines.append(f"that revision has no {path}: the service {without}")
        else:
            lines.append(f"{path} becomes {json.dumps(then[field])} again: clients must be ready for it")
    return lines


def weights_lost(chosen: Revision, cache: ModelCache | None) -> str:
    """What becomes of a rollback whose weights are not there any more; empty where they are."""
    name = chosen.weights.get("cache")
    if cache is None:
        return (
            f"its weights are not staged any more (ModelCache {name} is gone): they are staged again, the pods stay as "
            "they are until that is done, and other weights make another revision"
        )
    if cache.status.digest is None:
        return (
            f"its weights are not there (ModelCache {name} is not ready): the pods stay as they are until they are "
            "staged, and other weights make another revision"
        )
    if cache.status.digest != chosen.digest:
        return (
            f"ModelCache {name} holds other weights by now ({cache.status.revision or cache.status.digest}): the spec "
            "of that revision is rendered anew for them"
        )
    return ""


def writers(managed: Iterable[JsonObject], spec: Mapping[str, object]) -> dict[str, list[str]]:
    """Who else writes the fields of a patch of the spec, by the API server's own record: tools that may do it again.

    A person with kubectl does not come back by itself.
    """
    found: dict[str, list[str]] = {}
    for entry in managed:
        manager = str(entry.get("manager") or "")
        if not manager or manager.startswith("kubectl") or entry.get("subresource"):
            continue
        owned = ((entry.get("fieldsV1") or {}).get("f:spec")) or {}
        fields = [path for path in _paths(spec, owned) if path not in found.get(manager, ())]
        if fields:
            found.setdefault(manager, []).extend(fields)
    return found


def _paths(spec: Mapping[str, object], owned: Mapping[str, object], path: str = "spec") -> Iterator[str]:
    """The fields that are in both; in one that is owned as a whole all are."""
    for field, value in spec.items():
        inner = owned.get(f"f:{field}")
        if not isinstance(inner, Mapping):
            continue
        if isinstance(value, Mapping) and any(key.startswith("f:") for key in inner):
            yield from _paths(value, inner, f"{path}.{field}")
        else:
            yield f"{path}.{field}"


def _left_out(whole: Mapping[str, object], part: Mapping[str, object]) -> JsonObject:
    """What `whole` has and `part`, which was cut from it, has not."""
    out: JsonObject = {}
    for field, value in whole.items():
        if field not in part:
            out[field] = value
            continue
        cut = part[field]
        if value is cut or not isinstance(value, Mapping) or not isinstance(cut, Mapping):
            continue
        if inner := _left_out(value, cut):
            out[field] = inner
    return out


def _joined(first: JsonObject, second: JsonObject) -> JsonObject:
    out = dict(first)
    for field, value in second.items():
        mine = out.get(field)
        out[field] = _joined(mine, value) if isinstance(mine, dict) and isinstance(value, dict) else value
    return out
