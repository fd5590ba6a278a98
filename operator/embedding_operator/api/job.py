"""The typed view of EmbeddingJob: a data set to be turned into files of vectors or scores, and how far that is.

What a job has in common with a service (weights, runtime, scheduling) has the same views; `cache` is absent when the
weights come from a `cacheRef`, and all of it when a running service embeds.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from embedding_operator.api.codec import ApiValueError, Quantity, Share, View
from embedding_operator.api.conditions import Condition
from embedding_operator.api.meta import ConfigMapKeyRef, LocalReference, ObjectMeta, SecretKeyRef, StagerSecurityContext
from embedding_operator.api.service import (
    DeletionPolicy,
    DType,
    ModelStatus,
    Multimodal,
    Pooling,
    PromptFormat,
    ResolvedStatus,
    Runtime,
    Scheduling,
)
from embedding_operator.api.source import ModelSource

InputFormat: TypeAlias = Literal["JsonLines", "Parquet", "Text"]
OutputFormat: TypeAlias = Literal["Parquet", "Npy", "JsonLines"]
OutputDType: TypeAlias = Literal["Float32", "Float16"]
JobTask: TypeAlias = Literal["Embed", "Rerank"]


@dataclass(frozen=True, slots=True)
class JobModel(View):
    """Which weights, and what they are called in the manifest."""

    source: ModelSource | None = None
    cache_ref: LocalReference | None = None
    served_name: str | None = None

    def __post_init__(self) -> None:
        if (self.source is None) == (self.cache_ref is None):
            raise ApiValueError("write exactly one of source or cacheRef")


@dataclass(frozen=True, slots=True)
class ServiceReference(View):
    """The running service that embeds."""

    name: str
    max_in_flight: int | None = None
    api_key_secret_ref: SecretKeyRef | None = None
    ca_bundle_ref: ConfigMapKeyRef | None = None


@dataclass(frozen=True, slots=True)
class JobCache(View):
    """Where the weights are staged."""

    claim_name: str
    sub_path: str | None = None
    deletion_policy: DeletionPolicy | None = None
    ttl_after_unused: str | None = None
    security_context: StagerSecurityContext | None = None


@dataclass(frozen=True, slots=True)
class JobServing(View):
    """Knobs of the workers' servers."""

    max_model_len: int | None = None
    dtype: DType | None = None
    max_batched_tokens: int | None = None
    max_sequences: int | None = None
    pooling: Pooling = Pooling()
    prompt_format: PromptFormat | None = None
    multimodal: Multimodal = Multimodal()
    hang_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class PlaceSecret(View):
    """The Secret that opens an address; with a key, its one value."""

    name: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class JobInput(View):
    """The files that are read."""

    files: tuple[str, ...]
    format: InputFormat
    claim_name: str | None = None
    url: str | None = None
    endpoint: str | None = None
    region: str | None = None
    secret_ref: PlaceSecret | None = None
    id_field: str | None = None
    text_field: str | None = None
    image_field: str | None = None
    query_field: str | None = None
    document_field: str | None = None

    def __post_init__(self) -> None:
        if (self.claim_name is None) == (self.url is None):
            raise ApiValueError("write exactly one of claimName or url")


@dataclass(frozen=True, slots=True)
class JobOutput(View):
    """Where vectors go, and as what."""

    claim_name: str | None = None
    path: str | None = None
    url: str | None = None
    endpoint: str | None = None
    region: str | None = None
    secret_ref: LocalReference | None = None
    format: OutputFormat | None = None
    dtype: OutputDType | None = None
    dimensions: int | None = None
    security_context: StagerSecurityContext | None = None

    def __post_init__(self) -> None:
        if (self.claim_name is None) == (self.url is None):
            raise ApiValueError("write exactly one of claimName or url")


@dataclass(frozen=True, slots=True)
class EmbeddingJobSpec(View):
    """What the user wrote; all but suspend and parallelism for good."""

    input: JobInput
    output: JobOutput
    model: JobModel | None = None
    service_ref: ServiceReference | None = None
    task: JobTask | None = None
    cache: JobCache | None = None
    runtime: Runtime = Runtime()
    serving: JobServing = JobServing()
    scheduling: Scheduling = Scheduling()
    instruction: str | None = None
    truncate: bool | None = None
    parallelism: int | None = None
    shard_bytes: Quantity | None = None
    max_errors: Share | None = None
    suspend: bool | None = None
    ttl_seconds_after_finished: int | None = None
    active_deadline_seconds: int | None = None
    backoff_limit_per_index: int | None = None

    def __post_init__(self) -> None:
        if (self.model is None) == (self.service_ref is None):
            raise ApiValueError("write exactly one of model or serviceRef")
        if (self.model is not None and self.model.source is not None) != (self.cache is not None):
            raise ApiValueError("write cache with model.source, and without it none")


@dataclass(frozen=True, slots=True)
class Shards(View):
    """The pieces of the input."""

    total: int | None = None
    done: int | None = None
    reused: int | None = None


@dataclass(frozen=True, slots=True)
class Workers(View):
    """Who does them, as an Indexed Job counts: `completed` and `failed` are lists of ranges such as 0-4,7."""

    indexes: int | None = None
    active: int | None = None
    completed: str | None = None
    failed: str | None = None


@dataclass(frozen=True, slots=True)
class JobProgress(View):
    """How far it is, and how fast."""

    percent: int | None = None
    rows_per_second: int | None = None
    tokens_per_second: int | None = None
    seconds_left: int | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingJobStatus(View):
    """What the operator says; nothing in it changes while nothing happens."""

    observed_generation: int | None = None
    conditions: tuple[Condition, ...] = ()
    start_time: str | None = None
    completion_time: str | None = None
    key: str | None = None
    model: ModelStatus = ModelStatus()
    resolved: ResolvedStatus = ResolvedStatus()
    rows: int | None = None
    total_rows: int | None = None
    errors: int | None = None
    tokens: int | None = None
    total_bytes: int | None = None
    files: int | None = None
    output_bytes: int | None = None
    manifest: str | None = None
    errors_file: str | None = None
    shards: Shards = Shards()
    workers: Workers = Workers()
    progress: JobProgress = JobProgress()


@dataclass(frozen=True, slots=True)
class EmbeddingJob(View):
    """A stored EmbeddingJob."""

    metadata: ObjectMeta
    spec: EmbeddingJobSpec
    status: EmbeddingJobStatus = EmbeddingJobStatus()
