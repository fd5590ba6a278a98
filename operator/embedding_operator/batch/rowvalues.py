"""What a row's values must be to be embedded, whatever format they come from."""

from __future__ import annotations

from typing import Any

import msgspec

from .errors import BatchError
from .images import data_url
from .jobspec import JobSpec
from .lines import LIMIT
from .places import InputPlace
from .rows import BadRow, Row, Shard

MISSING = object()
"""No such field, which is something else than null only in words."""
_BOM = b"\xef\xbb\xbf"
_ID_BYTES = 4096


class _BadError(Exception):
    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class RowMaker:
    """Makes rows of the values of one shard."""

    def __init__(self, job: JobSpec, shard: Shard, place: InputPlace) -> None:
        self._input = job.input
        self._rerank = job.task == "Rerank"
        self._place = place
        self._file = shard.file
        self._first = shard.first_row
        if job.input.id_field is None and shard.first_row is None:
            raise BatchError("Internal", f"{shard.file}: its rows were not counted, and have no ids of their own")

    def made(self, number: int, values: dict[str, Any]) -> Row | BadRow:
        """The row of these values by field."""
        name: str | int | None = None
        try:
            name = self._id(number, values)
            return self._row(number, name, values)
        except _BadError as error:
            return BadRow(number, name, error.reason, str(error))

    def bad(self, number: int, reason: str, message: str) -> BadRow:
        """A row that has no values."""
        name = None if self._input.id_field else self._numbered(number)
        return BadRow(number, name, reason, message)

    def _row(self, number: int, name: str | int, values: dict[str, Any]) -> Row:
        told = self._input
        image = self._image(values)
        if self._rerank:
            query = self._text(values, told.query_field or "query", needed=True)
            document = self._text(values, told.document_field or "document", needed=image is None)
            return Row(number, name, query=query, document=document, image=image)
        text = self._text(values, told.text_field, needed=image is None) if told.text_field else None
        if text is None and image is None:
            raise _BadError("MissingField", f"no {told.image_field!r}")
        return Row(number, name, text=text, image=image)

    def _id(self, number: int, values: dict[str, Any]) -> str | int:
        field = self._input.id_field
        if field is None:
            return self._numbered(number)
        value = values.get(field, MISSING)
        if value is MISSING or value is None:
            raise _BadError("MissingField", f"no {field!r}, which is the id")
        if isinstance(value, str) and value and len(value) <= _ID_BYTES:
            return value
        if isinstance(value, int) and not isinstance(value, bool) and -(1 << 63) <= value < 1 << 63:
            return value
        raise _BadError("BadID", f"{field!r} must be a text of 1 to {_ID_BYTES} characters, or an integer of 64 bits")

    def _numbered(self, number: int) -> str:
        assert self._first is not None
        return f"{self._file}:{self._first + number + 1}"

    def _text(self, values: dict[str, Any], field: str, *, needed: bool) -> str | None:
        value = values.get(field, MISSING)
        if value is MISSING or value is None:
            if not needed:
                return None
            raise _BadError("MissingField", f"no {field!r}" if value is MISSING else f"{field!r} is null")
        if not isinstance(value, str):
            raise _BadError("NotText", f"{field!r} is no text")
        if not value.strip():
            if not needed:
                return None
            raise _BadError("EmptyText", f"{field!r} is empty")
        return value

    def _image(self, values: dict[str, Any]) -> str | None:
        field = self._input.image_field
        value = values.get(field) if field else None
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise _BadError("BrokenImage", f"{field!r} is neither a data URL nor a path")
        try:
            return data_url(value, self._place)
        except ValueError as error:
            raise _BadError("BrokenImage", f"{field!r}: {error}") from None


class LineRows:
    """Makes rows of lines: JSON Lines, or plain text."""

    def __init__(self, job: JobSpec, shard: Shard, place: InputPlace) -> None:
        self._maker = RowMaker(job, shard, place)
        self._at_start = shard.offset == 0
        self._text_field = (job.input.text_field or "text") if job.input.format == "Text" else None
        if self._text_field and not job.input.text_field:
            job = job.model_copy(update={"input": job.input.model_copy(update={"text_field": self._text_field})})
            self._maker = RowMaker(job, shard, place)
        self._decode = _decoder(job)

    def row(self, number: int, line: bytes | None) -> Row | BadRow | None:
        """The row of a line; None where an empty line is none."""
        if line is None:
            return self._maker.bad(number, "LineTooLong", f"the line is longer than {LIMIT >> 20} MiB")
        if number == 0 and self._at_start and line.startswith(_BOM):
            line = line[len(_BOM) :]
        if self._text_field:
            return self._of_text(number, line)
        if not line.strip():
            return None
        try:
            values = self._decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            return self._maker.bad(number, "InvalidJSON", f"the line is no JSON object: {error}"[:300])
        return self._maker.made(number, values)

    def _of_text(self, number: int, line: bytes) -> Row | BadRow:
        assert self._text_field
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            return self._maker.bad(number, "NotText", f"the line is no UTF-8 (byte {error.start})")
        return self._maker.made(number, {self._text_field: text})


def _decoder(job: JobSpec) -> Any:
    """A decoder that keeps the fields that are used, and passes over all others."""
    told = job.input
    fields = (told.id_field, told.text_field, told.image_field)
    if job.task == "Rerank":
        fields = (told.id_field, told.query_field or "query", told.document_field or "document", told.image_field)
    names = {f"f{number}": name for number, name in enumerate(dict.fromkeys(one for one in fields if one))}
    kind = msgspec.defstruct("Line", [(own, Any, MISSING) for own in names], rename=names)
    decode = msgspec.json.Decoder(kind).decode

    def values(line: bytes) -> dict[str, Any]:
        found = decode(line)
        return {name: getattr(found, own) for own, name in names.items()}

    return values
