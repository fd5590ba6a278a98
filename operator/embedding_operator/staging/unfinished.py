"""Downloads that a ModelCache began and never published: taken off the volume when it is deleted with its files.

Whoever writes in a staging directory has signed for it, in `.staging/.users/<key>/`, as it signs for what it publishes.
What another ModelCache has signed for as well, or what somebody writes in, stays: the next staging goes on there.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .layout import CLAIM, STAGING, TRASH, USERS, is_real_directory
from .trash import discard, remove
from .users import others, signed_for, unsign

LOOKS = 3  # a stager that was told to stop is given so many times the pause to do it


def remove_unfinished(root: Path, user: str, pause: Callable[[float], None], settle: float) -> int | None:
    """How many bytes are gone; None if there was nothing to remove. Killed at any moment, the next run goes on."""
    trash = root / TRASH / f"{user}.unfinished"
    gone = remove(trash) if is_real_directory(trash) else None
    users = root / STAGING / USERS
    if not (is_real_directory(users.parent) and is_real_directory(users)):
        return gone
    for key in signed_for(root, STAGING, user):
        relative = f"{STAGING}/{key}"
        directory = root / relative
        if is_real_directory(directory) and _is_free(root, relative, user, pause, settle):
            gone = (gone or 0) + discard(directory, trash, root)
        unsign(root, relative, user)  # STRICTLY last: it is what the next run finds the directory by
    for empty in [*users.iterdir(), users] if users.is_dir() else ():  # as a run left it that was killed right there
        with suppress(OSError):  # somebody signed
            empty.rmdir()
    return gone


def _is_free(root: Path, relative: str, user: str, pause: Callable[[float], None], settle: float) -> bool:
    """Whether nobody else has signed, and nobody writes: a writer never lets its claim stand still for so long."""
    claim = root / relative / CLAIM
    for _ in range(LOOKS):
        if others(root, relative, user):
            return False
        before = _read(claim)
        if before is None:
            return True
        pause(settle)
        if _read(claim) == before:
            return not others(root, relative, user)
    return False


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
