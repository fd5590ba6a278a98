"""Which files of a listing are meant: globs below the root, as people know them from a shell.

`*`, `?` and `[…]` stay within a directory, `**` is any number of directories. What is hidden (`.name`), half-written
(`.tmp`, `.part`, …) or a tool's own (`_SUCCESS`, `_temporary/`) is never meant; a name with `_` is if it is spelt so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from .errors import BatchError

UNFINISHED = ("~", ".tmp", ".temp", ".part", ".partial", ".crdownload", ".filepart", ".inprogress", "._COPYING_")
PACKED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".snappy", ".zip", ".tar", ".tgz", ".7z")


@dataclass(frozen=True)
class InputFile:
    """A file as it was when it was listed."""

    path: str
    """Relative to the root, with `/` between."""
    size: int
    version: str
    """The mtime in nanoseconds, or the ETag."""


@dataclass(frozen=True)
class Glob:
    """One entry of `input.files`."""

    text: str

    def __post_init__(self) -> None:
        parts = self.text.split("/")
        if "\\" in self.text or ".." in parts or "" in parts:
            raise BatchError(
                "BadInput",
                f"input.files: {self.text!r} is no path below the input: write it relative, without '..' and without "
                "a slash at its end ('wiki/**' is all below wiki)",
            )

    @property
    def prefix(self) -> str:
        """The directories before the first wildcard, with a slash at the end; nothing else need be listed."""
        plain = re.match(r"[^*?\[]*", self.text)
        assert plain is not None
        return plain[0].rpartition("/")[0] + "/" if "/" in plain[0] else ""

    def matches(self, path: str) -> bool:
        """Whether the path is meant."""
        return self._expression.fullmatch(path) is not None and not _never(path, self.text)

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        parts = self.text.split("/")
        last = len(parts) - 1
        return re.compile("".join(_translated(part, last=number == last) for number, part in enumerate(parts)), re.S)


def chosen(files: Iterable[InputFile], globs: Sequence[Glob], where: str) -> list[InputFile]:
    """The files that are meant, each once, by path; each glob must mean something."""
    found: dict[str, InputFile] = {}
    used: set[Glob] = set()
    for file in files:
        for glob in globs:
            if glob.matches(file.path):
                found[file.path] = file
                used.add(glob)
    for glob in globs:
        if glob not in used:
            raise BatchError(
                "NoFiles",
                f"input.files: nothing below {where} matches {glob.text!r} ('*' stays in one directory, '**/' is any; "
                "hidden and half-written files are never meant, nor is a folder that jobs write to)",
            )
    for path in sorted(found):
        if path.endswith(PACKED):
            raise BatchError("BadInput", f"{path} is packed: unpack it, or use Parquet, which compresses within itself")
    return [found[path] for path in sorted(found)]


def _never(path: str, glob: str) -> bool:
    spelt = "/_" in f"/{glob}"
    parts = path.split("/")
    return any(part.startswith(".") or (part.startswith("_") and not spelt) for part in parts) or parts[-1].endswith(
        UNFINISHED
    )


def _translated(part: str, *, last: bool) -> str:
    """One name of a glob as a regular expression, with the slash that follows it."""
    if part == "**":
        return ".*" if last else "(?:[^/]+/)*"
    out = ""
    at = 0
    while at < len(part):
        char = part[at]
        at += 1
        end = part.find("]", at + 1 + part.startswith("!", at)) if char == "[" else -1
        if char == "*":
            out += "[^/]*"
        elif char == "?":
            out += "[^/]"
        elif end > 0:
            inner = part[at:end].replace("\\", "\\\\").replace("[", "\\[").replace("&&", "&\\&")
            inner = f"^/{inner[1:]}" if inner.startswith("!") else re.sub(r"^\^", r"\\^", inner)
            out += f"[{inner}]"
            at = end + 1
        else:
            out += re.escape(char)
    return out if last else f"{out}/"
