"""What stands in front of the pods: the Service, and the disruption budget that keeps some of them."""

from embedding_operator.api import names
from embedding_operator.api.exposure import Exposure
from embedding_operator.api.json import JsonObject

_DEFAULT_PORT = 8000


def service_object(metadata: JsonObject, service: str, exposure: Exposure) -> JsonObject:
    """The Service; its port leads to the container's port `http`. What is not written is left to the API server."""
    exposed = exposure.service
    annotations = {"annotations": dict(exposed.annotations)} if exposed.annotations else {}
    node_port = {"nodePort": exposed.node_port} if exposed.node_port else {}
    written: JsonObject = {
        "clusterIP": exposed.cluster_ip,
        "loadBalancerClass": exposed.load_balancer_class,
        "loadBalancerSourceRanges": list(exposed.load_balancer_source_ranges or ()),
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata | annotations,
        "spec": {
            "type": exposed.type or "ClusterIP",
            **{field: value for field, value in written.items() if value},
            "selector": names.service_selector(service),
            "ports": [
                {
                    "name": "http",
                    "port": port_of(exposure),
                    "targetPort": "http",
                    "protocol": "TCP",
                    "appProtocol": _scheme_of(exposure),
                    **node_port,
                }
            ],
        },
    }


def disruption_budget(metadata: JsonObject, service: str, keeps: JsonObject) -> JsonObject:
    """How many pods stay when nodes are drained; pods that never became ready do not block that."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata,
        "spec": {
            **keeps,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": names.service_selector(service)},
        },
    }


def port_of(exposure: Exposure) -> int:
    """The Service's port."""
    return exposure.service.port or _DEFAULT_PORT


def endpoint(service: str, namespace: str, exposure: Exposure) -> str:
    """The address of the OpenAI-compatible API inside the cluster."""
    return f"{_scheme_of(exposure)}://{service}.{namespace}.svc:{port_of(exposure)}/v1"


def _scheme_of(exposure: Exposure) -> str:
    """What the pods speak."""
    return "https" if exposure.tls.secret_ref else "http"
