"""The parts that all kinds share: object metadata, references, and the pod fields that users may set.

Only what the operator reads is here; labels and annotations of users' objects are for reading, never for
copying to children.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from embedding_operator.api.codec import View


@dataclass(frozen=True, slots=True)
class OwnerReference(View):
    """Who owns an object, as the garbage collector sees it."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None
    block_owner_deletion: bool | None = None


@dataclass(frozen=True, slots=True)
class ObjectMeta(View):
    """The metadata of a stored object."""

    name: str
    namespace: str | None = None
    uid: str | None = None
    generation: int | None = None
    resource_version: str | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None
    finalizers: tuple[str, ...] | None = None
    owner_references: tuple[OwnerReference, ...] | None = None


@dataclass(frozen=True, slots=True)
class LocalReference(View):
    """Names an object in the same namespace."""

    name: str


@dataclass(frozen=True, slots=True)
class SecretKeyRef(View):
    """Names one key of a Secret in the same namespace."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class ConfigMapKeyRef(View):
    """Names one key of a ConfigMap in the same namespace."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class EnvVar(View):
    """One environment variable with its value as written."""

    name: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Toleration(View):
    """A pod's toleration, in Kubernetes' own words."""

    key: str | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class StagerSecurityContext(View):
    """Who the staging Job runs as; what a volume's owner may demand (an NFS export with squashing, say)."""

    run_as_user: int | None = None
    run_as_group: int | None = None
    supplemental_groups: tuple[int, ...] | None = None
    fs_group: int | None = None
