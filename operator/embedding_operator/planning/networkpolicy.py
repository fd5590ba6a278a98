"""Who may reach the pods: a NetworkPolicy, where a service names its clients.

It guards the server's port and says nothing of what pods reach themselves. Kubelets reach the pods of their node in any
case, so probes need no rule.
"""

from embedding_operator.api import names
from embedding_operator.api.exposure import NetworkPolicy
from embedding_operator.api.json import JsonObject
from embedding_operator.planning.flags import SERVER_PORT


def network_policy(metadata: JsonObject, service: str, wanted: NetworkPolicy, *, operator_namespace: str) -> JsonObject:
    """The given peers, and the operator, which asks pods what they serve."""
    operator = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": operator_namespace}},
        "podSelector": {"matchLabels": {names.NAME_LABEL: names.FIELD_MANAGER}},
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {
            "podSelector": {"matchLabels": names.service_selector(service)},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [*(peer.to_dict() for peer in wanted.from_), operator],
                    "ports": [{"protocol": "TCP", "port": SERVER_PORT}],
                }
            ],
        },
    }
