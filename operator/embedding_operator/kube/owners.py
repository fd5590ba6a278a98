"""Whose an object is: ours, a former owner's of the same name, or a stranger's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from embedding_operator.api.names import FIELD_MANAGER, MANAGED_BY_LABEL


def belongs_to(obj: Mapping[str, Any], owner_uid: str | None) -> bool:
    """Whether a child is this owner's, or nobody's: a deletion with --cascade=orphan leaves such.

    A former owner of the same name has a uid that is gone, and what it left is collected in a moment.
    """
    owners = obj["metadata"].get("ownerReferences") or ()
    return not owners or any(one["uid"] == owner_uid for one in owners)


def is_ours(existing: Mapping[str, Any], desired: Mapping[str, Any]) -> bool:
    """Whether we made it, for the same owner.

    An owner that was deleted and made again under its name has a new uid, and a deletion with
    --cascade=orphan leaves children without any; those are ours still.
    """
    wanted = desired["metadata"].get("ownerReferences") or ()
    actual = existing["metadata"].get("ownerReferences") or ()
    if {owner["uid"] for owner in wanted} & {owner["uid"] for owner in actual}:
        return True
    if not _is_marked(existing["metadata"]):
        return False
    return not actual or bool({_identity(owner) for owner in wanted} & {_identity(owner) for owner in actual})


def is_former_ones(existing: Mapping[str, Any], desired: Mapping[str, Any]) -> bool:
    """Whether it was made for an owner that is gone, and the wish is of another one that has its name."""
    wanted = desired["metadata"].get("ownerReferences") or ()
    return bool(wanted) and not any(belongs_to(existing, owner["uid"]) for owner in wanted)


def _is_marked(metadata: Mapping[str, Any]) -> bool:
    """By our label or, if somebody took that off, by the API server's own record of who wrote it."""
    return (metadata.get("labels") or {}).get(MANAGED_BY_LABEL) == FIELD_MANAGER or any(
        entry.get("manager") == FIELD_MANAGER for entry in metadata.get("managedFields") or ()
    )


def owner_of(existing: Mapping[str, Any]) -> str:
    """Whose it is, in words for users."""
    metadata = existing["metadata"]
    owners = metadata.get("ownerReferences") or ()
    if owners:
        return " and ".join(f"{owner['kind']} {owner['name']}" for owner in owners)
    manager = (metadata.get("labels") or {}).get(MANAGED_BY_LABEL)
    if manager:
        return f"{manager} (its label {MANAGED_BY_LABEL})"
    managers = {entry["manager"] for entry in metadata.get("managedFields") or () if entry.get("manager")}
    return "somebody else (last written by " + ", ".join(sorted(managers)) + ")" if managers else "somebody else"


def _identity(owner: Mapping[str, Any]) -> tuple[str, str]:
    return owner["kind"], owner["name"]
