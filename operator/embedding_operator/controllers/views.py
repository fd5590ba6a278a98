"""Typed views of what many reconciles read and few changes touch: profiles and ModelCaches, parsed once a version."""

from typing import TypeVar

from embedding_operator.api.codec import View
from embedding_operator.kube.resources import Object, ObjectKey, key_of

V = TypeVar("V", bound=View)
_REMEMBERED = 4096


class Views:
    """The cache stores a new object whenever one changes, so the same object has the same view."""

    def __init__(self) -> None:
        self._read: dict[ObjectKey, tuple[Object, View]] = {}

    def of(self, obj: Object, kind: type[V]) -> V:
        """An object from the cache as `kind`. Raises ApiValueError if it cannot be read."""
        key = key_of(obj)
        known = self._read.get(key)
        if known is not None and known[0] is obj and isinstance(known[1], kind):
            return known[1]
        view = kind.from_dict(obj)
        if len(self._read) >= _REMEMBERED:
            self._read.clear()
        self._read[key] = (obj, view)
        return view
