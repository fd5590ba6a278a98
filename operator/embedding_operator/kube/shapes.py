"""What planners read of each kind, as types: what they do not name is skipped where JSON is decoded.

That is most of what an API server sends (half of an object is its managedFields). The shapes keep Kubernetes' own names
and nesting. They say what is there, not of which type the values are: that is the API server's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final, TypedDict, get_type_hints

import msgspec


class Owner(TypedDict, total=False):
    apiVersion: Any
    kind: Any
    name: Any
    uid: Any
    controller: Any


class Metadata(TypedDict, total=False):
    name: Any
    namespace: Any
    uid: Any
    generation: Any
    resourceVersion: Any
    labels: Any
    annotations: Any
    deletionTimestamp: Any
    creationTimestamp: Any
    finalizers: Any
    ownerReferences: list[Owner] | None


class Whole(TypedDict, total=False):
    """A kind that nobody plans with."""

    apiVersion: Any
    kind: Any
    metadata: Metadata


class Own(Whole, total=False):
    spec: Any
    status: Any


class Condition(TypedDict, total=False):
    """Without lastUpdateTime, which moves with every pod that becomes ready; nobody decides anything by it."""

    type: Any
    status: Any
    reason: Any
    message: Any
    lastTransitionTime: Any


class DeploymentStatus(TypedDict, total=False):
    observedGeneration: Any
    replicas: Any
    updatedReplicas: Any
    readyReplicas: Any
    availableReplicas: Any
    unavailableReplicas: Any
    conditions: list[Condition] | None


class Deployment(Whole, total=False):
    spec: Any
    status: DeploymentStatus | None


class ServiceSpec(TypedDict, total=False):
    type: Any
    clusterIP: Any
    loadBalancerClass: Any
    loadBalancerSourceRanges: Any
    ports: Any
    selector: Any


class ServiceStatus(TypedDict, total=False):
    loadBalancer: Any


class Service(Whole, total=False):
    spec: ServiceSpec | None
    status: ServiceStatus | None


class ControllerRevision(Whole, total=False):
    data: Any
    revision: Any


class ConfigMap(Whole, total=False):
    data: Any
    immutable: Any


class JobSpec(TypedDict, total=False):
    suspend: Any
    parallelism: Any
    completions: Any
    activeDeadlineSeconds: Any


class JobStatus(TypedDict, total=False):
    active: Any
    ready: Any
    succeeded: Any
    failed: Any
    startTime: Any
    completionTime: Any
    completedIndexes: Any
    failedIndexes: Any
    conditions: list[Condition] | None


class Job(Whole, total=False):
    spec: JobSpec | None
    status: JobStatus | None


class Budget(Whole, total=False):
    """Without its status, which counts pods once more and wakes nobody."""

    spec: Any


class Policy(Whole, total=False):
    spec: Any


class Monitor(Whole, total=False):
    """Without its status, which says what each Prometheus makes of it, if at all."""

    spec: Any


class RouteCondition(TypedDict, total=False):
    type: Any
    status: Any
    reason: Any
    message: Any
    observedGeneration: Any


class RouteParent(TypedDict, total=False):
    parentRef: Any
    conditions: list[RouteCondition] | None


class RouteStatus(TypedDict, total=False):
    parents: list[RouteParent] | None


class Route(Whole, total=False):
    spec: Any
    status: RouteStatus | None


class Waiting(TypedDict, total=False):
    reason: Any
    message: Any


class Terminated(TypedDict, total=False):
    exitCode: Any
    signal: Any
    reason: Any
    message: Any
    finishedAt: Any


class Running(TypedDict):
    pass


class ContainerState(TypedDict, total=False):
    waiting: Waiting | None
    terminated: Terminated | None
    running: Running | None


class Container(TypedDict, total=False):
    name: Any
    ready: Any
    started: Any
    restartCount: Any
    state: ContainerState | None
    lastState: ContainerState | None
    allocatedResourcesStatus: Any


class PodCondition(TypedDict, total=False):
    type: Any
    status: Any
    reason: Any
    message: Any
    lastTransitionTime: Any


class PodStatus(TypedDict, total=False):
    phase: Any
    podIP: Any
    reason: Any
    message: Any
    conditions: list[PodCondition] | None
    initContainerStatuses: list[Container] | None
    containerStatuses: list[Container] | None


class PodSpec(TypedDict, total=False):
    nodeName: Any


class Pod(Whole, total=False):
    spec: PodSpec | None
    status: PodStatus | None


class ClaimSpec(TypedDict, total=False):
    storageClassName: Any
    accessModes: Any
    volumeName: Any


class ClaimStatus(TypedDict, total=False):
    phase: Any
    capacity: Any


class Claim(Whole, total=False):
    spec: ClaimSpec | None
    status: ClaimStatus | None


SHAPES: Final[Mapping[str, type]] = {
    "EmbeddingService": Own,
    "EmbeddingJob": Own,
    "ModelCache": Own,
    "RuntimeProfile": Own,
    "EmbeddingBenchmark": Own,
    "Deployment": Deployment,
    "Service": Service,
    "ControllerRevision": ControllerRevision,
    "ConfigMap": ConfigMap,
    "Job": Job,
    "PodDisruptionBudget": Budget,
    "NetworkPolicy": Policy,
    "HTTPRoute": Route,
    "PodMonitor": Monitor,
    "Pod": Pod,
    "PersistentVolumeClaim": Claim,
}


LARGE: Final = {"Deployment": "spec", "ControllerRevision": "data"}
"""What holds a pod template: decoded only where it is read."""


@cache
def decoded_shape_of(kind: str) -> Any:
    """The shape as which JSON is decoded: what is large stays text (msgspec.Raw)."""
    shape, large = shape_of(kind), LARGE.get(kind)
    if large is None:
        return shape
    fields = {**get_type_hints(shape), large: msgspec.Raw}
    return TypedDict(f"{kind}AsDecoded", fields, total=False)  # type: ignore[operator]


def shape_of(kind: str) -> type:
    """The shape of a kind; of one that nobody plans with, its name and metadata."""
    return SHAPES.get(kind, Whole)
