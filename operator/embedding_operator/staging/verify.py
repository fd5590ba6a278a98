"""Weights that are on the volume already: hash every file, compare, and never write.

Works on a read-only mount. Links are followed (download caches are made of them) as long as they stay on the
volume, because a serving pod sees nothing else.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

from .errors import StageError
from .layout import MANIFEST, OURS, SILLY
from .manifest import BadManifestError, Manifest, ManifestFile, files_digest, listing_id, read_manifest
from .pace import Pace
from .progress import Progress
from .result import Excluded, StageResult
from .select import RemoteFile
from .threads import forget_cached, hash_stream, in_thread, open_for_reading


async def verify_path(
    root: Path, path: str, digest: str | None, parallelism: int, progress: Progress, pace: Pace | None = None
) -> StageResult:
    """Hash the directory; the digest it gives is the same as if the files had been staged. With a `pace` in the
    background: slowly, and from the disk itself.
    """
    directory = root / path
    try:
        manifest = await in_thread(read_manifest, directory)
        found = await in_thread(_find_files, root, directory, path, manifest is not None)
        progress.start("Verifying", sum(size for _, size in found))
        files = await hash_files(directory, [name for name, _ in found], parallelism, progress, pace)
    except BadManifestError as error:
        raise StageError("ChecksumMismatch", f"{path}/{MANIFEST} is damaged: {error}") from None
    except PermissionError as error:
        raise StageError(
            "BadSource",
            f"{error.filename} cannot be read: make the weights readable (chmod -R a+rX) or set "
            "cache.securityContext to a user who may read them",
        ) from None
    if manifest is not None:
        _compare(path, files, manifest)
    require_digest(digest, files_digest(files), path)
    revision = manifest.revision if manifest else listing_id(RemoteFile(f.path, f.size, f.sha256) for f in files)
    return StageResult(
        revision=revision,
        digest=files_digest(files),
        path=path,
        files=len(files),
        bytes=sum(file.size for file in files),
        excluded=Excluded(),
        adopted=True,
    )


def require_digest(expected: str | None, got: str, what: str) -> None:
    if expected is not None and expected != got:
        raise StageError(
            "DigestMismatch",
            f"{what} has digest {got}, but {expected} is asked for: it is other content than was pinned",
        )


async def hash_files(
    directory: Path, names: list[str], parallelism: int, progress: Progress, pace: Pace | None = None
) -> list[ManifestFile]:
    """Size and sum of each file, as they are on the disk now."""
    turns = asyncio.Semaphore(parallelism)

    async def hash_one(name: str) -> ManifestFile:
        async with turns:
            progress.file = name
            hasher = hashlib.sha256()
            with open_for_reading(directory / name) as stream:
                if pace is not None:
                    forget_cached(stream)
                size = await hash_stream(stream, hasher, progress.work, pace=pace)
                if pace is not None:
                    forget_cached(stream)
            return ManifestFile(name, size, hasher.hexdigest())

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(hash_one(name)) for name in names]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    progress.file = None
    return sorted(task.result() for task in tasks)


def _find_files(root: Path, directory: Path, path: str, has_manifest: bool) -> list[tuple[str, int]]:
    volume = root.resolve()
    if not directory.exists():
        raise StageError("NotFound", f"there is no {path} on the volume")
    if not directory.is_dir():
        raise StageError("BadSource", f"{path} is a file; give the directory that holds the model")
    if set(_inside(directory, volume).relative_to(volume).parts) & set(OURS):
        raise StageError("BadSource", f"{path} holds unfinished or discarded work: give a published directory")
    found: list[tuple[str, int]] = []
    entered: set[Path] = set()

    def failed(error: OSError) -> None:
        raise error

    for parent, directories, names in os.walk(directory, followlinks=True, onerror=failed):
        here = _inside(Path(parent), volume)
        if here in entered:  # a link back to where we were
            directories.clear()
            continue
        entered.add(here)
        directories.sort()  # of two ways to one directory always the same counts, or the digest would be by chance
        for name in names:
            file = Path(parent) / name
            relative = str(file.relative_to(directory))
            if not _is_text(relative):
                raise StageError("BadSource", f"{path}/{relative!r} is no valid text in UTF-8: rename it")
            if has_manifest and (relative == MANIFEST or name.startswith(SILLY)):
                continue
            if not _inside(file, volume).is_file():
                raise StageError("BadSource", f"{path}/{relative} is no regular file, or a link to nothing")
            found.append((relative, file.stat().st_size))
    if not found:
        raise StageError("NotFound", f"{path} on the volume is empty")
    return found


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _inside(path: Path, volume: Path) -> Path:
    real = path.resolve()
    if not real.is_relative_to(volume):
        raise StageError("BadSource", f"{path} is a link that leaves the volume; serving pods could not follow it")
    return real


def _compare(path: str, files: list[ManifestFile], manifest: Manifest) -> None:
    listed = {file.path: file for file in manifest.files}
    for file in files:
        expected = listed.pop(file.path, None)
        if expected is None:
            raise StageError("ChecksumMismatch", f"{path}/{file.path} is not in {MANIFEST}; remove one of the two")
        if expected.size != file.size:
            raise StageError(
                "ChecksumMismatch",
                f"{path}/{file.path}: expected {expected.size} bytes, got {file.size}; stage it again",
            )
        if expected.sha256 != file.sha256:
            raise StageError(
                "ChecksumMismatch",
                f"{path}/{file.path}: expected sha256 {expected.sha256}, got {file.sha256}; stage it again",
            )
    for missing in sorted(listed):
        raise StageError("ChecksumMismatch", f"{path}/{missing} is in {MANIFEST} but missing; stage it again")
