"""From a complete staging directory to the published one, in one rename: readers see all of it or nothing.

A published directory is never written into. One that is damaged is moved aside as a whole, never deleted:
a server may still be reading from it.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from .errors import StageError
from .layout import STAGING, Layout, fsync_path, make_directories
from .manifest import BadManifestError, Manifest, ManifestFile, read_manifest, write_manifest
from .select import RemoteFile

log = logging.getLogger(__name__)

_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)


def find_published(directory: Path, wanted: Iterable[RemoteFile], listed: Iterable[RemoteFile]) -> Manifest | None:
    """The directory's manifest, if it holds what is wanted, nothing unlisted, and every file has its size.

    It may hold more than is wanted: an older version left out less, and that is no reason to stage again.
    """
    try:
        manifest = read_manifest(directory)
    except BadManifestError as error:
        log.warning("%s: manifest.json is damaged: %s", directory, error)
        return None
    if manifest is None:
        return None
    held = {file.path: file for file in manifest.files}
    known = {file.path: file for file in listed}
    if not all(file.path in held for file in wanted):
        return None
    if not all(_same(file, known.get(file.path)) for file in manifest.files):
        return None
    return manifest if all(_on_disk(directory, file) for file in manifest.files) else None


def publish(
    layout: Layout, manifest: Manifest, wanted: Iterable[RemoteFile], require_claim: Callable[[], None]
) -> Manifest | None:
    """Put the staged files into place; gives the other manifest if somebody was quicker.

    `require_claim` raises where the claim was lost: another stager may be changing the files by then.
    """
    _drop_strangers(layout.files, {file.path for file in manifest.files})
    write_manifest(layout.files, manifest)
    make_directories(layout.published.parent, layout.root)
    wanted = tuple(wanted)
    require_claim()
    while not _rename(layout.files, layout.published):
        if other := find_published(layout.published, wanted, wanted):
            return other
        _move_aside(layout)
        require_claim()
    _sync_up(layout.published.parent, layout.root)
    return None


def remove_staging(layout: Layout) -> None:
    shutil.rmtree(layout.staging, ignore_errors=True)


def _sync_up(directory: Path, root: Path) -> None:
    """Make the way from root to the published directory last: some of it may be as new as the directory."""
    while directory != root:
        fsync_path(directory)
        directory = directory.parent
    fsync_path(root)


def _same(held: ManifestFile, listed: RemoteFile | None) -> bool:
    if listed is None or listed.size != held.size:
        return False
    return listed.sha256 is None or listed.sha256 == held.sha256


def _on_disk(directory: Path, file: ManifestFile) -> bool:
    try:
        found = (directory / file.path).lstat()
    except OSError:
        log.warning("%s: %s is missing", directory, file.path)
        return False
    if not stat.S_ISREG(found.st_mode) or found.st_size != file.size:
        log.warning("%s: %s has %d bytes instead of %d", directory, file.path, found.st_size, file.size)
        return False
    return True


def _drop_strangers(directory: Path, known: set[str]) -> None:
    """Nothing but the manifest's files is published, whatever an earlier run left."""
    for parent, _, names in os.walk(directory):
        for name in names:
            path = Path(parent) / name
            if str(path.relative_to(directory)) not in known:
                path.unlink()


def _rename(source: Path, target: Path) -> bool:
    try:
        source.rename(target)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True


def _move_aside(layout: Layout) -> None:
    for number in range(1, 1000):
        aside = layout.root / STAGING / f"displaced-{layout.key}-{number}"
        if not aside.exists():
            log.warning("%s is not what it should be: moving it to %s", layout.published, aside)
            _rename(layout.published, aside)
            return
    raise StageError("Internal", f"{layout.root / STAGING} is full of displaced directories: remove them")
