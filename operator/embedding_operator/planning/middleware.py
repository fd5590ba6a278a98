"""What a serving pod's middleware is told: variables of its environment, which only its parts read."""

from embedding_operator.planning import prompts
from embedding_operator.planning.resolve import Resolution
from embedding_operator.planning.trust import KEYS_PATH


def environment(resolved: Resolution) -> tuple[tuple[str, str, str], ...]:
    """As (name, value, why), in the order in which they stand in the pod."""
    variables = [
        (
            "EMBEDDING_OPERATOR_MAX_CONNECTION_AGE",
            str(resolved.connection_age_seconds),
            "spec.serving.maxConnectionAge in seconds (60s when left out): then a client comes back through the "
            "Service, and finds new replicas",
        )
    ]
    most = resolved.serving.max_in_flight
    if most is not None:
        why = "spec.serving.maxInFlight: more requests are answered with 503 at once, instead of late"
        variables.append(("EMBEDDING_OPERATOR_MAX_IN_FLIGHT", str(most), why))
    if resolved.api_keys is not None:
        why = "spec.exposure.apiKeySecretRef: where the keys are, without one of which nobody is let in"
        variables.append(("EMBEDDING_OPERATOR_API_KEYS", KEYS_PATH, why))
    if resolved.prompt is not None:
        why = "the model's prompt format, or the instruction that rankings get: spec.serving.promptFormat, instruction"
        variables.append((prompts.SETTING, resolved.prompt.value, why))
    hang = resolved.serving.hang_seconds
    if hang is not None:
        why = "spec.serving.hangSeconds: a server that completed nothing for so long while requests waited hangs"
        variables.append(("EMBEDDING_OPERATOR_HANG_SECONDS", str(hang), why))
    return tuple(variables)
