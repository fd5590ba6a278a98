"""Says where a profiled operator spent its time: by part, and its dearest functions."""

from __future__ import annotations

import pstats
import sysconfig
from collections import Counter
from pathlib import Path
from typing import Any

_STDLIB = sysconfig.get_path("stdlib")


def part_of(file: str, function: str) -> str:
    """The module or library that a function belongs to."""
    if "embedding_operator" in file:
        return ".".join(Path(file).with_suffix("").parts[Path(file).parts.index("embedding_operator") :])
    if "site-packages" in file:
        return file.split("site-packages/")[1].split("/")[0].removesuffix(".py")
    if file.startswith(_STDLIB):
        return Path(file).relative_to(_STDLIB).parts[0].removesuffix(".py")
    for name in ("json", "ssl", "hash", "epoll", "socket"):
        if name in function.lower():
            return f"built-in {name}"
    return "built-in"


def summary(path: Path, functions: int = 30) -> str:
    """Own time by part, then the functions with most own time."""
    stats: dict[tuple[str, int, str], Any] = pstats.Stats(str(path)).stats  # type: ignore[attr-defined]
    parts: Counter[str] = Counter()
    rows = []
    for (file, line, function), (_, calls, own, whole, _) in stats.items():
        part = part_of(file, function)
        parts[part] += own
        rows.append((own, whole, calls, part, f"{Path(file).name}:{line} {function}"))
    total = sum(parts.values())
    lines = [f"{total:.2f} s of CPU under the profiler, by part (own time):"]
    lines += [f"  {seconds:7.2f} s {seconds / total:6.1%}  {part}" for part, seconds in parts.most_common(25)]
    lines += ["", "  own s  total s     calls  function"]
    lines += [
        f"{own:7.3f} {whole:8.3f} {calls:9}  {part}  {name}"
        for own, whole, calls, part, name in sorted(rows, reverse=True)[:functions]
    ]
    return "\n".join(lines)
