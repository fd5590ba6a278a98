"""The network of one cluster: addresses, namespaces, links and routes.

All links meet on a bridge inside the control plane's namespace, so the host sees one link per cluster and
no iptables rule. The host reaches nodes, pods and (through the kube-proxy beside the control plane)
Services. Nodes have no route out: images are imported, and what is not on the cluster fails at once.
"""

from __future__ import annotations

import ipaddress
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import ClusterError

MAX_CLUSTERS = 16
_BRIDGE = "br0"


@dataclass(frozen=True)
class Network:
    """Everything that follows from a cluster's name and number."""

    name: str
    index: int

    @property
    def link(self) -> str:
        """The host's link; also what marks the number as taken."""
        return f"eo{self.index}"

    @property
    def control_plane_netns(self) -> str:
        return f"eo-{self.name}-cp"

    def node_netns(self, number: int) -> str:
        return f"eo-{self.name}-{number}"

    @property
    def prefix(self) -> str:
        return f"10.{192 + self.index}.0"

    @property
    def node_cidr(self) -> str:
        return f"{self.prefix}.0/24"

    @property
    def control_plane_ip(self) -> str:
        return f"{self.prefix}.1"

    @property
    def host_ip(self) -> str:
        return f"{self.prefix}.254"

    def node_ip(self, number: int) -> str:
        return f"{self.prefix}.{10 + number}"

    @property
    def pod_cidr(self) -> str:
        return f"10.{64 + self.index}.0.0/16"

    def node_pod_cidr(self, number: int) -> str:
        return f"10.{64 + self.index}.{number}.0/24"

    @property
    def service_cidr(self) -> str:
        return f"10.{128 + self.index}.0.0/16"

    @property
    def first_service_ip(self) -> str:
        return f"10.{128 + self.index}.0.1"

    @property
    def dns_ip(self) -> str:
        return f"10.{128 + self.index}.0.10"

    def create(self, nodes: int) -> None:
        """Make all namespaces, links and routes."""
        center = self.control_plane_netns
        _namespace(center)
        _write_sysctl(center, "net/bridge/bridge-nf-call-iptables", "0")  # this bridge is a switch, no firewall
        _ip(f"-n {center} link add {_BRIDGE} type bridge")
        _ip(f"-n {center} addr add {self.control_plane_ip}/24 dev {_BRIDGE}")
        _ip(f"-n {center} link set {_BRIDGE} up")
        _ip(f"link add {self.link} type veth peer name host netns {center}")
        _plug(center, "host")
        _ip(f"addr add {self.host_ip}/24 dev {self.link}")
        _ip(f"link set {self.link} up")
        _ip(f"route add {self.service_cidr} via {self.control_plane_ip}")
        for number in range(1, nodes + 1):
            self._create_node(number)
        for number in range(1, nodes + 1):
            self._route_pods(number, nodes)

    def _create_node(self, number: int) -> None:
        center, node = self.control_plane_netns, self.node_netns(number)
        _namespace(node)
        _ip(f"-n {center} link add node{number} type veth peer name eth0 netns {node}")
        _plug(center, f"node{number}")
        _ip(f"-n {node} addr add {self.node_ip(number)}/24 dev eth0")
        _ip(f"-n {node} link set eth0 up")
        # A Service's address is rewritten on its way out, after the kernel has looked for a route.
        _ip(f"-n {node} route add {self.service_cidr} via {self.control_plane_ip}")

    def _route_pods(self, number: int, nodes: int) -> None:
        route = f"route add {self.node_pod_cidr(number)} via {self.node_ip(number)}"
        _ip(route)
        _ip(f"-n {self.control_plane_netns} {route}")
        for other in range(1, nodes + 1):
            if other != number:
                _ip(f"-n {self.node_netns(other)} {route}")

    def delete(self) -> None:
        """Remove what ``create`` made, whole or in part; links and routes go with their namespaces."""
        for netns in self.namespaces():
            _ip(f"netns delete {netns}")
        if self.link in _links():
            _ip(f"link delete {self.link}")

    def namespaces(self) -> list[str]:
        """Those of this cluster that exist."""
        directory = Path("/run/netns")
        ours = (path.name for path in directory.glob(f"eo-{self.name}-*"))
        suffixes = {"cp", *(str(number) for number in range(1, 100))}
        return sorted(netns for netns in ours if netns.removeprefix(f"eo-{self.name}-") in suffixes)

    def processes(self) -> list[int]:
        """Pids that live in the cluster's namespaces (those in pods are children of these)."""
        pids: list[int] = []
        for netns in self.namespaces():
            pids += [int(pid) for pid in _ip(f"netns pids {netns}").split()]
        return pids


def free_network(name: str, taken: set[int]) -> Network:
    """A network whose ranges nobody on this machine uses."""
    routes = [ipaddress.ip_network(route) for route in _routes()]
    links = _links()
    for index in range(MAX_CLUSTERS):
        network = Network(name, index)
        ranges = [ipaddress.ip_network(r) for r in (network.node_cidr, network.pod_cidr, network.service_cidr)]
        used = any(mine.overlaps(other) for mine in ranges for other in routes)
        if index not in taken and network.link not in links and not used:
            return network
    raise ClusterError(f"no free address range for a cluster: {MAX_CLUSTERS} tried; take one down")


def _routes() -> list[str]:
    found = json.loads(_ip("-4 -j route show") or "[]")
    return [route["dst"] for route in found if route["dst"] != "default"]


def _links() -> set[str]:
    return {link["ifname"] for link in json.loads(_ip("-j link show"))}


def _namespace(netns: str) -> None:
    _ip(f"netns add {netns}")
    _ip(f"-n {netns} link set lo up")
    _write_sysctl(netns, "net/ipv4/ip_forward", "1")


def _write_sysctl(netns: str, name: str, value: str) -> None:
    """Set a setting of the namespace, where the kernel has it."""
    script = f"test ! -e /proc/sys/{name} || echo {value} > /proc/sys/{name}"
    subprocess.run(["nsenter", f"--net=/run/netns/{netns}", "sh", "-c", script], check=True)


def _plug(netns: str, link: str) -> None:
    _ip(f"-n {netns} link set {link} master {_BRIDGE}")
    _ip(f"-n {netns} link set {link} up")


def _ip(arguments: str) -> str:
    done = subprocess.run(["ip", *arguments.split()], capture_output=True, text=True)
    if done.returncode:
        raise ClusterError(f"ip {arguments}: {done.stderr.strip()}")
    return done.stdout
