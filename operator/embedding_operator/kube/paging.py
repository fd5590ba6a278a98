"""What an API server sends, decoded: objects, and collections a page at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple

import msgspec

from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import Object
from embedding_operator.kube.shapes import decoded_shape_of

Decode = Callable[[bytes], Any]
WHOLE: Final[Decode] = msgspec.json.Decoder(dict[str, Any]).decode


class Listing(NamedTuple):
    """`anew`: what came before belongs to another list."""

    items: list[Object]
    resource_version: str
    anew: bool = False


class PageMetadata(msgspec.Struct, frozen=True):
    resource_version: str = msgspec.field(default="", name="resourceVersion")
    token: str | None = msgspec.field(default=None, name="continue")


@cache
def page_decoder(kind: str | None) -> Decode:
    """Decodes a page with `items` and `metadata`: of objects all, or with a kind what planners read of it."""
    shape: Any = dict[str, Any] if kind is None else decoded_shape_of(kind)
    items, metadata = ("items", list[shape] | None, None), ("metadata", PageMetadata, PageMetadata())
    page = msgspec.defstruct("Page", [items, metadata])
    return msgspec.json.Decoder(page).decode


def decoded(data: bytes, decode: Decode, what: str) -> Any:
    try:
        return decode(data)
    except msgspec.ValidationError as error:
        raise ApiError(0, "BadAnswer", f"{what}: the answer is not an object") from error
    except msgspec.DecodeError as error:
        raise ApiError(0, "BadAnswer", f"{what}: the answer is not JSON") from error
