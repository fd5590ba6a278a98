"""What a terminal can show: its width, colours, and how much room a text takes there.

Colours go to a terminal only, and not where NO_COLOR is set (no-color.org) or TERM is `dumb`.
"""

from __future__ import annotations

import os
import re
import shutil
import textwrap
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TextIO

GREEN, YELLOW, RED, CYAN, MAGENTA, BLUE, DIM, BOLD = "32", "33", "31", "36", "35", "34", "2", "1"
_CODE: Final = re.compile(r"\x1b\[[0-9;]*m")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_BAR: Final = 24
_GAP: Final = 3


class Screen:
    """Where a command prints to."""

    def __init__(self, out: TextIO, margin: int = 0) -> None:
        self.out = out
        self._margin = margin
        self.is_terminal = out.isatty()
        self.has_colours = (
            self.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in ("dumb", "")
        )

    @property
    def width(self) -> int | None:
        """In columns; None where lines may be as long as they are."""
        return shutil.get_terminal_size().columns - self._margin if self.is_terminal else None

    @property
    def height(self) -> int | None:
        """In lines; None where there is no end."""
        return shutil.get_terminal_size().lines if self.is_terminal else None

    def paint(self, style: str, text: str) -> str:
        """In that colour, if there are colours."""
        return f"\x1b[{style}m{text}\x1b[0m" if self.has_colours and style and text else text

    def bar(self, percent: int) -> str:
        """How much of it is done, to be seen at a glance."""
        done = max(0, min(100, percent)) * _BAR // 100
        if self.has_colours:
            drawn = self.paint(CYAN, "━" * done) + self.paint(DIM, "━" * (_BAR - done))
        else:
            drawn = f"[{'#' * done}{'.' * (_BAR - done)}]"
        return f"{drawn} {percent:3d} %"

    def told(self, text: str, style: str = "", indent: str = "  ") -> list[str]:
        """A sentence below what it is about."""
        words = " ".join(text.split())
        if self.width is None:
            return [f"{indent}{words}"]
        room = max(20, self.width - len(indent))
        return [indent + self.paint(style, line) for line in textwrap.wrap(words, room, break_on_hyphens=False)]

    def table(self, header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
        """As kubectl writes tables; a line that is longer than the terminal is cut."""
        cells = [list(header), *(list(row) for row in rows)]
        widths = [max(measure(row[column]) for row in cells) for column in range(len(header))]
        lines = [
            (" " * _GAP).join(padded(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in cells
        ]
        lines[0] = self.paint(BOLD, lines[0])
        return [cut(line, self.width) for line in lines]

    def is_too_narrow(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
        """Whether lines of this table would be cut."""
        widths = [max(map(measure, column)) for column in zip(header, *rows, strict=True)]
        return self.width is not None and sum(widths) + _GAP * (len(widths) - 1) > self.width

    def print(self, lines: Iterable[str]) -> None:
        """All of it, at once."""
        self.out.write("".join(f"{line}\n" for line in lines))
        self.out.flush()


def measure(text: str) -> int:
    """How many columns it takes."""
    return sum(_columns(letter) for letter in _CODE.sub("", text))


def padded(text: str, width: int) -> str:
    """With as many spaces as it needs."""
    return text + " " * (width - measure(text))


def cut(text: str, width: int | None) -> str:
    """As much of it as there is room for."""
    if width is None or measure(text) <= width:
        return text
    return "".join(_first(text, width - 1)) + "…" + ("\x1b[0m" if _CODE.search(text) else "")


def _first(text: str, width: int) -> Iterator[str]:
    at = 0
    while at < len(text):
        if code := _CODE.match(text, at):
            yield code[0]
            at = code.end()
            continue
        width -= _columns(text[at])
        if width < 0:
            return
        yield text[at]
        at += 1


def _columns(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def harmless(text: str) -> str:
    """Without what would do something to a terminal, but for colours: a log may hold anything."""
    codes = _CODE.findall(text)
    plain = [_CONTROL.sub("", part) for part in _CODE.split(text)]
    return "".join(part + code for part, code in zip(plain, [*codes, ""], strict=True))


def duration(seconds: int) -> str:
    """As people say it: 40 s, 12 min, 3 h 20 min."""
    if seconds < 100:
        return f"{seconds} s"
    minutes = -(-seconds // 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
