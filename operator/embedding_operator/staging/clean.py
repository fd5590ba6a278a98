"""What the clean-up Job does: take a directory that we wrote off the volume, unless somebody else needs it.

Nothing is removed on a guess: the manifest must say that we wrote it, and be the very one that this ModelCache was
told of. What is published is renamed into `.trash` first, where no reader finds it, and removed only after that. Killed
at any moment, the next run goes on. No link is followed.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel

from .displaced import remove_displaced
from .errors import StageError
from .layout import OURS, TRASH, fsync_path, is_real_directory, make_directories, unsafe_path
from .manifest import BadManifestError, read_manifest
from .progress import human
from .spec import SIGNATURE
from .trash import remove
from .unfinished import remove_unfinished
from .users import note_of, notes, others, take_signature, unsign

log = logging.getLogger(__name__)

SETTLE = 60.0
"""Seconds between the rename and the last look at who signed: file systems that cache names show a new one late."""
_NOTE_MAX = 4096


class CleanSpec(BaseModel):
    """What one clean-up has to do; unknown fields are refused, as in the stager's spec."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, alias_generator=to_camel, populate_by_name=True)

    root: Annotated[str, Field(pattern=r"^/")]
    path: str | None = None
    """What was published; left out where nothing was."""
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    user: Annotated[str, Field(pattern=SIGNATURE, max_length=200)]

    @field_validator("path")
    @classmethod
    def _inside_the_volume(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if problem := unsafe_path(value):
            raise ValueError(f"{value!r} {problem}")
        if set(PurePosixPath(value).parts) & set(OURS):
            raise ValueError(f"{value!r} is no published directory")
        return value

    @model_validator(mode="after")
    def _with_its_digest(self) -> Self:
        if (self.path is None) != (self.digest is None):
            raise ValueError("path and digest belong together")
        return self


@dataclass(frozen=True)
class CleanResult:
    """Whether the files are gone, and in words why, or why not."""

    removed: bool
    message: str


def parse_clean_spec(text: str) -> CleanSpec:
    """The spec, or a BadSource."""
    try:
        return CleanSpec.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise StageError("BadSource", f"the clean-up's spec is wrong: {where}: {first['msg']}") from None


def clean(spec: CleanSpec, pause: Callable[[float], None] = time.sleep) -> CleanResult:
    """Remove the directory, and all else that this ModelCache has signed for, if it is ours alone; OSErrors are the
    caller's."""
    root = Path(spec.root)
    if (root / TRASH).is_symlink():
        return CleanResult(False, f"{TRASH} on the volume is a link, and nothing is removed through one")
    found = [_noted(root, spec, note, pause) for note in notes(root, spec.user)]  # of a run that was killed
    told = [] if spec.path is None else [_clean(root, spec, spec.path, pause) or _gone(spec.path)]
    unfinished = remove_unfinished(root, spec.user, pause, SETTLE)
    if unfinished is not None:
        found.append(CleanResult(True, f"an unfinished download is removed, {human(unfinished)}"))
    while note := take_signature(root, spec.user):  # STRICTLY AFTER: who was still writing may have published
        found.append(_noted(root, spec, note, pause))
    _tidy(root, spec.path or "")
    return _summary(told, found)


def _gone(path: str) -> CleanResult:
    """As an earlier run left it that was killed before it could say so."""
    return CleanResult(True, f"{path} is not there any more")


def _summary(told: Sequence[CleanResult], found: Sequence[CleanResult]) -> CleanResult:
    """What became of the directory that was told of, and what else is gone; where nothing is, why."""
    gone = [result for result in found if result.removed]
    said = [*told, *gone] or [result for result in found if result.message]
    words = "; ".join(result.message for result in said) or "nothing was there that could be removed"
    return CleanResult(all(result.removed for result in told) if told else bool(gone), words)


def _noted(root: Path, spec: CleanSpec, note: Path, pause: Callable[[float], None]) -> CleanResult:
    """Remove what a signature was for of which nobody was told, as its stager was killed before it could say so."""
    with note.open("rb") as stream:
        text = stream.read(_NOTE_MAX)
    try:
        noted = parse_clean_spec(json.dumps({**json.loads(text), "root": spec.root, "user": spec.user}))
    except (ValueError, TypeError, RecursionError, StageError):
        noted = None  # one of a version that wrote nothing into it, or of a disk that was full
    result = CleanResult(False, "")
    if noted is not None and noted.path is not None and note == note_of(root, spec.user, noted.path):
        result = _clean(root, noted, noted.path, pause) or result  # of what was never published nothing is said
        _tidy(root, noted.path)
    note.unlink()  # STRICTLY last: it is what the next run finds the directory by
    return result


def _clean(root: Path, spec: CleanSpec, path: str, pause: Callable[[float], None]) -> CleanResult | None:
    """Remove a directory, and what was moved aside for it; None if there is neither."""
    result = _remove(root, spec, path, pause)
    aside = 0 if others(root, path, spec.user) else remove_displaced(root, path, spec.user)
    if not aside:
        return result
    words = f"what was replaced by {path} is removed, {human(aside)}"
    return CleanResult(True, words) if result is None else replace(result, message=f"{result.message}; {words}")


def _remove(root: Path, spec: CleanSpec, path: str, pause: Callable[[float], None]) -> CleanResult | None:
    """What became of the directory; None if it is not there."""
    trash = root / TRASH / spec.user
    going = trash.with_name(f"{spec.user}.going")
    if not is_real_directory(trash) and not is_real_directory(going):  # else an earlier run was killed in the middle
        unsign(root, path, spec.user)
        if not os.path.lexists(root / path):
            return None
        if kept := _reason_to_keep(root, spec, path):
            return CleanResult(False, kept)
        make_directories(trash.parent, root)
        _rename(root / path, trash)
    if is_real_directory(trash):
        if kept := _second_look(root, spec, path, trash, pause):
            with suppress(OSError):  # fails where somebody staged it anew meanwhile
                _rename(trash, root / path)
                return CleanResult(False, kept)
        _rename(trash, going)  # from here on it is not whole, and never goes back
    return CleanResult(True, f"{path} is removed, {human(remove(going))}")


def _second_look(root: Path, spec: CleanSpec, path: str, trash: Path, pause: Callable[[float], None]) -> str | None:
    """Why it has to go back, now that nobody finds it any more."""
    pause(SETTLE)
    if users := others(root, path, spec.user):
        return _used_by(users)
    return _not_ours(trash, spec, path)


def _reason_to_keep(root: Path, spec: CleanSpec, path: str) -> str | None:
    """Why the directory must stay; None if it is ours alone."""
    directory = root
    for part in PurePosixPath(path).parts:
        directory /= part
        if not is_real_directory(directory):
            return f"{directory.relative_to(root)} is no directory, or is a link: nothing is removed"
    if foreign := _not_ours(directory, spec, path):
        return foreign
    users = others(root, path, spec.user)
    return _used_by(users) if users else None


def _not_ours(directory: Path, spec: CleanSpec, path: str) -> str | None:
    try:
        manifest = read_manifest(directory)
    except BadManifestError as error:
        return f"the manifest of {path} is damaged ({error}): remove the directory by hand if it may go"
    if manifest is None:
        return f"{path} has no manifest of ours: whoever made it removes it"
    if manifest.digest != spec.digest:
        return f"{path} has digest {manifest.digest}, not {spec.digest}: somebody else staged it"
    return None


def _used_by(users: list[str]) -> str:
    more = f" and {len(users) - 3} more" if len(users) > 3 else ""
    return f"others still use the files: {', '.join(users[:3])}{more}"


def _rename(source: Path, target: Path) -> None:
    source.rename(target)
    fsync_path(source.parent)
    fsync_path(target.parent)


def _tidy(root: Path, relative: str) -> None:
    """Empty directories above what was removed go too; what is not empty cannot be removed like this."""
    for parent in [*(root / parent for parent in PurePosixPath(relative).parents if parent.name), root / TRASH]:
        with suppress(OSError):
            parent.rmdir()
