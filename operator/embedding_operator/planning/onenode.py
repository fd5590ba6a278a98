"""A claim that one node at a time can mount: all pods on it, of whichever service or task, belong on one node.

Pods carry a label for such a claim, so that a scheduler puts them together. Where that cannot be, what waits says so.
"""

from collections.abc import Iterable, Sequence

from embedding_operator.api import names
from embedding_operator.api.json import JsonObject
from embedding_operator.planning.pods import node_of, phase_of


def beside(claim: str) -> JsonObject:
    """The affinity term for the node on which pods serve from the claim."""
    serving = {"key": names.SERVICE_LABEL, "operator": "Exists"}
    return {
        "labelSelector": {"matchLabels": names.claim_labels(claim), "matchExpressions": [serving]},
        "topologyKey": "kubernetes.io/hostname",
    }


def beside_any(claim: str) -> JsonObject:
    """The same for the pods of a job, which may be the first on the claim: any pod that has it mounted counts."""
    return {
        "labelSelector": {"matchLabels": names.claim_labels(claim)},
        "topologyKey": "kubernetes.io/hostname",
    }


def nodes(pods: Iterable[JsonObject]) -> list[str]:
    """Where pods have the claim mounted: all that run."""
    return sorted({node for pod in pods if phase_of(pod) == "Running" and (node := node_of(pod))})


def held_elsewhere(pods: Iterable[JsonObject], claim: str, holders: Sequence[str]) -> str | None:
    """Why a pod that has its node may never start there: the claim is mounted on another one."""
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"])):
        node = node_of(pod)
        elsewhere = sorted(set(holders) - {node})
        if node and elsewhere and phase_of(pod) == "Pending":
            return (
                f"pod {pod['metadata']['name']} is on node {node}, and pods on {', '.join(elsewhere[:3])} have mounted "
                f"claim {claim!r}, which one node can at a time: use a ReadWriteMany claim, or end those pods until it "
                "has started"
            )
    return None


def crowded(claim: str) -> str:
    """What a scheduler that finds no room does not say."""
    return (
        f"all pods on claim {claim!r} must be on one node, for it is not ReadWriteMany: use one that is, or make room "
        "on that node"
    )
