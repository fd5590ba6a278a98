"""Who uses a published directory: one file for each ModelCache, beside the directory and never in it.

    <root>/<source>/<name>/<revision>/
    <root>/<source>/<name>/.users/<revision>/<cluster>_<namespace>_<uid>

The file says which directory it is for and with which digest, so that a clean-up knows what it may remove though nobody
was told of it: a stager may be killed between its publishing and its last words.

Two clusters may share one export and know nothing of each other, so this is all that tells whether somebody else
still needs the files. A user signs before it looks at the directory; whoever removes it looks at the signatures
after the directory was renamed away. So of two that meet, at least one sees the other.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .layout import OURS, TRASH, USERS, fsync_path, is_real_directory, make_directories


def signatures(root: Path, relative: str) -> Path:
    """The directory in which the users of a published directory sign."""
    published = root / relative
    return published.parent / USERS / published.name


def sign(root: Path, relative: str, user: str, digest: str | None = None) -> None:
    """Say that this user needs the directory, which has this digest. Again and again is as good as once."""
    place = signatures(root, relative)
    text = json.dumps({"path": relative, "digest": digest}).encode() if digest else b""
    for attempt in range(10):
        make_directories(place, root)
        with suppress(PermissionError):  # another user made it, and did this
            place.chmod(0o1777)  # as /tmp: whoever stages as another user signs here too, and erases its own alone
        try:
            _write(place / user, text)
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


def take_signature(root: Path, user: str) -> Path | None:
    """Take away one signature of this user for anything published, and keep what it says as a note: both in one rename,
    so that whoever is killed knows afterwards what was being removed. None if there is none."""
    for place in _places(root):
        for name in _names(place):
            if _uid(name) == _uid(user) and stat.S_ISREG((place / name).lstat().st_mode):
                note = note_of(root, user, (place.parent.parent / place.name).relative_to(root).as_posix())
                make_directories(note.parent, root)
                (place / name).rename(note)
                fsync_path(note.parent)
                for directory in (place, place.parent):
                    with suppress(OSError):  # somebody else signed
                        directory.rmdir()
                return note
    return None


def note_of(root: Path, user: str, relative: str) -> Path:
    """Where a signature lies that was taken away. Its name tells the directory: everybody may write signatures, and one
    for another directory than it lay beside is none."""
    return root / TRASH / f"{user}.{hashlib.sha256(relative.encode()).hexdigest()[:16]}.note"


def notes(root: Path, user: str) -> list[Path]:
    """What an earlier run took away and was killed over."""
    return sorted(path for path in (root / TRASH).glob(f"{user}.*.note") if stat.S_ISREG(path.lstat().st_mode))


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


def _write(path: Path, text: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        if os.write(handle, text) == len(text):
            os.ftruncate(handle, len(text))
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):  # that there is a file is what counts
            raise
    finally:
        os.close(handle)


def _places(root: Path) -> Iterator[Path]:
    """Where anybody has signed for anything published; no link is followed."""
    for source in _directories(root):
        if source.name not in OURS:
            for model in _directories(source):
                if is_real_directory(model / USERS):
                    yield from _directories(model / USERS)


def _directories(parent: Path) -> list[Path]:
    try:
        return sorted(path for path in parent.iterdir() if is_real_directory(path))
    except (FileNotFoundError, PermissionError):  # another tenant's, and none of ours below it
        return []


def _names(place: Path) -> list[str]:
    try:
        return sorted(path.name for path in place.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _uid(signature: str) -> str:
    return signature.rpartition("_")[2]
