"""Where weights come from, as the stager is told: the fields of the API's sources, checked once more.

The schema of the kinds refuses the same in the cluster; here is the last line, for specs that came another way. A
table in the tests holds the two together. No credential is ever in here.
"""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel

from .layout import MANIFEST, clashes, unsafe_path

_REPO = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}/[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]{0,199}")

Glob = Annotated[str, Field(min_length=1, max_length=256)]


class Strict(BaseModel):
    """Unknown fields are refused, and nothing is converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, alias_generator=to_camel, populate_by_name=True)


class SecretRef(Strict):
    """Named for completeness: the operator turns it into an environment variable; the stager never reads it."""

    name: str
    key: str = "token"


class HubSource(Strict):
    """A repository on a hub."""

    PUBLIC: ClassVar[str]

    repo: str
    revision: str
    endpoint: str | None = None
    secret_ref: SecretRef | None = None
    include: tuple[Glob, ...] = ()
    exclude: tuple[Glob, ...] | None = None

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


class ModelScopeSource(HubSource):
    """A repository on a ModelScope hub."""

    PUBLIC = "https://modelscope.cn"

    revision: str = "master"


class HuggingFaceSource(HubSource):
    """A repository on the Hugging Face Hub or a mirror of it."""

    PUBLIC = "https://huggingface.co"

    revision: str = "main"


Url = Annotated[str, Field(min_length=8, max_length=1024)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class HttpFile(Strict):
    """One file on a web server, and the name that it gets."""

    path: str
    url: Url
    sha256: Sha256

    @field_validator("path")
    @classmethod
    def _inside_the_model(cls, value: str) -> str:
        if problem := unsafe_path(value):
            raise ValueError(f"{value!r} {problem}")
        if value == MANIFEST:
            raise ValueError(f"{MANIFEST} is the name of our own")
        return value

    @field_validator("url")
    @classmethod
    def _plain_url(cls, value: str) -> str:
        return check_url(value)


class HttpSource(Strict):
    """One archive, or a list of files."""

    url: Url | None = None
    sha256: Sha256 | None = None
    files: Annotated[tuple[HttpFile, ...], Field(min_length=1)] | None = None
    secret_ref: SecretRef | None = None

    @field_validator("url")
    @classmethod
    def _plain_url(cls, value: str | None) -> str | None:
        return None if value is None else check_url(value)

    @model_validator(mode="after")
    def _archive_or_files(self) -> Self:
        if (self.url is None) == (self.files is None) or (self.url is None) != (self.sha256 is None):
            raise ValueError("give url and sha256 of one archive, or files")
        if clash := clashes(file.path for file in self.files or ()):
            raise ValueError(clash)
        return self


class S3SecretRef(Strict):
    """The Secret's keys are those of AWS' own tools."""

    name: str


class S3Source(Strict):
    """The objects below a prefix of a bucket."""

    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    prefix: str | None = None
    endpoint: str | None = None
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,63}$")] | None = None
    addressing_style: Literal["Path", "Virtual"] | None = None
    secret_ref: S3SecretRef | None = None
    include: tuple[Glob, ...] = ()
    exclude: tuple[Glob, ...] | None = None

    @field_validator("prefix")
    @classmethod
    def _plain_prefix(cls, value: str | None) -> str | None:
        if value is not None and (problem := unsafe_path(value)):
            raise ValueError(f"{value!r} {problem}")
        return value

    @field_validator("endpoint")
    @classmethod
    def _plain_endpoint(cls, value: str | None) -> str | None:
        return None if value is None else check_endpoint(value)


class PathSource(Strict):
    """Weights that are on the volume already."""

    path: str

    @field_validator("path")
    @classmethod
    def _inside_the_volume(cls, value: str) -> str:
        trimmed = value.rstrip("/")
        if problem := unsafe_path(trimmed):
            raise ValueError(f"{value!r} {problem}; write a path relative to the volume")
        return trimmed


class Source(Strict):
    """Exactly one place that weights come from."""

    model_scope: ModelScopeSource | None = None
    hugging_face: HuggingFaceSource | None = None
    http: HttpSource | None = None
    s3: S3Source | None = None
    path: PathSource | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len([value for _, value in self if value is not None]) != 1:
            raise ValueError(f"give exactly one of {_listed([to_camel(name) for name, _ in self])}")
        return self

    @property
    def kind(self) -> str:
        """The field that is set, in the API's words."""
        return next(to_camel(name) for name, value in self if value is not None)

    @property
    def hub(self) -> HubSource | None:
        return self.model_scope or self.hugging_face

    @property
    def takes_all(self) -> bool:
        """Where each file was asked for by name, none is left out."""
        return self.http is not None

    @property
    def include(self) -> tuple[str, ...]:
        chosen = self.hub or self.s3
        return chosen.include if chosen else ()

    @property
    def exclude(self) -> tuple[str, ...] | None:
        chosen = self.hub or self.s3
        return chosen.exclude if chosen else None


def check_endpoint(value: str) -> str:
    """A server's base URL without a trailing slash; credentials in it would end up in logs, so they are refused."""
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


def check_url(value: str) -> str:
    """A file's URL. A query is part of it, a password is not."""
    try:
        parts = urlsplit(value)
        scheme, host, _ = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host, parts = "", None, urlsplit("")
    if scheme not in ("http", "https") or not host or not value.isprintable() or " " in value:
        raise ValueError("the url must be an http:// or https:// URL")
    if "@" in value or "#" in value:
        raise ValueError("the url must not hold a user name, password or fragment; use secretRef for a token")
    return value


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
