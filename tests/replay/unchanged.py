"""A cache that notices who changes what it handed out: others hold the same object, and are told nothing."""

from __future__ import annotations

from typing import Any

import msgspec

from embedding_operator.kube.cache import Cache
from embedding_operator.kube.compact import Kept
from embedding_operator.kube.resources import Object, ObjectKey


class Unchanged(Cache):
    """`get` and `list` fail where an object is not what it was when it was read first."""

    def __init__(self) -> None:
        super().__init__(unpacked=10)  # some of either sort
        self._texts: dict[ObjectKey, tuple[Kept, bytes]] = {}

    def _open(self, key: ObjectKey, known: Kept) -> Object:
        obj = super()._open(key, known)
        text = _encode(obj)
        first = self._texts.get(key)
        if first is None or first[0] is not known:
            self._texts[key] = known, text
        elif first[1] != text:
            raise AssertionError(f"somebody changed {key}: {first[1].decode()} is {text.decode()}")
        return obj


def _packed(value: Any) -> str:
    return type(value).__name__  # what is packed cannot be changed


_encode = msgspec.json.Encoder(enc_hook=_packed).encode
