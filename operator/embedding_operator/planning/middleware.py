"""What a serving pod's middleware is told: variables of its environment, which only its parts read."""

from typing import NamedTuple

from embedding_operator.planning.resolve import Resolution


class Variable(NamedTuple):
    """One of them, and why it is there."""

    name: str
    value: str
    why: str


def environment(resolved: Resolution) -> tuple[Variable, ...]:
    """In the order in which they stand in the pod."""
    variables = [
        Variable(
            "EMBEDDING_OPERATOR_MAX_CONNECTION_AGE",
            str(resolved.connection_age_seconds),
            "spec.serving.maxConnectionAge in seconds (60s when left out): then a client comes back through the "
            "Service, and finds new replicas",
        )
    ]
    most = resolved.serving.max_in_flight
    if most is not None:
        why = "spec.serving.maxInFlight: more requests are answered with 503 at once, instead of late"
        variables.append(Variable("EMBEDDING_OPERATOR_MAX_IN_FLIGHT", str(most), why))
    return tuple(variables)
