"""A collection as one answer, read while it comes: an item is decoded, and its text forgotten, before the next one.

A list of one answer is served from an API server's memory. The later pages of one in pages come from etcd as soon as
the version that they show has been compacted and nothing of the kind has changed since (KEP-4988), which for ten
thousand custom resources costs an API server ten times as much.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.paging import Listing, PageMetadata, decoded, page_decoder
from embedding_operator.kube.resources import Object, Resource
from embedding_operator.kube.shapes import decoded_shape_of

_ITEMS: Final = b'"items":['
# How an item begins: items of custom resources say first what they are, and all of one list begin alike.
_BEGIN: Final = re.compile(rb'\{(?:"(?:apiVersion|kind)":"[^"\\]*",)*"\w+":')


class _Metadata(msgspec.Struct):
    metadata: PageMetadata = PageMetadata()


_METADATA: Final = msgspec.json.Decoder(_Metadata).decode


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
        self._rest = b""

    def feed(self, data: bytes) -> list[Object]:
        """The items that are complete by now, in the shape of their kind."""
        self._rest += data
        if self._head is None:
            head, found, rest = self._rest.partition(_ITEMS)
            if not found:
                return []
            self._head, self._rest = head, rest
        if not self._begin:
            begin = _BEGIN.match(self._rest)
            if begin is None:
                return []
            self._begin = begin.group()
        *texts, rest = self._rest.split(b"}," + self._begin)
        if not texts:
            return []
        self._rest = self._begin + rest
        texts[1:] = [self._begin + text for text in texts[1:]]
        return [item for text in texts for item in self._finished(text + b"}")]

    def end(self) -> Listing:
        """The last item, and the version of the list. Raises ApiError if the answer is not whole."""
        if not self._begin:  # it has no items, or is written in another way
            whole = self._rest if self._head is None else self._head + _ITEMS + self._rest
            page = decoded(whole, page_decoder(self._resource.kind), self._what)
            return Listing([self._named(item) for item in page.items or []], page.metadata.resource_version)
        assert self._head is not None
        items: list[Object] = []
        rest = self._unfinished + self._rest
        place = len(rest)
        while not items and (place := rest.rfind(b"}]", 0, place + 1)) >= 0:
            items = self._items(rest[: place + 1])
        around = self._head + _ITEMS + rest[place + 1 :]
        page = decoded(around, _METADATA, self._what)
        return Listing(items, page.metadata.resource_version)

    def _finished(self, text: bytes) -> list[Object]:
        text = self._unfinished + text
        items = self._items(text)
        self._unfinished = b"" if items else text + b","
        return items

    def _items(self, text: bytes) -> list[Object]:
        """One, or none where the text is not all of it."""
        try:
            return [self._named(self._decoder.decode(text))]
        except msgspec.ValidationError as error:
            raise ApiError(0, "BadAnswer", f"{self._what}: an item is not an object") from error
        except msgspec.DecodeError:
            return []

    def _named(self, item: Object) -> Object:
        """Items of built-in kinds come without these."""
        item["apiVersion"], item["kind"] = self._resource.api_version, self._resource.kind
        return item
