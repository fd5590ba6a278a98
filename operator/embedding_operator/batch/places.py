"""Where a job reads and writes, whatever kind of place it is. All of it blocks, and belongs into a thread."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Protocol

from .errors import BatchError
from .globs import InputFile
from .jobspec import Input, JobSpec, Output
from .rows import Shard


class InputPlace(Protocol):
    """Where input is read from."""

    def listed(self, globs: Sequence[str]) -> list[InputFile]:
        """The files that are meant, sorted by path; BatchError if there are none."""

    def opened(self, file: InputFile, offset: int = 0) -> AbstractContextManager[BinaryIO]:
        """The file from a byte on, buffered. BatchError (FileChanged) if it is, or becomes, another than was listed."""

    def image(self, path: str, limit: int) -> bytes:
        """A small file that a row names. Raises ValueError in words for people."""


class Sink(Protocol):
    """A file that is being written, and is not there before `commit`."""

    @property
    def size(self) -> int:
        """Bytes so far."""

    @property
    def sha256(self) -> str:
        """Of them."""

    def write(self, data: bytes | memoryview) -> int:
        """Append."""

    def commit(self) -> None:
        """Let it appear, whole and on the disk."""

    def abandon(self) -> None:
        """Leave nothing of it. Harmless after `commit`."""


class OutputPlace(Protocol):
    """Where output is written to. Paths are relative to its root."""

    @property
    def scratch(self) -> Path | None:
        """A directory for what is of no use to anybody else; None for the pod's own."""

    def check(self) -> None:
        """Raises BatchError if nothing can be written there."""

    def create(self, path: str) -> Sink:
        """A file that replaces what is there, when it is committed."""

    def read(self, path: str, limit: int) -> bytes | None:
        """A small file; None where there is none."""

    def opened(self, path: str) -> AbstractContextManager[BinaryIO]:
        """A file of any size."""

    def size(self, path: str) -> int | None:
        """In bytes; None where there is none."""

    def clean(self, paths: Sequence[str]) -> int:
        """Remove what writers that died left of these files before they were committed; gives how many pieces."""


def input_of(job: JobSpec) -> InputPlace:
    """Where the job reads."""
    return _input_at(job.input.model_copy(update={"files": []}).model_dump_json())


def output_of(job: JobSpec) -> OutputPlace:
    """Where the job writes."""
    return _output_at(job.output.model_dump_json())


def file_of(shard: Shard) -> InputFile:
    """The file of a shard, as it was when it was listed."""
    return InputFile(shard.file, shard.size, shard.version)


@lru_cache(maxsize=4)
def _input_at(document: str) -> InputPlace:
    place = Input.model_validate_json(document)
    if place.root.startswith("/"):
        from .local import LocalInput

        return LocalInput(Path(place.root))
    if place.root.startswith("s3://"):
        from .objects import ObjectInput

        return ObjectInput(place)
    if place.root.startswith(("http://", "https://")):
        from .webfiles import WebInput

        return WebInput(place)
    raise _unknown("input", place.root)


@lru_cache(maxsize=4)
def _output_at(document: str) -> OutputPlace:
    place = Output.model_validate_json(document)
    if place.root.startswith("/"):
        from .local import LocalOutput

        return LocalOutput(Path(place.root))
    if place.root.startswith("s3://"):
        from .objects import ObjectOutput

        return ObjectOutput(place)
    raise _unknown("output", place.root)


def _unknown(what: str, root: str) -> BatchError:
    return BatchError(
        "BadInput", f"{what}: {root.split('?')[0]} is neither a directory nor an address that can be used"
    )
