"""The typed view of EmbeddingService: what a user asked for, and what the operator says about it.

Groups without a meaning of their own (`runtime`, `serving`, ...) are always there, with `None` for what was
not written; `cache` is absent when the model comes from a `cacheRef`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from embedding_operator.api.codec import ApiValueError, IntOrPercent, Quantity, View
from embedding_operator.api.conditions import Condition
from embedding_operator.api.exposure import Exposure
from embedding_operator.api.json import JsonObject
from embedding_operator.api.meta import EnvVar, LocalReference, ObjectMeta, StagerSecurityContext, Toleration
from embedding_operator.api.source import ModelSource

DType: TypeAlias = Literal["Auto", "Float16", "BFloat16", "Float32"]
DeletionPolicy: TypeAlias = Literal["Retain", "Delete"]
AccessMode: TypeAlias = Literal["ReadWriteMany", "ReadWriteOnce"]
SpacePolicy: TypeAlias = Literal["Enforce", "Warn", "Off"]
RolloutStrategy: TypeAlias = Literal["Auto", "Surge", "Replace"]
Task: TypeAlias = Literal["Embed", "Rerank", "Classify"]
NodePolicy: TypeAlias = Literal["Honor", "Ignore"]
PromptFormat: TypeAlias = Literal["Raw", "Model"]
PoolingType: TypeAlias = Literal["Last", "Mean", "Cls"]


@dataclass(frozen=True, slots=True)
class Model(View):
    """Which weights, and under which names clients ask for them."""

    source: ModelSource | None = None
    cache_ref: LocalReference | None = None
    served_name: str | None = None
    aliases: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if (self.source is None) == (self.cache_ref is None):
            raise ApiValueError("write exactly one of source or cacheRef")


@dataclass(frozen=True, slots=True)
class ClaimTemplate(View):
    """A claim that the operator makes for this service."""

    size: Quantity
    storage_class_name: str | None = None
    access_modes: tuple[AccessMode, ...] | None = None


@dataclass(frozen=True, slots=True)
class Cache(View):
    """Where the weights are staged: an existing claim, or one to make."""

    claim_name: str | None = None
    claim_template: ClaimTemplate | None = None
    sub_path: str | None = None
    deletion_policy: DeletionPolicy | None = None
    ttl_after_unused: str | None = None
    security_context: StagerSecurityContext | None = None

    def __post_init__(self) -> None:
        if (self.claim_name is None) == (self.claim_template is None):
            raise ApiValueError("write exactly one of claimName or claimTemplate")


@dataclass(frozen=True, slots=True)
class Resources(View):
    """Requests and limits of the serving container."""

    requests: Mapping[str, Quantity] | None = None
    limits: Mapping[str, Quantity] | None = None


@dataclass(frozen=True, slots=True)
class PodMetadata(View):
    """More labels and annotations of the pods."""

    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class PodTemplate(View):
    """What is merged over the rendered pod, in Kubernetes' own words."""

    metadata: PodMetadata = PodMetadata()
    spec: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class Runtime(View):
    """The profile, and what this service wants different from it."""

    profile: str | None = None
    version: str | None = None
    image: str | None = None
    image_pull_secrets: tuple[LocalReference, ...] | None = None
    args: tuple[str, ...] | None = None
    env: tuple[EnvVar, ...] | None = None
    resources: Resources = Resources()
    pod_template: PodTemplate = PodTemplate()


@dataclass(frozen=True, slots=True)
class Parallelism(View):
    """Devices per pod."""

    tensor: int | None = None


@dataclass(frozen=True, slots=True)
class Pooling(View):
    """How one vector comes of the vectors of all tokens."""

    type: PoolingType | None = None
    normalize: bool | None = None


@dataclass(frozen=True, slots=True)
class Multimodal(View):
    """What one input may hold beside text, and from where."""

    images_per_prompt: int | None = None
    videos_per_prompt: int | None = None
    max_pixels: int | None = None
    allowed_media_domains: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Serving(View):
    """Knobs of the server: vLLM's own by its own names, and those of the middleware around it."""

    max_model_len: int | None = None
    dtype: DType | None = None
    max_batched_tokens: int | None = None
    max_sequences: int | None = None
    dimensions: int | None = None
    pooling: Pooling = Pooling()
    instruction: str | None = None
    prompt_format: PromptFormat | None = None
    multimodal: Multimodal = Multimodal()
    max_connection_age: str | None = None
    max_in_flight: int | None = None
    hang_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingSpace(View):
    """What becomes of a new pod whose vectors are others than those of before."""

    policy: SpacePolicy | None = None
    threshold: str | None = None


@dataclass(frozen=True, slots=True)
class Rollout(View):
    """How pods are replaced."""

    strategy: RolloutStrategy | None = None
    min_available: IntOrPercent | None = None
    drain_timeout: str | None = None
    revision_history_limit: int | None = None
    embedding_space: EmbeddingSpace = EmbeddingSpace()


@dataclass(frozen=True, slots=True)
class TopologySpread(View):
    """One of a pod's topologySpreadConstraints, in Kubernetes' own words."""

    topology_key: str
    max_skew: int | None = None
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] | None = None
    min_domains: int | None = None
    node_affinity_policy: NodePolicy | None = None
    node_taints_policy: NodePolicy | None = None
    label_selector: JsonObject | None = None
    match_label_keys: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Scheduling(View):
    """Where pods may run; joined with what the profile says."""

    node_selector: Mapping[str, str] | None = None
    tolerations: tuple[Toleration, ...] | None = None
    affinity: JsonObject | None = None
    topology_spread: tuple[TopologySpread, ...] | None = None
    priority_class_name: str | None = None
    scheduler_name: str | None = None
    node_loss_toleration: str | None = None


@dataclass(frozen=True, slots=True)
class Monitoring(View):
    """Who gathers the servers' metrics."""

    pod_monitor: bool | None = None
    labels: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingServiceSpec(View):
    """What the user wrote."""

    model: Model
    task: Task | None = None
    cache: Cache | None = None
    runtime: Runtime = Runtime()
    parallelism: Parallelism = Parallelism()
    serving: Serving = Serving()
    replicas: int | None = None
    rollout: Rollout = Rollout()
    exposure: Exposure = Exposure()
    scheduling: Scheduling = Scheduling()
    monitoring: Monitoring = Monitoring()
    suspend: bool | None = None

    def __post_init__(self) -> None:
        if (self.model.cache_ref is None) == (self.cache is None):
            raise ApiValueError("write cache with model.source, or model.cacheRef without cache")


@dataclass(frozen=True, slots=True)
class ModelStatus(View):
    """The weights that are served."""

    cache: str | None = None
    revision: str | None = None
    digest: str | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingSpaceStatus(View):
    """The recorded vectors that the pods' are held against."""

    id: str | None = None
    dimensions: int | None = None


@dataclass(frozen=True, slots=True)
class ResolvedStatus(View):
    """What came of spec, profile and built-in defaults."""

    image: str | None = None
    vllm: str | None = None
    dtype: str | None = None
    resource_name: str | None = None
    profile: str | None = None
    chip: str | None = None
    family: str | None = None
    task: str | None = None
    prompt_format: str | None = None
    context_length: int | None = None
    args: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingServiceStatus(View):
    """What the operator says; nothing in it changes while nothing happens."""

    observed_generation: int | None = None
    conditions: tuple[Condition, ...] = ()
    replicas: int | None = None
    ready_replicas: int | None = None
    selector: str | None = None
    endpoint: str | None = None
    model: ModelStatus = ModelStatus()
    embedding_space: EmbeddingSpaceStatus = EmbeddingSpaceStatus()
    resolved: ResolvedStatus = ResolvedStatus()


@dataclass(frozen=True, slots=True)
class EmbeddingService(View):
    """A stored EmbeddingService."""

    metadata: ObjectMeta
    spec: EmbeddingServiceSpec
    status: EmbeddingServiceStatus = EmbeddingServiceStatus()
