"""What runs beside the control plane of a cluster with nodes: scheduler, CoreDNS and a kube-proxy.

The kube-proxy there gives the API server's webhooks, and the host, a way to Service addresses.
"""

from __future__ import annotations

import json

from tests.cluster import nodeconfig
from tests.cluster.controlplane import ControlPlane
from tests.cluster.network import Network

# Names of the world outside do not exist here, and clients learn it at once: a server failure, which is what
# a server without the second block answers, would be retried for seconds.
_COREFILE = """cluster.local in-addr.arpa ip6.arpa {{
    bind {address}
    errors
    ready {address}:8181
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
    }}
    cache 5
}}
. {{
    bind {address}
    template ANY ANY . {{
        rcode NXDOMAIN
    }}
}}
"""


def start_services(control_plane: ControlPlane, network: Network) -> None:
    """Apply the objects that they need and start all three."""
    directory = control_plane.directory
    control_plane.kubectl("apply", "-f", "-", input=json.dumps(_dns_objects(network)))
    scheduler = control_plane.write_kubeconfig(directory / "scheduler.kubeconfig", "system:kube-scheduler")
    dns = control_plane.write_kubeconfig(directory / "coredns.kubeconfig", "system:coredns")
    proxy = control_plane.write_kubeconfig(directory / "kube-proxy.kubeconfig", "system:kube-proxy")
    corefile = directory / "Corefile"
    corefile.write_text(_COREFILE.format(address=network.control_plane_ip, kubeconfig=dns))
    proxy_config = directory / "kube-proxy.yaml"
    # It has no node of its own; any name does, and a real one spares it the wait for an unknown one.
    proxy_config.write_text(json.dumps(nodeconfig.kube_proxy_config(network, "node-1", str(proxy))))
    commands = {
        "kube-scheduler": [f"--kubeconfig={scheduler}", "--leader-elect=false", "--bind-address=127.0.0.1"],
        "coredns": ["-conf", str(corefile)],
        "kube-proxy": [f"--config={proxy_config}"],
    }
    for name, arguments in commands.items():
        control_plane.launch(name, arguments)


def _dns_objects(network: Network) -> dict[str, object]:
    """Rights for CoreDNS, and a Service without selector whose one endpoint is the process."""
    service = {"name": "kube-dns", "namespace": "kube-system"}
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    items: list[dict[str, object]] = [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "system:coredns"},
            "rules": [
                {
                    "apiGroups": [""],
                    "resources": ["endpoints", "services", "pods", "namespaces"],
                    "verbs": ["list", "watch"],
                },
                {
                    "apiGroups": ["discovery.k8s.io"],
                    "resources": ["endpointslices"],
                    "verbs": ["list", "watch"],
                },
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "system:coredns"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "system:coredns",
            },
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:coredns"}],
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": service,
            "spec": {"clusterIP": network.dns_ip, "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": service | {"labels": {"kubernetes.io/service-name": "kube-dns"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [network.control_plane_ip], "conditions": {"ready": True}}],
            "ports": ports,
        },
    ]
    return {"apiVersion": "v1", "kind": "List", "items": items}
