"""A watch as the API server streams it: one JSON document a line, in batches as they arrive.

It says what was said and decides nothing; who follows a kind is controllers/follow.py.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, AsyncIterator
from functools import cache
from typing import Any, Final, NamedTuple

import aiohttp
import msgspec

from embedding_operator.kube.client import KubeClient
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import Object, Resource
from embedding_operator.kube.sending import Query
from embedding_operator.kube.shapes import decoded_shape_of

_WATCH_SECONDS: Final = 290  # then the server ends the watch, and it is asked again from where it was
_SILENCE: Final = 150.0  # seconds: bookmarks come about every minute, so a longer silence is a dead connection
_CONNECT: Final = 10.0  # seconds, all that a proxy and TLS need included


class News(NamedTuple):
    """`type` is ADDED, MODIFIED, DELETED or BOOKMARK; the object has the shape of its kind (kube/shapes.py)."""

    type: str
    object: Object


class _Status(msgspec.Struct):
    code: int = 0
    reason: str = "WatchError"
    message: str = ""


class _Error(msgspec.Struct, tag="ERROR", tag_field="type"):
    object: _Status


async def watch(
    client: KubeClient, resource: Resource, namespace: str | None, selector: str, version: str
) -> AsyncGenerator[list[News], None]:
    """All news of a kind after `version`, until the server ends the watch; of objects, what planners read.

    Raises ApiError when the connection breaks or is silent for too long, and one with `is_expired` when the server
    does not remember `version` any more: then list again.
    """
    query: Query = {
        "watch": True,
        "allowWatchBookmarks": True,
        "resourceVersion": version,
        "labelSelector": selector or None,
        "timeoutSeconds": int(_WATCH_SECONDS * random.uniform(0.8, 1.0)),  # noqa: S311 - spreads load
    }
    timeout = aiohttp.ClientTimeout(total=None, connect=_CONNECT, sock_read=_SILENCE)
    async with client.streaming(resource, namespace, query, timeout) as chunks:
        decoder = _decoder_of(resource.kind)
        async for lines in in_lines(chunks):
            yield [_news(decoder, line) for line in lines]


async def in_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    """Whole lines, as many at once as have come; what the stream ends with is no line without its end."""
    rest: list[bytes] = []
    async for chunk in chunks:
        first, *lines = chunk.split(b"\n")
        rest.append(first)
        if lines:
            whole = [b"".join(rest), *lines[:-1]]
            rest = [lines[-1]]
            yield [line for line in whole if line]


@cache
def _decoder_of(kind: str) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(msgspec.defstruct("Event", [("type", str), ("object", decoded_shape_of(kind))]))


def _news(decoder: msgspec.json.Decoder[Any], line: bytes) -> News:
    try:
        said = decoder.decode(line)
    except msgspec.DecodeError as error:  # a Status has another shape than most kinds: its `status` is a word
        raise _error(line) from error
    if said.type == "ERROR":
        raise _error(line)
    return News(said.type, said.object)


def _error(line: bytes) -> ApiError:
    """What the server says instead of news."""
    try:
        said = msgspec.json.decode(line, type=_Error)
    except msgspec.DecodeError:
        return ApiError(0, "BadAnswer", f"a watch said what is no event: {line[:200]!r}")
    return ApiError(said.object.code, said.object.reason, said.object.message)
