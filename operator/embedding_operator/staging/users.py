"""Who uses a published directory: one empty file for each ModelCache, beside the directory and never in it.

    <root>/<source>/<name>/<revision>/
    <root>/<source>/<name>/.users/<revision>/<cluster>_<namespace>_<uid>

Two clusters may share one export and know nothing of each other, so this is all that tells whether somebody else
still needs the files. A user signs before it looks at the directory; whoever removes it looks at the signatures
after the directory was renamed away. So of two that meet, at least one sees the other.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from .layout import USERS, fsync_path, make_directories


def signatures(root: Path, relative: str) -> Path:
    """The directory in which the users of a published directory sign."""
    published = root / relative
    return published.parent / USERS / published.name


def sign(root: Path, relative: str, user: str) -> None:
    """Say that this user needs the directory. Again and again is as good as once."""
    place = signatures(root, relative)
    for attempt in range(10):
        make_directories(place, root)
        with suppress(PermissionError):  # another user made it, and did this
            place.chmod(0o1777)  # as /tmp: whoever stages as another user signs here too, and erases its own alone
        try:
            os.close(os.open(place / user, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o644))
        except FileNotFoundError:  # the last user left in between, and took the directory with it
            if attempt == 9:
                raise
        else:
            break
    fsync_path(place)


def unsign(root: Path, relative: str, user: str) -> None:
    """Take the signature away, also one under a former name of the cluster: the uid is what counts."""
    place = signatures(root, relative)
    for name in _names(place):
        if _uid(name) == _uid(user):
            (place / name).unlink(missing_ok=True)
    for directory in (place, place.parent):
        with suppress(OSError):  # somebody else signed
            directory.rmdir()


def signed_for(root: Path, relative: str, user: str) -> list[str]:
    """The names of what this user has signed for in a directory."""
    place = root / relative / USERS
    return [name for name in _names(place) if any(_uid(one) == _uid(user) for one in _names(place / name))]


def forget(root: Path, relative: str) -> None:
    """Nobody needs it any more: it is not there."""
    place = signatures(root, relative)
    shutil.rmtree(place, ignore_errors=True)
    with suppress(OSError):  # there are others beside it
        place.parent.rmdir()


def others(root: Path, relative: str, user: str) -> list[str]:
    """The signatures of everybody else."""
    return [name for name in _names(signatures(root, relative)) if _uid(name) != _uid(user)]


def _names(place: Path) -> list[str]:
    try:
        return sorted(path.name for path in place.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _uid(signature: str) -> str:
    return signature.rpartition("_")[2]
