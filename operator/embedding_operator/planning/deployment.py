"""The Deployment of a service: replicas and rollout around a stored pod template."""

from embedding_operator.api import names
from embedding_operator.api.json import JsonObject
from embedding_operator.planning.rolling import Rolling

_DEADLINE = 2400  # seconds without progress; above the startup budget of one pod


def deployment(
    metadata: JsonObject, service: str, *, template: JsonObject, replicas: int, rolling: Rolling
) -> JsonObject:
    """What the Deployment's controller needs to know; it does the rest."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": _DEADLINE,
            "selector": {"matchLabels": names.service_selector(service)},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": rolling.max_surge, "maxUnavailable": rolling.max_unavailable},
            },
            "template": template,
        },
    }
