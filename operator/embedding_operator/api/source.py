"""Where a model's weights come from, and on which volume they lie.

Adding a source means one dataclass here, one field of ModelSource, and its stager; nothing else asks which
it is.
"""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from embedding_operator.api.codec import ApiValueError, View
from embedding_operator.api.json import JsonObject
from embedding_operator.api.meta import SecretKeyRef

DEFAULT_REVISION = "master"
SourceKind: TypeAlias = Literal["modelScope", "path"]


@dataclass(frozen=True, slots=True)
class ModelScopeSource(View):
    """A repository of the ModelScope hub, or of a server that speaks its REST API."""

    repo: str
    revision: str | None = None
    endpoint: str | None = None
    secret_ref: SecretKeyRef | None = None
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class PathSource(View):
    """Weights that somebody has already put on the claim."""

    path: str


@dataclass(frozen=True, slots=True)
class ModelSource(View):
    """Exactly one of the sources."""

    model_scope: ModelScopeSource | None = None
    path: PathSource | None = None

    def __post_init__(self) -> None:
        if (self.model_scope is None) == (self.path is None):
            raise ApiValueError("write exactly one of modelScope or path")

    @property
    def kind(self) -> SourceKind:
        """The property that is set, in the API's words."""
        return "modelScope" if self.model_scope else "path"

    @property
    def display(self) -> str:
        """What a person calls these weights: the repository id, or the path."""
        return self.model_scope.repo if self.model_scope else self._path

    @property
    def short_name(self) -> str:
        """The last part of `display`: the model's name without its owner or folder."""
        return self.display.rstrip("/").rpartition("/")[2]

    @property
    def default_served_name(self) -> str:
        """The model name that clients send when the manifest gives none."""
        return self.model_scope.repo if self.model_scope else self.short_name

    @property
    def revision(self) -> str | None:
        """The branch, tag or commit to stage; a path has none."""
        return (self.model_scope.revision or DEFAULT_REVISION) if self.model_scope else None

    def canonical(self) -> JsonObject:
        """Return one form for all ways to write the same source: what is hashed, and what a cache holds."""
        if self.model_scope is None:
            return self.to_dict()
        hub = self.model_scope
        endpoint = hub.endpoint.rstrip("/") if hub.endpoint else None
        return ModelSource(
            model_scope=replace(
                hub,
                revision=self.revision,
                endpoint=endpoint,
                include=_as_set(hub.include) or None,  # an empty list is all files, as none is
                exclude=_as_set(hub.exclude),
            )
        ).to_dict()

    @property
    def _path(self) -> str:
        assert self.path is not None  # __post_init__ saw to it
        return self.path.path


@dataclass(frozen=True, slots=True)
class Storage(View):
    """The claim, and the folder on it, under which weights are staged."""

    claim_name: str
    sub_path: str | None = None


def _as_set(globs: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if globs is None else tuple(sorted(set(globs)))
