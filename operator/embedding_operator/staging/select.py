"""Which of a repository's files are staged. Pure: names and sizes in, a choice out.

Without an explicit include, weights in formats that the server will not read are left out where safetensors
are there instead: vLLM takes *.safetensors when a directory has any. An exclude that is written and empty says that
nothing is to be left out. The rule is per directory, because a
module such as 2_Dense/ may well have its weights as .bin only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from .errors import StageError
from .layout import MANIFEST

OTHER_FORMATS = (".bin", ".h5", ".msgpack", ".ot", ".gguf", ".onnx", ".pth", ".tflite")
OTHER_DIRECTORIES = ("onnx", "openvino")


@dataclass(frozen=True, order=True)
class RemoteFile:
    """One file of a repository's listing."""

    path: str
    size: int
    sha256: str | None = None
    git_sha1: str | None = None
    """The id of the file as a git blob, where a hub tells that instead of a sum."""
    version: str | None = None
    """What changes with the content and is no sum of it that we could compute, such as an S3 ETag."""


@dataclass(frozen=True)
class Selection:
    """The files to stage, and what was left out."""

    files: tuple[RemoteFile, ...]
    left_out: tuple[RemoteFile, ...]

    @property
    def bytes(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def bytes_left_out(self) -> int:
        return sum(file.size for file in self.left_out)


def select(files: Iterable[RemoteFile], include: Sequence[str], exclude: Sequence[str] | None) -> Selection:
    """An explicit include switches the defaults off, and so does an exclude that is empty; exclude always wins."""
    everything = tuple(sorted(files))
    with_safetensors = {_directory(file.path) for file in everything if file.path.endswith(".safetensors")}

    wants_all = exclude is not None and not exclude

    def wanted(path: str) -> bool:
        if path == MANIFEST or matches_any(path, exclude or ()):  # our own manifest takes that name
            return False
        if include:
            return matches_any(path, include)
        return wants_all or not left_out_by_default(path, with_safetensors)

    chosen = tuple(file for file in everything if wanted(file.path))
    if not chosen:
        hint = "look at include and exclude" if include or exclude else "the repository holds no weights"
        raise StageError("BadSource", f"none of the {len(everything)} listed files is selected: {hint}")
    taken = {file.path for file in chosen}
    return Selection(files=chosen, left_out=tuple(file for file in everything if file.path not in taken))


def left_out_by_default(path: str, with_safetensors: set[str]) -> bool:
    parts = PurePosixPath(path).parts
    if any(part.startswith(".git") for part in parts):
        return True
    if not with_safetensors:
        return False
    if any(part in OTHER_DIRECTORIES for part in parts[:-1]):
        return True
    return path.endswith(OTHER_FORMATS) and _directory(path) in with_safetensors


def matches_any(path: str, patterns: Sequence[str]) -> bool:
    """As the hubs' own tools match: `*` also crosses slashes, and `dir/` means all below dir."""
    return any(fnmatchcase(path, f"{glob}*" if glob.endswith("/") else glob) for glob in patterns)


def _directory(path: str) -> str:
    return str(PurePosixPath(path).parent)
