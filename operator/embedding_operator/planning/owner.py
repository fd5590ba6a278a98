"""Ownership: what makes the garbage collector delete a child after its owner."""

from embedding_operator.api import names
from embedding_operator.api.json import JsonObject
from embedding_operator.api.meta import ObjectMeta


def owner_reference(kind: str, owner: ObjectMeta) -> JsonObject:
    """The controlling reference to `owner`; only objects with exactly one owner carry it."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
