"""What stands in front of the pods: the Service, and the disruption budget that keeps some of them."""

from embedding_operator.api import names
from embedding_operator.api.json import JsonObject

DEFAULT_PORT = 8000


def service_object(metadata: JsonObject, service: str, *, service_type: str, port: int) -> JsonObject:
    """The Service; its port leads to the container's port `http`."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": service_type,
            "selector": names.service_selector(service),
            "ports": [{"name": "http", "port": port, "targetPort": "http", "protocol": "TCP", "appProtocol": "http"}],
        },
    }


def disruption_budget(metadata: JsonObject, service: str) -> JsonObject:
    """One pod at a time may be evicted; pods that never became ready do not block a node's drain."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata,
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": names.service_selector(service)},
        },
    }


def endpoint(service: str, namespace: str, port: int) -> str:
    """The address of the OpenAI-compatible API inside the cluster."""
    return f"http://{service}.{namespace}.svc:{port}/v1"
