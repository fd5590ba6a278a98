"""How a directory goes from the volume: first away, in one rename, then in pieces.

Whoever is killed in the middle finds what is away, and goes on.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from .layout import fsync_path, make_directories


def discard(directory: Path, trash: Path, root: Path) -> int:
    """Remove it by way of `trash`, which nobody else uses; gives its bytes."""
    make_directories(trash.parent, root)
    directory.rename(trash)
    fsync_path(directory.parent)
    return remove(trash)


def remove(directory: Path) -> int:
    """Remove what is away already; gives its bytes."""
    size = size_of(directory)
    shutil.rmtree(directory)
    return size


def size_of(directory: Path) -> int:
    """Bytes of all files below it."""
    return sum(path.lstat().st_size for path in directory.rglob("*") if not path.is_dir())
