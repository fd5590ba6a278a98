"""The typed view of ModelCache: one revision of one model's weights on one volume."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from embedding_operator.api.codec import Quantity, View
from embedding_operator.api.conditions import Condition
from embedding_operator.api.meta import ConfigMapKeyRef, ObjectMeta, SecretKeyRef, StagerSecurityContext, Toleration
from embedding_operator.api.source import ModelSource, Storage

DeletionPolicy: TypeAlias = Literal["Retain", "Delete"]
Phase: TypeAlias = Literal["Listing", "Downloading", "Verifying", "Publishing"]


@dataclass(frozen=True, slots=True)
class Proxy(View):
    """In place of the site's proxies, all of them."""

    http: str | None = None
    https: str | None = None
    secret_ref: SecretKeyRef | None = None
    no_proxy: str | None = None


@dataclass(frozen=True, slots=True)
class Download(View):
    """How weights are fetched; the site says what is left out."""

    parallelism: int | None = None
    bytes_per_second: Quantity | None = None
    proxy: Proxy | None = None
    ca_bundle_ref: ConfigMapKeyRef | None = None


@dataclass(frozen=True, slots=True)
class Verify(View):
    """How often staged weights are read again, and how fast."""

    interval: str | None = None
    bytes_per_second: Quantity | None = None


@dataclass(frozen=True, slots=True)
class Stager(View):
    """Where and as whom the staging Job runs."""

    service_account_name: str | None = None
    node_selector: Mapping[str, str] | None = None
    tolerations: tuple[Toleration, ...] | None = None
    security_context: StagerSecurityContext | None = None


@dataclass(frozen=True, slots=True)
class ModelCacheSpec(View):
    """Which weights, on which volume."""

    source: ModelSource
    storage: Storage
    digest: str | None = None
    deletion_policy: DeletionPolicy | None = None
    ttl_after_unused: str | None = None
    verify: Verify = Verify()
    download: Download = Download()
    stager: Stager = Stager()


@dataclass(frozen=True, slots=True)
class Excluded(View):
    """What was left out, so that the saving can be told."""

    files: int | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Progress(View):
    """How far staging is; absent when nothing is being staged."""

    phase: Phase | None = None
    percent: int | None = None
    bytes: int | None = None
    total_bytes: int | None = None
    bytes_per_second: int | None = None
    seconds_left: int | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True)
class UserReference(View):
    """An object that uses the cache, in the same namespace."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class ModelCacheStatus(View):
    """What the operator says about the weights."""

    observed_generation: int | None = None
    conditions: tuple[Condition, ...] = ()
    revision: str | None = None
    digest: str | None = None
    path: str | None = None
    files: int | None = None
    bytes: int | None = None
    excluded: Excluded | None = None
    context_length: int | None = None
    progress: Progress | None = None
    used_by: tuple[UserReference, ...] | None = None
    started_at: str | None = None
    verified_at: str | None = None
    unused_since: str | None = None
    access_modes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ModelCache(View):
    """A stored ModelCache."""

    metadata: ObjectMeta
    spec: ModelCacheSpec
    status: ModelCacheStatus = ModelCacheStatus()
