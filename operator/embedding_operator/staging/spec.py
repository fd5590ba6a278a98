"""The stager's input: one JSON document, parsed strictly.

Unknown fields are refused, so that a typo or a newer operator never stages something else than was asked for.
Holds no credential: a token travels in the environment only.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationError, field_validator

from .errors import StageError
from .layout import reserved, unsafe_path
from .sourcespec import Source, Strict

SIGNATURE = r"^[A-Za-z0-9.-]*_[A-Za-z0-9.-]+_[A-Za-z0-9-]+$"


class StageSpec(Strict):
    """What one staging run has to do."""

    source: Source
    root: str
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    user: Annotated[str, Field(pattern=SIGNATURE, max_length=200)] | None = None
    """What is signed beside the published directory: <cluster>_<namespace>_<uid of the ModelCache>."""
    directory: str | None = None
    """Where it was published before, below root: there it is mended, whatever the hub calls that revision by now."""
    verify: bool = False
    """Hash what is there, though its digest is the one that was asked for, and fetch again what is damaged."""
    read_bytes_per_second: Annotated[int, Field(ge=1)] | None = None
    """How fast weights of a path are read; as fast as can be when left out."""
    parallelism: Annotated[int, Field(ge=1, le=64)] = 8
    bytes_per_second: Annotated[int, Field(ge=1)] | None = None
    """How fast files are fetched, over all connections."""
    progress_port: Annotated[int, Field(ge=0, le=65535)] | None = 8081

    @field_validator("root")
    @classmethod
    def _absolute(cls, value: str) -> str:
        if not value.startswith("/"):
            raise ValueError(f"{value!r} is not an absolute path")
        return value

    @field_validator("directory")
    @classmethod
    def _published(cls, value: str | None) -> str | None:
        if value is not None and (problem := unsafe_path(value) or reserved(value)):
            raise ValueError(f"{value!r} {problem}")
        return value


def parse_spec(text: str) -> StageSpec:
    """The spec, or a BadSource that names each wrong field."""
    try:
        return StageSpec.model_validate_json(text)
    except ValidationError as error:
        problems = "; ".join(_describe(item["loc"], item["msg"]) for item in error.errors()[:5])
        raise StageError("BadSource", f"the staging spec is wrong: {problems}") from None


def _describe(location: tuple[int | str, ...], message: str) -> str:
    field = ".".join(str(part) for part in location) or "(document)"
    return f"{field}: {message.removeprefix('Value error, ')}"
