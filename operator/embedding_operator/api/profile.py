"""The typed view of RuntimeProfile: what an administrator says about a kind of node, for all services."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from embedding_operator.api.codec import Quantity, View, named
from embedding_operator.api.meta import EnvVar, LocalReference, ObjectMeta, Toleration
from embedding_operator.api.names import DEFAULT_PROFILE_ANNOTATION
from embedding_operator.api.service import DType

AcceleratorType: TypeAlias = Literal["Ascend", "None"]
RuntimeName: TypeAlias = Literal["vllm", "vllm-ascend"]
RolloutPolicy: TypeAlias = Literal["Pinned", "Follow"]
PullPolicy: TypeAlias = Literal["Always", "IfNotPresent", "Never"]


@dataclass(frozen=True, slots=True)
class Accelerator(View):
    """The devices of these nodes."""

    type: AcceleratorType
    chip: str | None = None
    resource_name: str | None = None
    allowed_counts: tuple[int, ...] | None = None
    memory_gib: int | None = named("memoryGiB")
    slice: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class ProfileRuntime(View):
    """The server's software and its image."""

    name: RuntimeName
    version: str
    image: str
    image_pull_policy: PullPolicy | None = None
    image_pull_secrets: tuple[LocalReference, ...] | None = None


@dataclass(frozen=True, slots=True)
class ResourcesPerDevice(View):
    """What a pod gets of the node for each device; without devices, for the pod."""

    cpu: Quantity | None = None
    memory: Quantity | None = None


@dataclass(frozen=True, slots=True)
class ProfilePod(View):
    """What pods need on these nodes."""

    node_selector: Mapping[str, str] | None = None
    tolerations: tuple[Toleration, ...] | None = None
    runtime_class_name: str | None = None
    scheduler_name: str | None = None
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None
    host_mounts: tuple[str, ...] | None = None
    resources_per_device: ResourcesPerDevice = ResourcesPerDevice()
    shared_memory: Quantity | None = None
    read_only_root_filesystem: bool | None = None
    env: tuple[EnvVar, ...] | None = None


@dataclass(frozen=True, slots=True)
class ProfileServing(View):
    """What the server is told on these nodes unless a service says otherwise."""

    dtype: DType | None = None
    args: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ProfileRollout(View):
    """Whether services adopt a change of the profile by themselves, and how many at a time."""

    policy: RolloutPolicy | None = None
    max_concurrent: int | None = None


@dataclass(frozen=True, slots=True)
class RuntimeProfileSpec(View):
    """The facts of a site."""

    accelerator: Accelerator
    runtime: ProfileRuntime
    pod: ProfilePod = ProfilePod()
    serving: ProfileServing = ProfileServing()
    rollout: ProfileRollout = ProfileRollout()


@dataclass(frozen=True, slots=True, eq=False)
class RuntimeProfile(View):
    """A stored RuntimeProfile. One is the same as itself alone, so that what is worked out of it can be remembered."""

    metadata: ObjectMeta
    spec: RuntimeProfileSpec

    @property
    def is_default(self) -> bool:
        """Whether services that name no profile take this one."""
        return (self.metadata.annotations or {}).get(DEFAULT_PROFILE_ANNOTATION) == "true"

    @property
    def follows(self) -> bool:
        """Whether its services adopt a change of it by themselves."""
        return self.spec.rollout.policy == "Follow"
