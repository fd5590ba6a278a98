"""What the cluster shows of one service, and how many pods it asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from embedding_operator.api.json import JsonObject
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.api.profile import RuntimeProfile
from embedding_operator.api.service import EmbeddingService
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.revision import Revision
from embedding_operator.planning.space import Measured
from embedding_operator.planning.vectors import Record


@dataclass(frozen=True, slots=True)
class Observed:
    """What the cluster shows of one service, read from the cache."""

    profiles: Mapping[str, RuntimeProfile]
    cache: ModelCache | None = None
    revisions: Sequence[Revision] = ()
    deployment: JsonObject | None = None
    has_budget: bool = False
    has_network_policy: bool = False
    route: JsonObject | None = None
    has_pod_monitor: bool = False
    absent: frozenset[str] = frozenset()  # optional kinds that this cluster does not have
    operator_namespace: str = "default"
    has_claim: bool = False
    pods: Sequence[JsonObject] = ()
    stuck: frozenset[str] = frozenset()  # pods that have been where they are for longer than is usual
    is_replacing: bool = False  # its Deployment gives a pod up first, in a rollout that is under way
    has_waited: bool = False  # its newest pods have lacked a device for long (rolling.PATIENCE)
    holders: Sequence[str] = ()  # where pods have the claim mounted, if one node at a time can
    script_sources: Mapping[str, str] = field(default_factory=dict)
    spaces: Mapping[str, Record | None] = field(default_factory=dict)  # recorded vectors, by ConfigMap
    measured: Mapping[str, Measured] = field(default_factory=dict)  # what pods give, by name
    may_follow: bool = False  # it is this service's turn to adopt what its profile says now
    may_come: bool = False  # what it refers to may be applied in a moment, so that its absence needs no person yet
    refused: PlanError | None = None  # what the API server or a stranger's object had against the last plan


def replicas_of(service: EmbeddingService) -> int:
    """How many pods there should be now."""
    if service.spec.suspend:
        return 0
    return 1 if service.spec.replicas is None else service.spec.replicas
