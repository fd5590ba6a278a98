"""Where things lie on the volume, and which names are allowed there.

    <root>/<source>/<Owner>--<Name>/<revision>/          published, complete, never written again
    <root>/.staging/<key>/{writer.json,journal.jsonl}    a run's own notes
    <root>/.staging/<key>/partials/…/<file>.partial      bytes that nobody has checked yet
    <root>/.staging/<key>/files/…                        checked files, renamed into place as a whole
    <root>/.staging/.users/<key>/                        who has written there (users.py)
    <root>/.staging/displaced-<key>-<n>/                 what lay in the place of what was published (displaced.py)

Names come from a hub, that is from strangers: a name that could leave its directory is refused, never repaired.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .errors import StageError

MANIFEST = "manifest.json"
STAGING = ".staging"
TRASH = ".trash"
USERS = ".users"
CLAIM = "writer.json"
SILLY = ".nfs"
"""How NFS names a file that was replaced while somebody on the same machine had it open."""
OURS = (STAGING, TRASH, USERS)
"""Directories of the volume that hold no weights: what is in them may change or go at any moment."""


@dataclass(frozen=True)
class Layout:
    """The paths of one run."""

    root: Path
    relative: str
    """The published directory, relative to root; it is what the result names."""
    key: str

    @property
    def published(self) -> Path:
        return self.root / self.relative

    @property
    def staging(self) -> Path:
        return self.root / STAGING / self.key

    @property
    def relative_staging(self) -> str:
        return f"{STAGING}/{self.key}"

    @property
    def files(self) -> Path:
        return self.staging / "files"

    @property
    def journal(self) -> Path:
        return self.staging / "journal.jsonl"

    @property
    def claim(self) -> Path:
        return self.staging / CLAIM

    @property
    def partials(self) -> Path:
        return self.staging / "partials"

    def final(self, path: str) -> Path:
        return self.files / path

    def partial(self, path: str) -> Path:
        return self.partials / f"{path}.partial"


def source_layout(
    root: Path,
    source: str,
    name: str,
    revision: str,
    include: Sequence[str] = (),
    exclude: Sequence[str] | None = None,
) -> Layout:
    """A choice of files other than the default gets a directory of its own: it is other content."""
    leaf = revision
    if include or exclude is not None:
        chosen = json.dumps([sorted(include), sorted(exclude or ())])
        leaf += f"-files-{hashlib.sha256(chosen.encode()).hexdigest()[:8]}"
    folder = name.replace("/", "--")
    if len(folder) > 240:
        folder = f"{folder[:200]}.{hashlib.sha256(folder.encode()).hexdigest()[:16]}"
    relative = f"{source}/{folder}/{leaf}"
    return layout_of(root, relative)


def layout_of(root: Path, relative: str) -> Layout:
    """Of a directory that is published, or to be."""
    return Layout(root=root, relative=relative, key=staging_key(relative))


def staging_key(relative: str) -> str:
    """The name below `.staging` of what is to be published there."""
    key = relative.replace("/", ".")
    if len(key) > 200:  # a file name has 255 bytes, and ours are longer than the key
        key = f"{key[:160]}.{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    return key


def unsafe_path(path: str) -> str | None:
    """What is wrong with a relative path, as the end of a sentence; None if nothing is."""
    if not path:
        return "is empty"
    if path.startswith("/"):
        return "is absolute"
    if "\\" in path:
        return "holds a backslash"
    if any(ord(char) < 32 or ord(char) == 127 for char in path):
        return "holds a control character"
    parts = path.split("/")
    if ".." in parts:
        return "leaves its directory by '..'"
    if "." in parts or "" in parts:
        return "holds an empty or '.' component"
    try:
        lengths = [len(part.encode()) for part in parts]
    except UnicodeEncodeError:
        return "is not valid text"
    if sum(lengths) > 1000 or max(lengths) > 240:  # a termination message has to hold the one, a volume the other
        return "is too long"
    return None


def reserved(path: str) -> str | None:
    """What is wrong with a place for weights below root, as the end of a sentence; None if nothing is."""
    return "is no place for weights" if path.split("/", 1)[0] in OURS else None


def clashes(paths: Iterable[str]) -> str | None:
    """Two names that cannot both exist: a duplicate, or a file that is another's directory."""
    seen: set[str] = set()
    for path in paths:
        if path in seen:
            return f"{path} is listed twice"
        seen.add(path)
    for path in seen:
        for parent in PurePosixPath(path).parents:
            if str(parent) in seen:
                return f"{parent} is both a file and a directory"
    return None


def make_directories(directory: Path, root: Path) -> None:
    """Create what is missing between root and directory, readable for the pods that serve. No link is followed."""
    missing: list[Path] = []
    current = directory
    while current != root:
        if current.is_symlink():
            raise StageError(
                "PermissionDenied", f"{current} is a link, and nothing is written through one: make it a directory"
            )
        if not current.is_dir():
            missing.append(current)
        current = current.parent
    for path in reversed(missing):
        with contextlib.suppress(FileExistsError):
            path.mkdir()
        open_up(path)


def is_real_directory(path: Path) -> bool:
    """A directory, and no link to one."""
    return path.is_dir() and not path.is_symlink()


def open_up(path: Path) -> None:
    """chmod a+rX: only ever adds rights (a plain mode would drop an inherited setgid bit)."""
    mode = stat.S_IMODE(path.stat().st_mode)
    wanted = mode | (0o755 if path.is_dir() else 0o644)
    if wanted != mode:
        path.chmod(wanted)


def fsync_path(path: Path) -> None:
    """Make a file, or a directory's entries, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
