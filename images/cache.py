"""Where built things are kept, and under which name.

A built file is named by the hash of everything that went into it, so that a changed input is a new name and
an unchanged one is never built twice. Nothing here may write into the repository.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
KEPT_PER_NAME = 3


def cache_directory() -> Path:
    """The directory outside the repository where binaries, images and models are kept between runs."""
    if chosen := os.environ.get("EMBEDDING_OPERATOR_CACHE"):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "embedding-operator"


def content_key(paths: Iterable[Path], *words: str) -> str:
    """Hash names and bytes of files (in directories: of all but byte code), and any further words."""
    digest = hashlib.sha256()
    for word in words:
        digest.update(f"word {word}\n".encode())
    for path in paths:
        for file in _files(path):
            body = file.read_bytes()
            executable = bool(file.stat().st_mode & 0o100)
            name = file.relative_to(REPOSITORY) if file.is_relative_to(REPOSITORY) else Path(file.name)
            digest.update(f"file {name} {executable} {len(body)}\n".encode())
            digest.update(body)
    return digest.hexdigest()[:12]


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from sorted(f for f in path.rglob("*") if f.is_file() and "__pycache__" not in f.parts)
    else:
        yield path


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Hold the lock of a target, so that two test runs on one machine do not build it at the same time."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f".{target.name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def build_once(target: Path, build: Callable[[Path], None]) -> Path:
    """Return target, made by build(partial path) and renamed into place when it does not exist yet."""
    if target.exists():
        return target
    with locked(target):
        if target.exists():
            return target
        partial = target.with_name(f"{target.name}.partial")
        remove(partial)
        build(partial)
        partial.rename(target)
    return target


def prune(directory: Path, pattern: str) -> None:
    """Remove all but the newest few builds that match, for a changed source leaves its old image behind."""
    builds = sorted(directory.glob(pattern), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in builds[KEPT_PER_NAME:]:
        remove(old)


def remove(path: Path) -> None:
    """Remove a file or a directory tree, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
