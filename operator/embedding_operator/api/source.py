"""Where a model's weights come from, and on which volume they lie.

Adding a source means one dataclass here that knows its names, one field of ModelSource, and its stager; nothing
else asks which it is.
"""

import dataclasses
import re
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Protocol, Self, TypeAlias, cast

from embedding_operator.api.codec import ApiValueError, View, wire_names
from embedding_operator.api.json import JsonObject
from embedding_operator.api.meta import LocalReference, SecretKeyRef

_ARCHIVE = re.compile(r"\.(tar\.gz|tgz|tar|zip)$", re.IGNORECASE)

SourceKind: TypeAlias = Literal["modelScope", "huggingFace", "http", "s3", "path"]


class AnySource(Protocol):
    """What every source can say of itself."""

    @property
    def display(self) -> str:
        """What a person calls these weights: a repository id, a path."""

    @property
    def served_name(self) -> str:
        """The model name that clients send when the manifest gives none."""

    @property
    def revision_asked(self) -> str | None:
        """The branch, tag or commit to stage, where there is such a thing."""

    def canonical(self) -> Self:
        """One form for all ways to write the same source."""

    def to_dict(self) -> JsonObject: ...


@dataclass(frozen=True, slots=True)
class HubSource(View):
    """A repository of a hub."""

    DEFAULT_REVISION: ClassVar[str]

    repo: str
    revision: str | None = None
    endpoint: str | None = None
    secret_ref: SecretKeyRef | None = None
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None

    @property
    def display(self) -> str:
        """Return the repository's id."""
        return self.repo

    @property
    def served_name(self) -> str:
        """Return the repository's id, as vLLM would."""
        return self.repo

    @property
    def revision_asked(self) -> str | None:
        """Return the revision that is meant when none is written."""
        return self.revision or self.DEFAULT_REVISION

    def canonical(self) -> Self:
        """Write out what is meant, in order."""
        return replace(
            self,
            revision=self.revision_asked,
            endpoint=_without_slash(self.endpoint),
            include=_as_set(self.include) or None,  # an empty list is all files, as none is
            exclude=_as_set(self.exclude),
        )


@dataclass(frozen=True, slots=True)
class ModelScopeSource(HubSource):
    """A repository of the ModelScope hub, or of a server that speaks its REST API."""

    DEFAULT_REVISION = "master"


@dataclass(frozen=True, slots=True)
class HuggingFaceSource(HubSource):
    """A repository of the Hugging Face Hub, or of a mirror that speaks its HTTP API."""

    DEFAULT_REVISION = "main"


@dataclass(frozen=True, slots=True)
class HttpFile(View):
    """One file on a web server, and the name that it gets."""

    path: str
    url: str
    sha256: str


@dataclass(frozen=True, slots=True)
class HttpSource(View):
    """One archive on a web server, or a list of files."""

    url: str | None = None
    sha256: str | None = None
    files: tuple[HttpFile, ...] | None = None
    secret_ref: SecretKeyRef | None = None

    def __post_init__(self) -> None:
        if (self.url is None) == (not self.files) or (self.url is None) != (self.sha256 is None):
            raise ApiValueError("write url and sha256 of one archive, or files")

    @property
    def display(self) -> str:
        """Return host and model: the archive without its ending, or the folder of the first file."""
        address = (self.url or (self.files or ())[0].url).partition("://")[2].partition("?")[0]
        if self.url is None:
            return address.rpartition("/")[0]
        return _ARCHIVE.sub("", address)

    @property
    def served_name(self) -> str:
        """Return the archive's or the folder's name."""
        return _last_part(self.display)

    @property
    def revision_asked(self) -> str | None:
        """Return None: the sums are the revision."""
        return None

    def canonical(self) -> Self:
        """The files in order."""
        return replace(self, files=tuple(sorted(self.files, key=lambda file: file.path)) if self.files else None)


@dataclass(frozen=True, slots=True)
class S3Source(View):
    """The objects below a prefix of a bucket, of S3 or of a server that speaks its API."""

    bucket: str
    prefix: str | None = None
    endpoint: str | None = None
    region: str | None = None
    addressing_style: Literal["Path", "Virtual"] | None = None
    secret_ref: LocalReference | None = None
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None

    @property
    def display(self) -> str:
        """Return bucket and prefix."""
        return f"{self.bucket}/{self.prefix}" if self.prefix else self.bucket

    @property
    def served_name(self) -> str:
        """Return the last part of the prefix."""
        return _last_part(self.display)

    @property
    def revision_asked(self) -> str | None:
        """Return None: what lies there is the revision."""
        return None

    def canonical(self) -> Self:
        """Write globs in order."""
        return replace(
            self,
            endpoint=_without_slash(self.endpoint),
            include=_as_set(self.include) or None,
            exclude=_as_set(self.exclude),
        )


@dataclass(frozen=True, slots=True)
class PathSource(View):
    """Weights that somebody has already put on the claim."""

    path: str

    @property
    def display(self) -> str:
        """Return the path."""
        return self.path

    @property
    def served_name(self) -> str:
        """Return the folder's name."""
        return _last_part(self.path)

    @property
    def revision_asked(self) -> str | None:
        """Return None: what lies there is the revision."""
        return None

    def canonical(self) -> Self:
        """There is one way to write a path."""
        return self


@dataclass(frozen=True, slots=True)
class ModelSource(View):
    """Exactly one of the sources."""

    model_scope: ModelScopeSource | None = None
    hugging_face: HuggingFaceSource | None = None
    http: HttpSource | None = None
    s3: S3Source | None = None
    path: PathSource | None = None

    def __post_init__(self) -> None:
        if len(self._written) != 1:
            kinds = list(wire_names(ModelSource).values())
            raise ApiValueError(f"write exactly one of {', '.join(kinds[:-1])} or {kinds[-1]}")

    @property
    def kind(self) -> SourceKind:
        """The property that is set, in the API's words."""
        return cast(SourceKind, wire_names(ModelSource)[self._written[0]])

    @property
    def one(self) -> AnySource:
        """The source that is set."""
        source: AnySource = getattr(self, self._written[0])
        return source

    @property
    def display(self) -> str:
        """What a person calls these weights: the repository id, or the path."""
        return self.one.display

    @property
    def short_name(self) -> str:
        """The last part of `display`: the model's name without its owner or folder."""
        return _last_part(self.display)

    @property
    def default_served_name(self) -> str:
        """The model name that clients send when the manifest gives none."""
        return self.one.served_name

    @property
    def revision(self) -> str | None:
        """The branch, tag or commit to stage; a path has none."""
        return self.one.revision_asked

    def canonical(self) -> JsonObject:
        """Return one form for all ways to write the same source: what is hashed, and what a cache holds."""
        return {self.kind: self.one.canonical().to_dict()}

    @property
    def _written(self) -> list[str]:
        return [field.name for field in dataclasses.fields(self) if getattr(self, field.name) is not None]


@dataclass(frozen=True, slots=True)
class Storage(View):
    """The claim, and the folder on it, under which weights are staged."""

    claim_name: str
    sub_path: str | None = None


def _as_set(globs: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if globs is None else tuple(sorted(set(globs)))


def _without_slash(endpoint: str | None) -> str | None:
    return endpoint.rstrip("/") if endpoint else None


def _last_part(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
