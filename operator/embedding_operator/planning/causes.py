"""A cause of trouble: words by which it is told from others, what it is, and what to do about it.

The tables are in crashes.py (a server's last words) and obstacles.py (what keeps a pod from starting). Others' words
change from release to release, so a pattern is no longer than it must be, and where none is found the words themselves
are told.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_WORDS = 160  # characters of what somebody else said, where we say what it means


@dataclass(frozen=True, slots=True)
class Found:
    """A cause that is told by these words."""

    name: str
    what: str
    words: str
    cure: str


@dataclass(frozen=True, slots=True)
class Cause:
    """One row. `cure` may name the pattern's group, as {found}, and the service's ModelCache, as {cache}."""

    name: str
    what: str
    pattern: re.Pattern[str]
    cure: str
    reference: str = ""  # where these words were seen

    def found(self, text: str, cache: str) -> Found | None:
        """What it is, if these are the words for it."""
        match = self.pattern.search(text)
        if match is None:
            return None
        group = next((group for group in match.groups() if group), "")
        return Found(self.name, self.what, shortened(match.group(), _WORDS), self.cure.format(found=group, cache=cache))


def cause(name: str, what: str, patterns: str | Sequence[str], cure: str, reference: str = "") -> Cause:
    """A row of a table; several patterns are alternatives."""
    alternatives = patterns if isinstance(patterns, str) else "|".join(patterns)
    return Cause(name, what, re.compile(alternatives), cure, reference)


def all_of(table: Sequence[Cause], text: str, cache: str) -> list[Found]:
    """All rows that know these words, in their order."""
    return [found for one in table if (found := one.found(text, cache)) is not None]


def first_of(table: Sequence[Cause], text: str, cache: str) -> Found | None:
    """The first row that knows these words."""
    return next((found for one in table if (found := one.found(text, cache)) is not None), None)


def shortened(text: str, limit: int) -> str:
    """In one line of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
