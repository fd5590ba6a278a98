"""What the services that share a ModelCache agree on: who stages, and what becomes of the files.

The operator makes a ModelCache for the first service that asks; those that come later, or change their minds, are
heard too. Only what the operator made is changed, and of that only what some service wrote.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from embedding_operator.api import names
from embedding_operator.api.json import JsonObject
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.api.quantity import parse_duration


def is_made(cache: ModelCache) -> bool:
    """Whether the operator made it for services that name a source."""
    return (cache.metadata.labels or {}).get(names.MANAGED_BY_LABEL) == names.FIELD_MANAGER


def agreed(cache: ModelCache, wishes: Sequence[JsonObject]) -> JsonObject:
    """What must be changed in the spec of a ModelCache (a merge patch), where `wishes` are the specs that its users
    would make. Retain, which saying nothing means, wins over Delete, and the longest time over shorter ones.
    """
    if not is_made(cache) or not wishes:
        return {}
    have = cache.spec.to_dict()
    want = dict(have)
    stagers: list[JsonObject] = [wish.get("stager") or {} for wish in wishes]
    if have.get("stager", {}) not in stagers:  # one that somebody still wants stays: no Job is made anew for nothing
        want["stager"] = stagers[0]
    policies = {wish.get("deletionPolicy") for wish in wishes}
    if policies == {"Delete"}:
        if cache.metadata.deletion_timestamp is None:  # else whoever wrote Retain meant this very deletion
            want["deletionPolicy"] = "Delete"
    elif policies != {None} or have.get("deletionPolicy") == "Delete":  # which nobody wants any more
        want["deletionPolicy"] = "Retain"
    times = _said(wishes, "ttlAfterUnused")
    if times:
        want["ttlAfterUnused"] = max(times, key=parse_duration)
    return merge_patch(have, want)


def merge_patch(old: Mapping[str, object], new: Mapping[str, object]) -> JsonObject:
    """The JSON merge patch that makes `old` into `new`."""
    patch: JsonObject = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            inner = merge_patch(cast(JsonObject, before), cast(JsonObject, value))
            if inner:
                patch[key] = inner
        elif value != before:
            patch[key] = value
    return patch


def _said(wishes: Iterable[JsonObject], field: str) -> list[str]:
    return [str(wish[field]) for wish in wishes if field in wish]
