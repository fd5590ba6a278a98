"""The stager's input: one JSON document, parsed strictly.

Unknown fields are refused, so that a typo or a newer operator never stages something else than was asked for.
Holds no credential: a token travels in the environment only.
"""

from __future__ import annotations

import re
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel

from .errors import StageError
from .layout import unsafe_path

SIGNATURE = r"^[A-Za-z0-9.-]*_[A-Za-z0-9.-]+_[A-Za-z0-9-]+$"
DEFAULT_ENDPOINT = "https://modelscope.cn"
DEFAULT_REVISION = "master"

_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}")

Glob = Annotated[str, Field(min_length=1, max_length=256)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, alias_generator=to_camel, populate_by_name=True)


class SecretRef(_Strict):
    """Named for completeness: the operator turns it into an environment variable; the stager never reads it."""

    name: str
    key: str = "token"


class ModelScopeSource(_Strict):
    """A repository on a ModelScope hub."""

    repo: str
    revision: str = DEFAULT_REVISION
    endpoint: str | None = None
    secret_ref: SecretRef | None = None
    include: tuple[Glob, ...] = ()
    exclude: tuple[Glob, ...] = ()

    @field_validator("repo")
    @classmethod
    def _owner_and_name(cls, value: str) -> str:
        if not _REPO.fullmatch(value) or ".." in value:
            raise ValueError(f"{value!r} is not a repository id; write owner/name")
        return value

    @field_validator("revision")
    @classmethod
    def _plain_revision(cls, value: str) -> str:
        if not _REVISION.fullmatch(value) or ".." in value:
            raise ValueError(f"{value!r} is not a branch, tag or commit")
        return value

    @field_validator("endpoint")
    @classmethod
    def _plain_endpoint(cls, value: str | None) -> str | None:
        return None if value is None else check_endpoint(value)


class PathSource(_Strict):
    """Weights that are on the volume already."""

    path: str

    @field_validator("path")
    @classmethod
    def _inside_the_volume(cls, value: str) -> str:
        trimmed = value.rstrip("/")
        if problem := unsafe_path(trimmed):
            raise ValueError(f"{value!r} {problem}; write a path relative to the volume")
        return trimmed


class Source(_Strict):
    """Exactly one place that weights come from."""

    model_scope: ModelScopeSource | None = None
    path: PathSource | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.model_scope is None) == (self.path is None):
            raise ValueError("give exactly one of modelScope and path")
        return self


class StageSpec(_Strict):
    """What one staging run has to do."""

    source: Source
    root: str
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    user: Annotated[str, Field(pattern=SIGNATURE, max_length=200)] | None = None
    """What is signed beside the published directory: <cluster>_<namespace>_<uid of the ModelCache>."""
    verify: bool = False
    """Hash what is there, though its digest is the one that was asked for, and fetch again what is damaged."""
    read_bytes_per_second: Annotated[int, Field(ge=1)] | None = None
    """How fast weights of a path are read; as fast as can be when left out."""
    parallelism: Annotated[int, Field(ge=1, le=64)] = 8
    progress_port: Annotated[int, Field(ge=0, le=65535)] | None = 8081

    @field_validator("root")
    @classmethod
    def _absolute(cls, value: str) -> str:
        if not value.startswith("/"):
            raise ValueError(f"{value!r} is not an absolute path")
        return value


def check_endpoint(value: str) -> str:
    """A hub's base URL without a trailing slash; credentials in it would end up in logs, so they are refused."""
    try:
        parts = urlsplit(value)
        scheme, host, _ = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host, parts = "", None, urlsplit("")
    if scheme not in ("http", "https") or not host:
        raise ValueError("the endpoint must be an http:// or https:// URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the endpoint must not hold a user name or password; use secretRef for a token")
    if parts.query or parts.fragment:
        raise ValueError("the endpoint must not hold a query or fragment")
    return value.rstrip("/")


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
