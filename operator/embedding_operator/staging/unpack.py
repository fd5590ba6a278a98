"""An archive becomes the files of a model: tar, tar.gz or zip, told apart by their first bytes.

The archive's own sum was checked before. Still nothing in it is trusted: names that leave their directory, links,
devices, two files of one name, and more bytes than weights can be compressed by, are refused. Works in pieces, so
that a stop is quick; killed, it begins again with the archive that is there.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from .errors import StageError
from .layout import MANIFEST, Layout, make_directories, open_up, unsafe_path
from .manifest import ManifestFile
from .progress import human
from .publish import drop_strangers
from .select import RemoteFile
from .threads import in_thread

MAX_FILES = 10_000
MAX_RATIO = 20  # weights hardly compress; text does, by five or ten
ALWAYS_ALLOWED = 64 << 20
PIECE = 8 << 20
MAX_HEADER = 1 << 20

_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    struct.error,
    ValueError,
    LookupError,
    NotImplementedError,
    RecursionError,
    RuntimeError,  # zipfile's word for a password
)


def make_room(layout: Layout, archive: RemoteFile, free_bytes: Callable[[Path], int | None]) -> None:
    """Refuse, before the first byte, a volume that cannot hold both the archive and what is in it.

    Weights hardly compress, so that is at least as much again. STRICTLY after the journal was opened, which sees to
    links: what a run that was killed has unpacked goes first, for it is unpacked anew.
    """
    discard(layout)
    drop_strangers(layout.files, {archive.path})
    present = sum(_size(path) for path in (layout.final(archive.path), layout.partial(archive.path)))
    missing, free = max(0, archive.size - present), free_bytes(layout.staging)
    if free is not None and missing + archive.size > free:
        raise StageError(
            "DiskFull",
            f"{human(missing + archive.size - free)} too little: {human(missing)} are still to be downloaded, what is "
            f"in the archive needs at least {human(archive.size)} beside it, and the volume has {human(free)} free: "
            "enlarge the claim or remove models that are no longer used",
        )


async def unpack(layout: Layout, archive: RemoteFile, worked: Callable[[int], None]) -> list[ManifestFile]:
    """The files of the checked archive, put where the archive lies; `worked` is told how much of it is done."""
    done = _Done()
    steps = _steps(layout, archive, done)
    before = 0
    while await in_thread(next, steps, None) is not None:
        worked(done.read - before)
        before = done.read
    worked(archive.size - before)
    return sorted(done.files)


def discard(layout: Layout) -> None:
    """Take away what was unpacked and is not in its place."""
    shutil.rmtree(_scratch(layout), ignore_errors=True)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Done:
    """What the steps have come to."""

    def __init__(self) -> None:
        self.read = 0  # of the archive
        self.written = 0
        self.files: list[ManifestFile] = []


def _steps(layout: Layout, archive: RemoteFile, done: _Done) -> Iterator[bool]:
    """Unpack beside the archive, then move the files into its place."""
    scratch = _scratch(layout)
    discard(layout)
    make_directories(scratch, layout.root)
    try:
        with layout.final(archive.path).open("rb") as stream:
            for name, content in _members(stream):
                for _ in _write(scratch, name, content, archive, done):
                    done.read = min(stream.tell(), archive.size)
                    yield True
    except StageError:
        raise
    except _BROKEN as error:
        raise _refused(f"it is damaged or of no kind that is understood ({error})") from None
    if not done.files:
        raise _refused("it holds no files")
    top = _common_top([file.path for file in done.files])
    done.files = [ManifestFile(file.path.removeprefix(top), file.size, file.sha256) for file in done.files]
    if MANIFEST in {file.path for file in done.files}:
        raise _refused(f"it holds a {MANIFEST}, which is the name of our own: pack it without")
    for file in done.files:
        target = layout.final(file.path)
        make_directories(target.parent, layout.root)
        (scratch / top / file.path).replace(target)
    shutil.rmtree(scratch)


def _write(scratch: Path, name: str, content: _Readable, archive: RemoteFile, done: _Done) -> Iterator[None]:
    """One file, synced, with its sum."""
    if problem := unsafe_path(name):
        raise _refused(f"it names {name[:200]!r}, which {problem}")
    if len(done.files) >= MAX_FILES:
        raise _refused(f"it holds more than {MAX_FILES} files")
    hasher, size = hashlib.sha256(), 0
    with _create(scratch, name) as out:
        while data := content.read(1 << 20):
            size += len(data)
            done.written += len(data)
            if done.written > max(ALWAYS_ALLOWED, MAX_RATIO * archive.size):
                raise _refused(f"it is more than {MAX_RATIO} times as big as its archive")
            out.write(data)
            hasher.update(data)
            if size % PIECE == 0:
                yield None
        out.flush()
        os.fsync(out.fileno())
    open_up(scratch / name)
    done.files.append(ManifestFile(name, size, hasher.hexdigest()))
    yield None


def _create(scratch: Path, name: str) -> BinaryIO:
    target = scratch / name
    try:
        make_directories(target.parent, scratch)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        return os.fdopen(os.open(target, flags, 0o666), "wb")
    except (FileExistsError, NotADirectoryError):
        raise _refused(f"it holds {name} twice, or as a file and as a directory") from None


def _members(stream: BinaryIO) -> Iterator[tuple[str, _Readable]]:
    """Name and content of each file, in the archive's order; the content must be read before the next."""
    start = stream.read(4)
    stream.seek(0)
    if start.startswith(b"PK"):
        yield from _of_zip(stream)
    elif start.startswith(b"\x1f\x8b"):
        with gzip.open(stream) as plain:
            yield from _of_tar(_Forward(plain))
    else:
        yield from _of_tar(_Forward(stream))


def _of_zip(stream: BinaryIO) -> Iterator[tuple[str, _Readable]]:
    with zipfile.ZipFile(stream) as archive:
        for member in archive.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if member.is_dir():
                continue
            if kind not in (0, stat.S_IFREG):
                raise _refused(f"{member.filename[:200]!r} in it is a link or a device: pack the files themselves")
            with archive.open(member) as content:
                yield member.filename.removeprefix("./"), content


def _of_tar(reader: _Forward) -> Iterator[tuple[str, _Readable]]:
    with tarfile.open(fileobj=reader, mode="r:") as archive:  # type: ignore[call-overload]
        while (member := archive.next()) is not None:
            if member.isdir():
                continue
            if not member.isreg() or member.issparse() or member.size < 0:
                raise _refused(f"{member.name[:200]!r} in it is a link, a device or sparse: pack the files themselves")
            reader.seek(member.offset_data)
            content = _Slice(reader, member.size)
            yield member.name.removeprefix("./"), content
            if content.left:
                raise EOFError("a file ends early")


class _Forward:
    """A stream that is read once, from its beginning to its end, and never by the gigabyte.

    tarfile takes the size of a header from the header, and would read it into memory whatever it says.
    """

    def __init__(self, stream: _Readable) -> None:
        self._stream = stream
        self._at = 0

    def read(self, size: int) -> bytes:
        if not 0 <= size <= MAX_HEADER:
            raise _refused("it has a header of more than a megabyte")
        data = self._stream.read(size)
        self._at += len(data)
        return data

    def seek(self, position: int) -> None:
        if position < self._at:
            raise tarfile.ReadError("it leads backwards")
        while self._at < position:
            if not self.read(min(MAX_HEADER, position - self._at)):
                raise EOFError("it ends early")

    def tell(self) -> int:
        return self._at


class _Slice:
    """So many bytes of a stream."""

    def __init__(self, reader: _Forward, size: int) -> None:
        self._reader = reader
        self.left = size

    def read(self, size: int) -> bytes:
        data = self._reader.read(min(size, self.left))
        self.left -= len(data)
        return data


def _scratch(layout: Layout) -> Path:
    return layout.staging / "unpacked"


def _size(path: Path) -> int:
    return path.lstat().st_size if path.is_file() else 0


def _common_top(names: list[str]) -> str:
    """The one folder that holds everything, as `tar czf model.tar.gz model/` makes it, with its slash; else nothing."""
    tops = {name.partition("/")[:2] for name in names}
    ((top, slash),) = tops if len(tops) == 1 else {("", "")}
    return top + slash if slash else ""


def _refused(what: str) -> StageError:
    return StageError("BadSource", f"the archive cannot be used: {what}")
