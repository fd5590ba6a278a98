"""Vectors of the probe texts, as pods measure them and as they are kept: read, named and compared.

A text's vector is its direction in half precision, which is far finer than any threshold, and its length. Pods compute
the same by a script of their own (podscripts/space.py), which the operator must never import; a test holds the two
together.
"""

import base64
import binascii
import math
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import mul

from embedding_operator.api import names
from embedding_operator.api.json import JsonObject

STRETCH = 0.05  # by how much of its length a vector may be longer or shorter
_MAX_TEXTS = 64
_MAX_DIMENSIONS = 65_536


@dataclass(frozen=True)
class Record:
    """The vectors of some texts, as JSON has them: {name: {"vector": Base64, "length": number}}."""

    texts: JsonObject

    @cached_property
    def id(self) -> str:
        """What names these very vectors."""
        return f"sha256:{names.digest_of(self.texts, 64)}"

    @property
    def dimensions(self) -> int | None:
        """How many numbers a vector has; None where no text has one."""
        return max((len(_unpacked(text)) for text in self.texts.values()), default=None)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The text whose vectors differ most."""

    cosine: float
    text: str
    stretch: float  # the most by which a vector is longer or shorter, as a part of its length
    sizes: tuple[int, int] | None = None  # of that text's vectors before and now, where they are not the same

    def is_same(self, threshold: float) -> bool:
        return self.cosine >= threshold and self.stretch <= STRETCH

    def __str__(self) -> str:
        if self.sizes:
            return f"{self.sizes[1]} numbers a vector instead of {self.sizes[0]}"
        cosine = f"the smallest cosine is {self.cosine:.6f} (of the probe text {self.text!r})"
        return cosine if self.stretch <= STRETCH else f"{cosine}, and lengths differ by {self.stretch:.0%}"


def read(found: object) -> Record | None:
    """What a pod answered or a ConfigMap holds, or None where that is no record of vectors."""
    texts = found.get("texts") if isinstance(found, Mapping) else None
    if not isinstance(texts, dict) or len(texts) > _MAX_TEXTS or not all(map(_is_text, texts.items())):
        return None
    return Record({name: {"vector": text["vector"], "length": text["length"]} for name, text in texts.items()})


def _is_text(item: tuple[object, object]) -> bool:
    name, text = item
    if not isinstance(name, str) or not name.isascii() or not isinstance(text, dict):
        return False
    length, vector = text.get("length"), text.get("vector")
    if not isinstance(length, int | float) or not isinstance(vector, str):
        return False
    if isinstance(length, bool) or not 0 < length <= sys.float_info.max:
        return False
    try:
        return 0 < len(base64.b64decode(vector, validate=True)) / 2 <= _MAX_DIMENSIONS and any(_unpacked(text))
    except (binascii.Error, ValueError, struct.error):
        return False


def compare(reference: Record, measured: Record) -> Comparison:
    """What both have a vector of; vectors of different sizes are as different as can be."""
    found, stretch = [], 0.0
    for name in sorted(reference.texts.keys() & measured.texts.keys()):
        before, now = reference.texts[name], measured.texts[name]
        one, other = _unpacked(before), _unpacked(now)
        stretch = max(stretch, abs(now["length"] / before["length"] - 1))
        found.append((_cosine(one, other), name, None if len(one) == len(other) else (len(one), len(other))))
    cosine, text, sizes = min(found, default=(1.0, "", None))
    return Comparison(cosine, text, stretch, sizes)


def _unpacked(text: JsonObject) -> tuple[float, ...]:
    packed = base64.b64decode(text["vector"])
    return struct.unpack(f"<{len(packed) // 2}e", packed)


def _cosine(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    if len(one) != len(other):
        return 0.0
    squares: float = sum(map(mul, one, one)) * sum(map(mul, other, other))
    return float(sum(map(mul, one, other)) / math.sqrt(squares))
