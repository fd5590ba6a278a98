"""Reads which symbols shared libraries define and which they want from others, with binutils' readelf."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from images.host import run


@dataclass(frozen=True)
class Definition:
    """A symbol that a library defines: FUNC, OBJECT, TLS, ... and its size in bytes."""

    kind: str
    size: int


@dataclass(frozen=True)
class Symbols:
    """The dynamic symbols of a library; wanted maps a name to the version asked for, or to nothing."""

    wanted: dict[str, str]
    defined: dict[str, Definition]


def read_symbols(library: Path) -> Symbols:
    """Read the dynamic symbol table of one library."""
    wanted: dict[str, str] = {}
    defined: dict[str, Definition] = {}
    for line in run(["readelf", "--wide", "--dyn-syms", library]).splitlines():
        # Num: Value Size Type Bind Vis Ndx Name[@version]
        columns = line.split()
        if len(columns) < 8 or not columns[0].rstrip(":").isdigit():
            continue
        size, kind, binding, index = columns[2], columns[3], columns[4], columns[6]
        name, _, version = columns[7].partition("@")
        if index != "UND" and binding in ("GLOBAL", "WEAK", "UNIQUE"):
            defined[name] = Definition(kind, int(size, 0))
        elif index == "UND" and binding == "GLOBAL":
            wanted[name] = version.lstrip("@")
    return Symbols(wanted, defined)


def missing_from(libraries: Iterable[Path]) -> dict[str, str]:
    """What those libraries want and none of them defines, with the symbol version asked for."""
    wanted: dict[str, str] = {}
    defined: set[str] = set()
    for library in libraries:
        symbols = read_symbols(library)
        wanted |= symbols.wanted
        defined |= set(symbols.defined)
    return {name: version for name, version in wanted.items() if name not in defined}
