"""Rows of lines: JSON Lines, or plain text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from .fields import fields_of
from .jobspec import JobSpec
from .lines import LIMIT
from .rows import BadRow, Row
from .rowvalues import MISSING, RowMaker


class LineRows:
    """Makes the rows of one shard."""

    def __init__(self, job: JobSpec, maker: RowMaker) -> None:
        self._maker = maker
        self._is_text = job.input.format == "Text"
        self._decode = _decoder(fields_of(job).names)

    def row(self, number: int, line: bytes | None) -> Row | BadRow | None:
        """The row of a line; None where an empty line of JSON Lines is none."""
        if line is None:
            return self._maker.bad(number, "LineTooLong", f"the line is longer than {LIMIT >> 20} MiB")
        if self._is_text:
            return self._of_text(number, line)
        if not line.strip():
            return None
        try:
            values = self._decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return self._maker.bad(number, "InvalidJSON", f"the line is no JSON object: {error}"[:300])
        return self._maker.made(number, values)

    def _of_text(self, number: int, line: bytes) -> Row | BadRow:
        try:
            return self._maker.made(number, {"text": line.decode()})
        except UnicodeDecodeError as error:
            return self._maker.bad(number, "NotText", f"the line is no UTF-8 (its byte {error.start + 1})")


def _decoder(fields: list[str]) -> Callable[[bytes], dict[str, Any]]:
    """A decoder that keeps the fields that are used, and passes over all others."""
    names = {f"f{number}": name for number, name in enumerate(fields)}
    kind = msgspec.defstruct("Line", [(own, Any, MISSING) for own in names], rename=names)
    decode = msgspec.json.Decoder(kind).decode

    def values(line: bytes) -> dict[str, Any]:
        found = decode(line)
        return {name: getattr(found, own) for own, name in names.items()}

    return values
