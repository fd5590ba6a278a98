"""What a row's values must be to be embedded, whatever format they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from .errors import BatchError
from .fields import fields_of
from .images import data_url, url_of
from .jobspec import JobSpec
from .places import InputPlace
from .rows import BadRow, Row, Shard

MISSING = object()
"""No such field, which is something else than null only in words."""

Ids = Literal["int64", "string", "any"]
"""Of which type ids must be: all of a column of Parquet have one."""

_ID_LENGTH = 4096


class _BadError(Exception):
    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class RowMaker:
    """Makes rows of the values of one shard."""

    def __init__(self, job: JobSpec, shard: Shard, place: InputPlace, ids: Ids = "any") -> None:
        self._fields = fields_of(job)
        self._place = place
        self._file = shard.file
        self._first = shard.first_row
        self._ids = ids
        if self._fields.id is None and shard.first_row is None:
            raise BatchError("Internal", f"{shard.file}: its rows were not counted, and have no ids of their own")

    def made(self, number: int, values: Mapping[str, Any]) -> Row | BadRow:
        """The row of these values by field."""
        name: str | int | None = None
        try:
            name = self._id(number, values)
            return self._row(number, name, values)
        except _BadError as error:
            return BadRow(number, name, error.reason, str(error))

    def bad(self, number: int, reason: str, message: str) -> BadRow:
        """A row that has no values."""
        return BadRow(number, None if self._fields.id else self._numbered(number), reason, message)

    def _row(self, number: int, name: str | int, values: Mapping[str, Any]) -> Row:
        fields = self._fields
        image = self._image(values, fields.image)
        return Row(
            number,
            name,
            text=self._text(values, fields.text, needed=image is None),
            image=image,
            query=self._text(values, fields.query, needed=True),
            document=self._text(values, fields.document, needed=True),
        )

    def _id(self, number: int, values: Mapping[str, Any]) -> str | int:
        field = self._fields.id
        if field is None:
            return self._numbered(number)
        value = values.get(field, MISSING)
        if value is MISSING or value is None:
            raise _BadError("MissingField", f"no {field!r}, which is the id")
        if isinstance(value, str) and 0 < len(value) <= _ID_LENGTH:
            if self._ids == "int64":
                raise _BadError("BadID", f"{field!r} is a text, and that of the file's first row an integer")
            return value
        if isinstance(value, int) and not isinstance(value, bool) and -(1 << 63) <= value < 1 << 63:
            if self._ids == "string":
                raise _BadError("BadID", f"{field!r} is an integer, and that of the file's first row a text")
            return value
        raise _BadError("BadID", f"{field!r} must be a text of 1 to {_ID_LENGTH} characters or an integer of 64 bits")

    def _numbered(self, number: int) -> str:
        """From 1, as editors count lines."""
        assert self._first is not None
        return f"{self._file}:{self._first + number + 1}"

    def _text(self, values: Mapping[str, Any], field: str | None, *, needed: bool) -> str | None:
        if field is None:
            return None
        value = values.get(field, MISSING)
        if value is MISSING or value is None:
            if needed:
                raise _BadError("MissingField", f"no {field!r}" if value is MISSING else f"{field!r} is null")
            return None
        if not isinstance(value, str):
            raise _BadError("NotText", f"{field!r} is no text")
        if not value.strip():
            if needed:
                raise _BadError("EmptyText", f"{field!r} is empty")
            return None
        return value

    def _image(self, values: Mapping[str, Any], field: str | None) -> str | None:
        """A data URL, a path, the bytes themselves, or both of the latter as data sets in Parquet have them."""
        value = values.get(field) if field else None
        if isinstance(value, dict):
            value = value.get("bytes") or value.get("path")
        if value is MISSING or value is None or value in ("", b""):
            if field and not self._fields.text:
                raise _BadError("MissingField", f"no {field!r}")
            return None
        try:
            if isinstance(value, bytes):
                return url_of(value, "the image")
            if isinstance(value, str):
                return data_url(value, self._place)
        except ValueError as error:
            raise _BadError("BrokenImage", f"{field!r}: {error}") from None
        raise _BadError("BrokenImage", f"{field!r} is neither a data URL nor a path")
