"""What lies where weights are to be published: is it what it says, and is it what the hub says?

Other tenants may write on the same volume, so a manifest proves nothing by itself. A directory whose digest was
asked for by name is taken at its word and its sizes; any other is hashed once against the hub's listing.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .etag import has_etag, is_sum
from .layout import MANIFEST, SILLY
from .manifest import BadManifestError, Manifest, ManifestFile, read_manifest
from .progress import Progress
from .select import RemoteFile
from .threads import git_blob_id, in_thread
from .verify import hash_files

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """A published directory that fits the listing. `wanting`: files that must come from the hub before it counts."""

    manifest: Manifest
    wanting: tuple[RemoteFile, ...] = ()


def fitting(directory: Path, wanted: Iterable[RemoteFile], listed: Iterable[RemoteFile]) -> Manifest | None:
    """The directory's manifest, if it lists what is wanted and nothing unlisted, and nothing else lies there.

    It may hold more than is wanted: an older version left out less, and that is no reason to stage again.
    """
    try:
        manifest = read_manifest(directory)
    except BadManifestError as error:
        log.warning("%s: manifest.json is damaged: %s", directory, error)
        return None
    if manifest is None:
        return None
    held = {file.path for file in manifest.files}
    known = {file.path: file for file in listed}
    if not all(file.path in held for file in wanted):
        return None
    if not all(_same(file, known.get(file.path)) for file in manifest.files):
        return None
    if stranger := _stranger(directory, held | {MANIFEST}):
        log.warning("%s: %s does not belong there", directory, stranger)
        return None
    return manifest


def named(directory: Path, digest: str | None) -> Manifest | None:
    """The directory's manifest, if it has the digest that was asked for and nothing else lies there."""
    try:
        manifest = read_manifest(directory)
    except BadManifestError:
        return None
    if manifest is None or manifest.digest != digest:
        return None
    return None if _stranger(directory, {file.path for file in manifest.files} | {MANIFEST}) else manifest


def wrong_sizes(directory: Path, manifest: Manifest) -> list[str]:
    """The files that are missing, or have another size than the manifest says."""
    return [file.path for file in manifest.files if not _on_disk(directory, file)]


async def wrong_bytes(
    directory: Path, files: Iterable[ManifestFile], parallelism: int, progress: Progress
) -> list[str]:
    """The files whose bytes are not what the manifest says."""
    expected = {file.path: file for file in files}
    hashed = await hash_files(directory, list(expected), parallelism, progress)
    return [file.path for file in hashed if file != expected[file.path]]


async def unproven(directory: Path, listed: Iterable[RemoteFile], progress: Progress) -> list[str]:
    """The files of which the hub tells no sum that those on the disk could be held against, or another one."""
    rest = [file for file in listed if file.sha256 is None]
    if to_read := sum(file.size for file in rest if is_sum(file.version)):
        progress.start("Verifying", to_read)
    return [file.path for file in rest if not await _is_proven(directory / file.path, file, progress)]


async def _is_proven(path: Path, file: RemoteFile, progress: Progress) -> bool:
    try:
        if file.git_sha1 is not None:
            return await in_thread(git_blob_id, path, file.size) == file.git_sha1
        return await has_etag(path, file.size, file.version, progress.work)
    except OSError:
        return False


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


def _stranger(directory: Path, known: set[str]) -> str | None:
    """A file that no manifest lists, or a link: what is served is what was checked, and nothing beside it."""
    if directory.is_symlink():
        return "a link in its place"
    for parent, directories, names in os.walk(directory):
        for name in (*directories, *names):
            path = Path(parent) / name
            relative = path.relative_to(directory).as_posix()
            if path.is_symlink() or (name in names and relative not in known and not name.startswith(SILLY)):
                return relative
    return None
