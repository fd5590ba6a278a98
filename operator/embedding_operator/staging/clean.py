"""What the clean-up Job does: take a directory that we wrote off the volume, unless somebody else needs it.

Nothing is removed on a guess: the manifest must say that we wrote it, and be the very one that this ModelCache was
told of. The directory is renamed into `.trash` first, where no reader finds it, and removed only after that. Killed
at any moment, the next run goes on. No link is followed.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from .errors import StageError
from .layout import OURS, TRASH, fsync_path, make_directories, unsafe_path
from .manifest import BadManifestError, read_manifest
from .progress import human
from .spec import SIGNATURE
from .users import others, unsign

log = logging.getLogger(__name__)

SETTLE = 60.0
"""Seconds between the rename and the last look at who signed: file systems that cache names show a new one late."""


class CleanSpec(BaseModel):
    """What one clean-up has to do; unknown fields are refused, as in the stager's spec."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, alias_generator=to_camel, populate_by_name=True)

    root: Annotated[str, Field(pattern=r"^/")]
    path: str
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    user: Annotated[str, Field(pattern=SIGNATURE, max_length=200)]

    @field_validator("path")
    @classmethod
    def _inside_the_volume(cls, value: str) -> str:
        if problem := unsafe_path(value):
            raise ValueError(f"{value!r} {problem}")
        if set(PurePosixPath(value).parts) & set(OURS):
            raise ValueError(f"{value!r} is no published directory")
        return value


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
    """Remove the directory if it is ours alone; OSErrors are the caller's."""
    root = Path(spec.root)
    result = _clean(root, spec, pause)
    _tidy(root, spec.path)
    return result


def _clean(root: Path, spec: CleanSpec, pause: Callable[[float], None]) -> CleanResult:
    trash = root / TRASH / spec.user
    going = trash.with_name(f"{spec.user}.going")
    if not _is_directory(trash) and not _is_directory(going):  # else an earlier run was killed in the middle
        unsign(root, spec.path, spec.user)
        if kept := _reason_to_keep(root, spec):
            return CleanResult(False, kept)
        make_directories(trash.parent, root)
        _rename(root / spec.path, trash)
    if _is_directory(trash):
        if kept := _second_look(root, spec, trash, pause):
            with suppress(OSError):  # fails where somebody staged it anew meanwhile
                _rename(trash, root / spec.path)
                return CleanResult(False, kept)
        _rename(trash, going)  # from here on it is not whole, and never goes back
    size = _bytes(going)
    shutil.rmtree(going)
    return CleanResult(True, f"{spec.path} is removed, {human(size)}")


def _second_look(root: Path, spec: CleanSpec, trash: Path, pause: Callable[[float], None]) -> str | None:
    """Why it has to go back, now that nobody finds it any more."""
    pause(SETTLE)
    if users := others(root, spec.path, spec.user):
        return _used_by(users)
    return _not_ours(trash, spec)


def _reason_to_keep(root: Path, spec: CleanSpec) -> str | None:
    """Why the directory must stay; None if it is ours alone."""
    directory = root
    for part in PurePosixPath(spec.path).parts:
        directory /= part
        if not _is_directory(directory):
            return f"{directory.relative_to(root)} is not there, or is a link: nothing is removed"
    if foreign := _not_ours(directory, spec):
        return foreign
    users = others(root, spec.path, spec.user)
    return _used_by(users) if users else None


def _not_ours(directory: Path, spec: CleanSpec) -> str | None:
    try:
        manifest = read_manifest(directory)
    except BadManifestError as error:
        return f"the manifest of {spec.path} is damaged ({error}): remove the directory by hand if it may go"
    if manifest is None:
        return f"{spec.path} has no manifest of ours: whoever made it removes it"
    if manifest.digest != spec.digest:
        return f"{spec.path} has digest {manifest.digest}, not {spec.digest}: somebody else staged it"
    return None


def _used_by(users: list[str]) -> str:
    more = f" and {len(users) - 3} more" if len(users) > 3 else ""
    return f"others still use the files: {', '.join(users[:3])}{more}"


def _is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _rename(source: Path, target: Path) -> None:
    source.rename(target)
    fsync_path(source.parent)
    fsync_path(target.parent)


def _bytes(directory: Path) -> int:
    return sum(path.lstat().st_size for path in directory.rglob("*") if not path.is_dir())


def _tidy(root: Path, relative: str) -> None:
    """Empty directories above what was removed go too; what is not empty cannot be removed like this."""
    for parent in [*(root / parent for parent in PurePosixPath(relative).parents if parent.name), root / TRASH]:
        with suppress(OSError):
            parent.rmdir()
