"""The Deployment of a service: replicas and rollout around a stored pod template."""

from embedding_operator.api import names
from embedding_operator.api.json import JsonObject

_DEADLINE = 2400  # seconds without progress; above the startup budget of one pod


def deployment(metadata: JsonObject, service: str, *, template: JsonObject, replicas: int, surge: bool) -> JsonObject:
    """`surge` adds a pod before it takes one away; without it a pod goes first, since devices are scarce."""
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
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}
                if surge
                else {"maxSurge": 0, "maxUnavailable": 1},
            },
            "template": template,
        },
    }
