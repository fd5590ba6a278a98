"""Over what replicas are spread: over nodes as far as there is room, or as the service says."""

from embedding_operator.api import names
from embedding_operator.api.json import JsonObject
from embedding_operator.api.service import TopologySpread

_OVER_NODES = (TopologySpread("kubernetes.io/hostname"),)
_OF_ONE_REVISION = ["pod-template-hash"]  # pods that a rollout is about to end are not counted


def constraints(service: str, wanted: tuple[TopologySpread, ...] | None) -> list[JsonObject]:
    """The topologySpreadConstraints of the pods; what a service asks for replaces what is done without it."""
    return [_constraint(service, one) for one in (_OVER_NODES if wanted is None else wanted)]


def _constraint(service: str, wanted: TopologySpread) -> JsonObject:
    """As in a pod. An entry without a selector counts the replicas of this service, those of one revision at a time."""
    counted: JsonObject = (
        {"labelSelector": {"matchLabels": names.service_selector(service)}, "matchLabelKeys": _OF_ONE_REVISION}
        if wanted.label_selector is None
        else {}
    )
    usual: JsonObject = {"maxSkew": 1, "topologyKey": wanted.topology_key, "whenUnsatisfiable": "ScheduleAnyway"}
    return usual | counted | wanted.to_dict()
