"""Which files of a directory a job reads: those that globs mean, none outside the directory, none of a job's output.

A link is followed if what it leads to is below the root. Nothing is opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from .errors import BatchError
from .globs import Glob, InputFile, chosen

OUTPUT_MARK = ".embedding-job"
"""A directory below the root that holds one is some job's output, and never input."""


def listed(root: Path, globs: Sequence[str], where: str = "the input") -> list[InputFile]:
    """The files that are meant, sorted by path. Raises BatchError in words for people."""
    real = _real(root, where)
    meant = [Glob(glob) for glob in globs]
    starts = sorted({glob.prefix for glob in meant})
    starts = [one for one in starts if not any(one != other and one.startswith(other) for other in starts)]
    return chosen((file for start in starts for file in _walk(real, start, frozenset())), meant, where)


def inside(root: Path, path: str) -> Path:
    """The real place of a file of the input, which the root must hold. Raises OSError, or ValueError if it does not."""
    real = root.resolve(strict=True)
    place = (real / path).resolve(strict=True)
    if path.startswith("/") or not place.is_relative_to(real):
        raise ValueError(f"{path} leads out of the input")
    return place


def version_of(found: os.stat_result) -> str:
    """What tells a file from what it is after a change."""
    return str(found.st_mtime_ns)


def _real(root: Path, where: str) -> Path:
    try:
        real = root.resolve(strict=True)
    except OSError as error:
        raise BatchError("NoFiles", f"{where}: {root}: {error.strerror}") from None
    if not real.is_dir():
        raise BatchError("NoFiles", f"{where}: {root} is no directory")
    return real


def _walk(root: Path, directory: str, above: frozenset[tuple[int, int]]) -> Iterator[InputFile]:
    """All regular files below a directory (`""` or `"a/b/"`)."""
    try:
        place = inside(root, directory or ".")
        own = place.stat()
        names = sorted(one.name for one in place.iterdir()) if stat.S_ISDIR(own.st_mode) else []
    except FileNotFoundError:
        return
    except ValueError:
        return
    except OSError as error:
        raise _unreadable(directory, error) from None
    here = (own.st_dev, own.st_ino)
    if here in above or (directory and OUTPUT_MARK in names):
        return
    for name in names:
        path = directory + name
        if name.startswith("."):
            continue
        try:
            real = inside(root, path)
            found = real.stat()
        except (ValueError, FileNotFoundError):  # it leads out, or nowhere
            continue
        except OSError as error:
            raise _unreadable(path, error) from None
        if stat.S_ISDIR(found.st_mode):
            yield from _walk(root, f"{path}/", above | {here})
        elif stat.S_ISREG(found.st_mode):
            if any(char < " " or "\ud800" <= char <= "\udfff" for char in path):
                raise BatchError("BadInput", f"{path!a}: the name is no plain UTF-8: give the file another")
            yield InputFile(path, found.st_size, version_of(found))


def _unreadable(path: str, error: OSError) -> BatchError:
    return BatchError(
        "PermissionDenied" if isinstance(error, PermissionError) else "Internal",
        f"{path or 'the input'} cannot be read by user {os.getuid()} ({error.strerror}): let it be readable, or set "
        "the job's securityContext to a user who may",
    )
