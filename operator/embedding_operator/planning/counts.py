"""Replicas as a Deployment counts them, and what its controller says of those that it could not make."""

from dataclasses import dataclass

from embedding_operator.api.json import JsonObject
from embedding_operator.planning.pods import condition_of


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts are of the generation that its controller saw last: of the newest one where it is settled."""

    total: int = 0
    ready: int = 0
    updated: int = 0
    settled: bool = False  # the Deployment's controller has seen its newest spec
    overdue: str = ""  # its words about an exceeded deadline, once it has seen that spec
    refused: str = ""  # its words about pods that it may not make (a quota, an admission rule)

    @property
    def has_old(self) -> bool:
        """Whether pods of a former template are left."""
        return self.settled and self.updated < self.total


def counts_of(deployment: JsonObject | None) -> Counts:
    """What its status says; nothing where there is none yet."""
    if deployment is None:
        return Counts()
    status = deployment.get("status") or {}
    settled = (status.get("observedGeneration") or 0) >= (deployment["metadata"].get("generation") or 1)
    progress, failure = (condition_of(deployment, kind) for kind in ("Progressing", "ReplicaFailure"))
    # before its controller has seen a mended spec, the words are about the one before: Stalled would be untrue
    is_overdue = settled and progress.get("reason") == "ProgressDeadlineExceeded"
    return Counts(
        total=status.get("replicas") or 0,
        ready=status.get("readyReplicas") or 0,
        updated=status.get("updatedReplicas") or 0,
        settled=settled,
        overdue=str(progress.get("message") or "no progress") if is_overdue else "",
        refused=str(failure.get("message") or "refused") if failure.get("status") == "True" else "",
    )
