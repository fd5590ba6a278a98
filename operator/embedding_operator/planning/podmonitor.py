"""How a Prometheus of the Prometheus Operator finds the servers: a PodMonitor, and what is told of it.

Series get the label `service` beside `namespace` and `pod`, as the dashboard of the servers asks for them. `/metrics`
wants no API key, so no Secret is named. docs/monitoring.md has the same for a Prometheus without that operator.
"""

from collections.abc import Mapping

from embedding_operator.api import names
from embedding_operator.api.conditions import Reason
from embedding_operator.api.json import JsonObject

POD_MONITOR = "PodMonitor"
# names.SERVICE_LABEL and names.SCHEME_ANNOTATION, as Prometheus calls them
SERVICE = "__meta_kubernetes_pod_label_embedding_operator_io_service"
SCHEME = "__meta_kubernetes_pod_annotation_embedding_operator_io_scheme"


def pod_monitor(metadata: JsonObject, service: str, labels: Mapping[str, str]) -> JsonObject:
    """The PodMonitor of a service's pods. `labels` are those by which a Prometheus chooses monitors."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": POD_MONITOR,
        "metadata": metadata | {"labels": {**labels, **metadata["labels"]}},
        "spec": {
            "selector": {"matchLabels": names.service_selector(service)},
            "podMetricsEndpoints": [
                {
                    "port": "http",
                    "path": "/metrics",
                    "relabelings": [
                        {"action": "replace", "sourceLabels": [SERVICE], "targetLabel": "service"},
                        # each pod says what it speaks, so that none is lost while TLS is turned on or off
                        {
                            "action": "replace",
                            "sourceLabels": [SCHEME],
                            "regex": "HTTPS",
                            "targetLabel": "__scheme__",
                            "replacement": "https",
                        },
                    ],
                    # as probes: the certificate names the Service, a scrape asks a pod's address and brings no secret
                    "tlsConfig": {"insecureSkipVerify": True},
                }
            ],
        },
    }


def monitored(*, installed: bool, made: bool) -> tuple[bool, Reason, str]:
    """Whether there is a PodMonitor for Prometheus to find, and if not, why."""
    if not installed:
        return (
            False,
            Reason.PROMETHEUS_OPERATOR_NOT_INSTALLED,
            "this cluster serves no PodMonitor of monitoring.coreos.com/v1, or not to the operator: install the "
            "Prometheus Operator, which is looked for every 10 minutes, or remove spec.monitoring.podMonitor",
        )
    if not made:
        return False, Reason.PENDING, "the PodMonitor is not made yet"
    return (
        True,
        Reason.POD_MONITOR_MADE,
        "the PodMonitor is made; which Prometheus takes it is up to its podMonitorSelector and namespaces",
    )
