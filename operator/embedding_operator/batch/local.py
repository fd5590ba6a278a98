"""Input and output in directories, on whatever volume.

A file of the output appears by rename after it is on the disk: before that it has a hidden name of its writer's own.
Any process may be killed at any moment, and no reader sees half a file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .errors import BatchError, changed
from .globs import InputFile
from .listing import OUTPUT_MARK, inside, listed, version_of

BUFFER = 1 << 20
_MARK = ".tmp-"


class LocalInput:
    """A directory that is read."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def listed(self, globs: Sequence[str]) -> list[InputFile]:
        return listed(self._root, globs)

    @contextmanager
    def opened(self, file: InputFile, offset: int = 0) -> Iterator[BinaryIO]:
        try:
            stream = inside(self._root, file.path).open("rb", buffering=BUFFER)
        except (FileNotFoundError, ValueError):
            raise changed(file.path) from None
        except OSError as error:
            raise refused(error, file.path) from None
        with stream:
            self._check(stream, file)
            try:
                stream.seek(offset)
                yield stream
            except OSError as error:
                raise refused(error, file.path) from None
            self._check(stream, file)

    def image(self, path: str, limit: int) -> bytes:
        try:
            place = inside(self._root, path)
            with place.open("rb") as stream:
                if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                    raise ValueError(f"{path} is no file")
                data = stream.read(limit + 1)
        except OSError as error:
            raise ValueError(f"{path}: {error.strerror}") from None
        if len(data) > limit:
            raise ValueError(f"{path} is bigger than {limit >> 20} MiB")
        return data

    def _check(self, stream: BinaryIO, file: InputFile) -> None:
        found = os.fstat(stream.fileno())
        if (found.st_size, version_of(found)) != (file.size, file.version):
            raise changed(file.path)


class LocalOutput:
    """A directory that is written to."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def scratch(self) -> Path | None:
        place = self._root / OUTPUT_MARK
        _make(place)
        return place

    def create(self, path: str) -> LocalSink:
        return LocalSink(self._root / path)

    def read(self, path: str, limit: int) -> bytes | None:
        try:
            with (self._root / path).open("rb") as stream:
                return stream.read(limit)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise refused(error, path) from None

    @contextmanager
    def opened(self, path: str) -> Iterator[BinaryIO]:
        with (self._root / path).open("rb") as stream:
            yield stream

    def size(self, path: str) -> int | None:
        try:
            found = (self._root / path).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def clean(self, paths: Sequence[str]) -> int:
        places = [self._root / path for path in paths]
        ours = {place.with_name(f".{place.name}") for place in places}
        count = 0
        for directory in {place.parent for place in places}:
            for left in directory.iterdir() if directory.is_dir() else ():
                name, mark, _ = left.name.rpartition(_MARK)
                if mark and left.with_name(name) in ours:
                    with suppress(FileNotFoundError):
                        left.unlink()
                        count += 1
        return count

    def check(self) -> None:
        trial = self._root / f".check{_MARK}{_writer()}"  # not below the mark, which says that no input is here
        try:
            _make(self._root)
            trial.touch()
            trial.unlink()
        except OSError as error:
            raise refused(error, str(self._root)) from None


class LocalSink:
    """One file."""

    def __init__(self, place: Path) -> None:
        self.size = 0
        self._hash = hashlib.sha256()
        self._place = place
        # All pods of an index have one host name, and on a node that is cut off an old one may go on: never its file.
        self._temporary = place.with_name(f".{place.name}{_MARK}{_writer()}-{secrets.token_hex(4)}")
        try:
            _make(place.parent)
            self._stream = self._temporary.open("xb", buffering=BUFFER)
        except OSError as error:
            raise refused(error, str(self._temporary)) from None

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, data: bytes | memoryview) -> int:
        try:
            count = self._stream.write(data)
        except OSError as error:
            raise refused(error, str(self._place)) from None
        self._hash.update(data)
        self.size += count
        return count

    def commit(self) -> None:
        try:
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
            self._temporary.rename(self._place)  # STRICTLY after its bytes are on the disk
            _sync(self._place.parent)
        except FileNotFoundError:
            raise BatchError("Internal", f"{self._temporary.name} was removed while it was being written") from None
        except OSError as error:
            raise refused(error, str(self._place)) from None

    def abandon(self) -> None:
        with suppress(OSError):
            self._stream.close()
        with suppress(OSError):
            self._temporary.unlink()


def _writer() -> str:
    """The pod, for people who find what it left."""
    name = os.environ.get("HOSTNAME") or platform.node() or "writer"
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name)[:63]


def _make(directory: Path) -> None:
    """The directory and what is above it, on the disk."""
    if directory.is_dir():
        return
    _make(directory.parent)
    directory.mkdir(exist_ok=True)
    _sync(directory.parent)


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def refused(error: OSError, where: str) -> BatchError:
    """In words; the volume said no: each cause has a remedy of its own."""
    user = os.getuid()
    match error.errno:
        case errno.ENOSPC:
            return BatchError("DiskFull", f"{where}: the volume is full: enlarge it or free space on it")
        case errno.EDQUOT:
            return BatchError("QuotaExceeded", f"{where}: the quota is used up: raise it for user {user}")
        case errno.EROFS:
            return BatchError("ReadOnly", f"{where}: the volume is mounted read-only: let the output be writable")
        case errno.EACCES | errno.EPERM:
            return BatchError("PermissionDenied", f"user {user} may not touch {where}: let the job run as one who may")
    return BatchError("Internal", f"{where}: {error.strerror or error}")
