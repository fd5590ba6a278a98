"""Two objects, line by line, as diff(1) tells them; in colour on a terminal."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

import yaml

from embedding_operator.commands.terminal import BOLD, CYAN, GREEN, RED, Screen
from embedding_operator.kube.resources import Object

_COLOURS = {"---": BOLD, "+++": BOLD, "@@ ": CYAN}


def unified(before: Object | None, after: Object | None, was: str, will_be: str) -> list[str]:
    """What differs between the two as YAML, with three lines around it; one that is None is not there."""
    old, new = (_lines(one) if one is not None else [] for one in (before, after))
    return list(difflib.unified_diff(old, new, was, will_be, lineterm=""))


def painted(lines: Iterable[str], screen: Screen) -> Iterator[str]:
    """In the colours that people know."""
    for line in lines:
        colour = _COLOURS.get(line[:3], {"+": GREEN, "-": RED}.get(line[:1], ""))
        yield screen.paint(colour, line)


def _lines(obj: Object) -> list[str]:
    return yaml.safe_dump(obj, width=110, allow_unicode=True).splitlines()
