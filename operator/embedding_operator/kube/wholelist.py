"""A collection as one answer, read while it comes: an item is decoded, and its text forgotten, before the next one.

A list of one answer is served from an API server's memory. The later pages of one in pages come from etcd as soon as
the version that they show has been compacted and nothing of the kind has changed since (KEP-4988), which for custom
resources costs it several times as much (docs/performance.md).
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.paging import Listing, decoded, page_decoder
from embedding_operator.kube.resources import Object, Resource
from embedding_operator.kube.shapes import decoded_shape_of

_ITEMS: Final = b'"items":['
# How an item begins: items of custom resources say first what they are, and all of one list begin alike.
_BEGIN: Final = re.compile(rb'\{(?:"(?:apiVersion|kind)":"[^"\\]*",)*"\w+":')
_LARGEST: Final = 1 << 20  # bytes that are kept together where they are not understood
_TRIES: Final = 50  # of what may be one item; each decodes it from its beginning on


class WholeList:
    """Feed it the answer, piece by piece. `what` names the request in errors.

    Where one item may end and the next begin is searched for as text, and found out by decoding: what was cut within
    an item is no JSON yet, and is joined with what follows.
    """

    def __init__(self, resource: Resource, what: str) -> None:
        self._resource = resource
        self._what = what
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(decoded_shape_of(resource.kind))
        self._head: bytes | None = None  # before the items
        self._begin = b""
        self._unfinished = b""  # what was taken for an item, and is the beginning of one
        self._tries = 0
        self._rest = b""

    def feed(self, data: bytes) -> list[Object]:
        """The items that are complete by now, in the shape of their kind."""
        self._rest += data
        if not self._begin and not self._has_begun():
            return []
        *texts, rest = self._rest.split(b"}," + self._begin)
        if not texts:
            return []
        self._rest = self._begin + rest
        texts[1:] = [self._begin + text for text in texts[1:]]
        return [item for text in texts for item in self._finished(text + b"}")]

    def _has_begun(self) -> bool:
        """Whether the first item has come, and it is known how they begin."""
        if self._head is None:
            head, found, rest = self._rest.partition(_ITEMS)
            if found:
                self._head, self._rest = head, rest
        begin = None if self._head is None else _BEGIN.match(self._rest)
        if begin is not None:
            self._begin = begin.group()
        elif len(self._rest) > _LARGEST:
            raise self._bad("it is not written as API servers write lists")
        return begin is not None

    def end(self) -> Listing:
        """The rest of the items, and the version of the list. Raises ApiError if the answer is not whole."""
        items: list[Object] = []
        rest = self._unfinished + self._rest
        place, tries = (len(rest) if self._begin else -1), 0
        while not items and place >= 0 and tries < _TRIES:
            place, tries = rest.rfind(b"}]", 0, place + 1), tries + 1
            items = self._decoded(rest[: place + 1])
        # what is left: mostly no items, all of them where they are written in another way
        left = rest[place + 1 :] if items else rest
        around = left if self._head is None else self._head + _ITEMS + left
        page = decoded(around, page_decoder(self._resource.kind), self._what)
        if page.metadata.token:
            raise self._bad("there is more, which was not asked for in pages")
        return Listing([*items, *map(self._named, page.items or ())], page.metadata.resource_version)

    def _finished(self, text: bytes) -> list[Object]:
        """One item, or none where the text is the beginning of it. A bad one is not joined with all that follows."""
        text = self._unfinished + text
        items = self._decoded(text)
        self._tries = 0 if items else self._tries + 1
        if self._tries > _TRIES:
            raise self._bad("where an item ends cannot be told")
        self._unfinished = b"" if items else text + b","
        return items

    def _decoded(self, text: bytes) -> list[Object]:
        """One item, or none where the text is not one."""
        try:
            return [self._named(self._decoder.decode(text))]
        except msgspec.ValidationError as error:
            raise self._bad("an item is not an object") from error
        except msgspec.DecodeError:
            return []

    def _bad(self, why: str) -> ApiError:
        return ApiError(0, "BadAnswer", f"{self._what}: {why}")

    def _named(self, item: Object) -> Object:
        """Items of built-in kinds come without these."""
        item["apiVersion"], item["kind"] = self._resource.api_version, self._resource.kind
        return item
