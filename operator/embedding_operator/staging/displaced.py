"""What was moved aside, because it lay where something else had to be published: removed with the last of its users.

A server may still be reading from it, so it stays as long as anybody has signed for what was published in its place.
What has no manifest of ours is not ours to remove, whoever put it there.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from .layout import STAGING, TRASH, is_real_directory, staging_key
from .manifest import BadManifestError, read_manifest
from .trash import discard, remove


def free_place(root: Path, relative: str) -> Path | None:
    """Where what lies at a published directory's place can be moved to; None if there are a thousand already."""
    key = staging_key(relative)
    places = (root / STAGING / f"displaced-{key}-{number}" for number in range(1, 1000))
    return next((place for place in places if not os.path.lexists(place)), None)


def remove_displaced(root: Path, relative: str, user: str) -> int:
    """How many bytes are gone. Killed at any moment, the next run goes on."""
    trash = root / TRASH / f"{user}.displaced"
    size = remove(trash) if is_real_directory(trash) else 0
    for directory in _displaced(root, relative):
        if _is_ours(directory):
            size += discard(directory, trash, root)
    return size


def _displaced(root: Path, relative: str) -> list[Path]:
    staging = root / STAGING
    if not is_real_directory(staging):
        return []
    name = re.compile(rf"displaced-{re.escape(staging_key(relative))}-\d+")
    return sorted(path for path in staging.iterdir() if name.fullmatch(path.name) and is_real_directory(path))


def _is_ours(directory: Path) -> bool:
    try:
        return read_manifest(directory) is not None
    except BadManifestError:
        return False
