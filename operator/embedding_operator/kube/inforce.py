"""Whether a desired object is in force already, so that nobody need send it again.

Two witnesses, and either will do. What this process itself applied is known by its digest and by what the object
looked like then. What an operator before it applied is known by the digest that it left in an annotation, and by
the object still holding all that is desired: so a restart writes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from embedding_operator.api.names import GROUP
from embedding_operator.kube.compact import opened
from embedding_operator.kube.resources import Object

_encode: Final = msgspec.json.Encoder(order="deterministic").encode

APPLIED_ANNOTATION: Final = f"{GROUP}/applied"
_IMMUTABLE: Final = {"ControllerRevision": "data"}


def digest_of(desired: Mapping[str, Any]) -> str:
    """What tells two wishes apart."""
    return hashlib.blake2b(_encode(desired), digest_size=16).hexdigest()


def marked(desired: Mapping[str, Any], digest: str) -> Object:
    """The wish as it is sent: with its digest in an annotation."""
    metadata = desired["metadata"]
    annotations = {**(metadata.get("annotations") or {}), APPLIED_ANNOTATION: digest}
    return {**desired, "metadata": {**metadata, "annotations": annotations}}


def fingerprint(desired: Mapping[str, Any], observed: Mapping[str, Any]) -> bytes:
    """A digest of what of `observed` would move if somebody undid `desired`.

    The spec is covered by the generation, because resourceVersion moves with every status update too; kinds
    without a generation (Service, ConfigMap) have only the latter. Metadata does not count in the generation,
    so the part of it that we set is compared as it is.
    """
    wanted, actual = desired["metadata"], observed["metadata"]
    ours: list[object] = [
        actual.get("uid"),
        actual.get("generation") or "rv" + str(actual.get("resourceVersion")),
    ]
    for field in ("labels", "annotations"):
        values = actual.get(field) or {}
        ours.append([values.get(name) for name in sorted(wanted.get(field) or {})])
    owners = {owner["uid"] for owner in wanted.get("ownerReferences") or ()}
    ours.append(sorted(one for one in _owners(actual) if one[0] in owners))
    return hashlib.blake2b(_encode(ours), digest_size=16).digest()


def is_held(observed: Mapping[str, Any], desired: Mapping[str, Any], digest: str) -> bool:
    """Whether `observed` was applied as `desired` once, and still holds all of it.

    The annotation alone would not do, for somebody may have edited a field; nor would the fields, for there may be
    one that was desired before and is not any more. A value that the API server writes in another way than it was
    asked for (a quantity of 0.5) is not recognised, which costs one apply that changes nothing. What the API server
    lets nobody change is as it was applied.
    """
    wanted, actual = desired["metadata"], observed["metadata"]
    immutable = _IMMUTABLE.get(desired["kind"])
    if (actual.get("annotations") or {}).get(APPLIED_ANNOTATION) != digest:
        return False
    return (
        _owners(actual) >= _owners(wanted)
        and all(_holds(actual.get(field) or {}, wanted.get(field) or {}) for field in ("labels", "annotations"))
        and all(
            name in observed and (name == immutable or _holds(opened(observed[name]), desired[name]))
            for name in desired
            if name != "metadata"
        )
    )


def _owners(metadata: Mapping[str, Any]) -> set[tuple[str, bool]]:
    return {(one["uid"], bool(one.get("controller"))) for one in metadata.get("ownerReferences") or ()}


def _holds(actual: Any, wanted: Any) -> bool:
    """Objects may have more fields (defaults, what others own); lists have the same items in the same order."""
    if actual == wanted:  # mostly, and found out without Python's help
        return True
    if isinstance(wanted, dict):
        return isinstance(actual, dict) and all(
            name in actual and (actual[name] == value or _holds(actual[name], value)) for name, value in wanted.items()
        )
    if isinstance(wanted, list | tuple):
        return (
            isinstance(actual, list)
            and len(actual) == len(wanted)
            and all(_holds(*pair) for pair in zip(actual, wanted, strict=True))
        )
    return False
