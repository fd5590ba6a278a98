"""From a complete staging directory to the published one, in one rename: readers see all of it or nothing.

Into a published directory nothing is written but the right bytes of a file that was damaged, by a rename. One that
is not what the hub says is moved aside as a whole, never deleted: a server may still be reading from it.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from .displaced import free_place
from .errors import StageError
from .found import fitting, wrong_sizes
from .layout import STAGING, Layout, fsync_path, make_directories
from .manifest import Manifest, write_manifest
from .select import RemoteFile
from .users import forget

log = logging.getLogger(__name__)

_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)


def publish(
    layout: Layout, manifest: Manifest, listed: Sequence[RemoteFile], require_claim: Callable[[], None]
) -> bool:
    """Put the staged files into place; False if somebody else published them meanwhile.

    `require_claim` raises where the claim was lost: another stager may be changing the files by then.
    """
    _require_all(layout, manifest, drop_strangers(layout.files, {file.path for file in manifest.files}))
    write_manifest(layout.files, manifest)
    make_directories(layout.published.parent, layout.root)
    require_claim()
    while not _rename(layout.files, layout.published):
        other = fitting(layout.published, (), listed)
        if other is not None and set(manifest.files) <= set(other.files):
            return False
        move_aside(layout)
        require_claim()
    _sync_up(layout.published.parent, layout.root)
    return True


def replace_files(layout: Layout, names: Iterable[str]) -> None:
    """Put checked files in the place of damaged ones, each in one rename: whoever has the old one open keeps it."""
    for name in names:
        target = layout.published / name
        make_directories(target.parent, layout.root)
        layout.final(name).replace(target)
        fsync_path(target.parent)


def remove_staging(layout: Layout) -> None:
    """The work is done: it is published, or was there already."""
    shutil.rmtree(layout.staging, ignore_errors=True)
    forget(layout.root, layout.relative_staging)


def _sync_up(directory: Path, root: Path) -> None:
    """Make the way from root to the published directory last: some of it may be as new as the directory."""
    while directory != root:
        fsync_path(directory)
        directory = directory.parent
    fsync_path(root)


def drop_strangers(directory: Path, known: set[str]) -> set[str]:
    """Leave nothing there but the files that are named, whatever an earlier run left; gives those that are there."""
    there = set()
    for parent, _, names in os.walk(directory):
        for name in names:
            path = Path(parent) / name
            relative = str(path.relative_to(directory))
            if relative in known:
                there.add(relative)
            else:
                path.unlink()
    return there


def _require_all(layout: Layout, manifest: Manifest, there: set[str]) -> None:
    """Each file is there under its own name: on a share that takes Readme.md for README.md one of the two is not."""
    gone = {file.path for file in manifest.files} - there or wrong_sizes(layout.files, manifest)
    if gone:
        raise StageError(
            "Internal",
            f"{min(gone)} is not there any more, though it was fetched and checked: somebody else writes in "
            f"{layout.files}, or its file system does not tell upper from lower case",
        )


def _rename(source: Path, target: Path) -> bool:
    try:
        source.rename(target)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True


def move_aside(layout: Layout) -> None:
    """Take away what lies in the published directory's place."""
    aside = free_place(layout.root, layout.relative)
    if aside is None:
        raise StageError("Internal", f"{layout.root / STAGING} is full of displaced directories: remove them")
    log.warning("%s is not what it should be: moving it to %s", layout.published, aside)
    make_directories(aside.parent, layout.root)
    _rename(layout.published, aside)
