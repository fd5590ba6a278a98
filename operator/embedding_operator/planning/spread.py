"""Over what replicas are spread: over nodes as far as there is room, or as the service says."""

from collections.abc import Mapping

from embedding_operator.api import names
from embedding_operator.api.json import JsonObject
from embedding_operator.api.service import TopologySpread

_OVER_NODES = (TopologySpread("kubernetes.io/hostname"),)
_OF_ONE_REVISION = ["pod-template-hash"]  # pods that a rollout is about to end are not counted


def constraints(service: str, wanted: tuple[TopologySpread, ...] | None) -> list[JsonObject]:
    """The topologySpreadConstraints of the pods; what a service asks for replaces what is done without it."""
    selector, keys = names.service_selector(service), {"matchLabelKeys": _OF_ONE_REVISION}
    return [_constraint(selector, keys, one) for one in (_OVER_NODES if wanted is None else wanted)]


def constraints_of_job(job: str, wanted: tuple[TopologySpread, ...] | None) -> list[JsonObject]:
    """The same of the workers of an EmbeddingJob, which have no revisions."""
    return [_constraint(names.job_selector(job), {}, one) for one in (_OVER_NODES if wanted is None else wanted)]


def _constraint(selector: Mapping[str, str], keys: Mapping[str, object], wanted: TopologySpread) -> JsonObject:
    """As in a pod. An entry without a selector counts the pods of the same service or job, of a service those of one
    revision at a time."""
    own = wanted.label_selector is None
    counted: JsonObject = {"labelSelector": {"matchLabels": dict(selector)}, **keys} if own else {}
    usual: JsonObject = {"maxSkew": 1, "topologyKey": wanted.topology_key, "whenUnsatisfiable": "ScheduleAnyway"}
    return usual | counted | wanted.to_dict()
