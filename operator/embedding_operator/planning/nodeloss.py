"""How soon pods of a node that is lost are made anew on another one.

Kubernetes waits five minutes before it gives such pods up. A server has no state to lose, so these wait for a shorter
time; their endpoints are gone at once in any case.
"""

from collections.abc import Iterable

from embedding_operator.api.json import JsonObject

_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def tolerations(seconds: int, written: Iterable[JsonObject]) -> tuple[JsonObject, ...]:
    """Tolerations of a lost node for so long, but for a taint of which somebody has written how long already."""
    known = tuple(written)
    return tuple(
        {"key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}
        for taint in _TAINTS
        if not any(_tolerates(one, taint) for one in known)
    )


def _tolerates(one: JsonObject, taint: str) -> bool:
    return (one.get("effect") or "NoExecute") == "NoExecute" and (one.get("key") or taint) == taint
