"""A cluster of real kubelets on this machine: made by ``Cluster.up``, found again by ``Cluster.attach``.

It needs root. Nothing of it remains after ``down``, and ``up`` first removes what a crash left behind.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import packages, processes, services, state, storage
from tests.cluster.binaries import ensure_binaries
from tests.cluster.cache import cache_dir, locked
from tests.cluster.cleanup import clean_up, clean_up_orphans
from tests.cluster.controlplane import ControlPlane, Site
from tests.cluster.errors import ClusterError
from tests.cluster.kubectl import Kubectl
from tests.cluster.network import Network, free_network
from tests.cluster.node import NPU_RESOURCE, Node
from tests.cluster.sources import KUBERNETES_VERSION, check_skew
from tests.cluster.state import State
from tests.cluster.waiting import wait_until

MAX_NODES = 16


@dataclass
class Cluster:
    """A running cluster."""

    record: State
    network: Network
    nodes: list[Node]
    binaries: Mapping[str, Path]
    kubectl: Kubectl
    control_plane: ControlPlane | None = None

    @staticmethod
    def up(
        name: str = "demo",
        nodes: int = 2,
        npus: int = 8,
        kubernetes: str = KUBERNETES_VERSION,
        die_with_parent: bool = False,
        say: Callable[[str], None] = lambda text: None,
    ) -> Cluster:
        """Start a cluster and return when its nodes are Ready and offer their devices.

        A cluster of that name, up or crashed, is taken down first.
        With ``die_with_parent`` the programs end with this process, and the next ``up`` of any name removes
        the rest; otherwise the cluster stays until ``down``.
        """
        check_skew(kubernetes)
        _check(name, nodes, npus)
        binaries = ensure_binaries(kubernetes_version=kubernetes)
        owner = processes.myself() if die_with_parent else None
        with locked(cache_dir() / ".clusters.lock"):
            clean_up_orphans()
            clean_up(name)
            network = free_network(name, {other.index for other in state.load_all()})
            directory = state.bulk_directory(name)
            record = State(name, network.index, nodes, npus, kubernetes, str(directory), owner)
            with _undone_on_error(name):
                record.save()
                directory.mkdir(parents=True)
                network.create(nodes)
        with _undone_on_error(name):
            return _start(record, network, binaries, say)

    @staticmethod
    def attach(name: str) -> Cluster:
        """The cluster of that name that is up already."""
        packages.require_root()
        record = state.load(name)
        if record is None or not record.complete:
            raise ClusterError(f"no cluster {name} is up; start it with: python -m tests.cluster up --name {name}")
        binaries = ensure_binaries(kubernetes_version=record.kubernetes)
        network = Network(name, record.index)
        directory = Path(record.directory)
        kubectl = Kubectl(binaries["kubectl"], directory / "control-plane" / "kubeconfig")
        cluster = Cluster(record, network, _nodes(record, network, binaries), binaries, kubectl)
        programs = {program.name: program for program in record.programs}
        for node in cluster.nodes:
            node.program = programs.get(node.name)
        return cluster

    @staticmethod
    def running(name: str, nodes: int, npus: int) -> Cluster | None:
        """The cluster of that name, if it is up whole; one of another size is refused."""
        record = state.load(name)
        if record is None or not record.complete:
            return None
        cluster = Cluster.attach(name)
        if not cluster.alive():
            return None
        if (record.nodes, record.npus) != (nodes, npus):
            raise ClusterError(
                f"cluster {name} is up with {record.nodes} nodes of {record.npus} NPUs; take it down first: "
                f"python -m tests.cluster down --name {name}"
            )
        return cluster

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def kubeconfig(self) -> Path:
        return self.kubectl.kubeconfig

    @property
    def audit_log(self) -> Path:
        return self.kubeconfig.with_name("audit.log")

    @property
    def shared_dir(self) -> Path:
        """The directory behind the PersistentVolume ``shared-weights``."""
        return self._volumes / storage.SHARED

    @property
    def _volumes(self) -> Path:
        return Path(self.record.directory) / "volumes"

    def node(self, name: str) -> Node:
        """The node called ``name``."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise ClusterError(f"cluster {self.name} has no node {name}")

    def add_volume(self, name: str, directory_of: str = "") -> Path:
        """Another shared directory with its PersistentVolume (one binds one claim), or one more of a directory that is
        there; returns it."""
        return storage.create_volume(self.kubectl, self._volumes, name, directory_of)

    def load_image(self, archive: Path | str) -> None:
        """Import an image archive on every node that runs."""
        path = Path(archive)
        if not path.is_file():
            raise ClusterError(f"no image archive at {path}")
        running = [node for node in self.nodes if node.program and node.program.alive()]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda node: node.import_image(path), running))

    def pull_plainly_from(self, registry: str) -> None:
        """Let all nodes pull from a registry (host:port) that speaks plain HTTP, such as one on the host's address."""
        for node in self.nodes:
            node.pull_plainly_from(registry)

    def kill_node(self, name: str) -> None:
        """Lose a node: kubelet, containerd and all pods end at once. The API learns of it by silence."""
        self.node(name).kill()

    def start_node(self, name: str) -> None:
        """Boot a killed node again; ``wait_ready`` tells when it is back."""
        self.record.record(self.node(name).start(die_with_parent=self.record.owner is not None))

    def wait_ready(self, timeout: float = 120) -> None:
        """Return when every node is Ready and offers all its devices."""

        def ready() -> bool:
            for node in self.nodes:
                node.check()
            found = json.loads(self.kubectl("get", "nodes", "-o", "json"))["items"]
            boots = {node.name: node.boot_id for node in self.nodes}
            return sum(_is_ready(node, boots, self.record.npus) for node in found) == len(self.nodes)

        wait_until(f"the nodes of cluster {self.name} are Ready", ready, timeout, every=0.3)

    def alive(self) -> bool:
        """Whether every program that was started still runs."""
        return self.record.complete and all(program.alive() for program in self.record.programs)

    def down(self) -> None:
        """Remove the cluster and all it wrote."""
        for node in self.nodes:
            node.kill()
        clean_up(self.name)


@contextmanager
def _undone_on_error(name: str) -> Iterator[None]:
    """Leave nothing behind of a cluster that could not be made."""
    try:
        yield
    except BaseException:
        clean_up(name)
        raise


def _check(name: str, nodes: int, npus: int) -> None:
    state.check_name(name)
    packages.require_root()
    packages.require_file_system(cache_dir())
    if not 1 <= nodes <= MAX_NODES:
        raise ClusterError(f"nodes must be 1 to {MAX_NODES}, not {nodes}")
    if not 0 <= npus <= 64:
        raise ClusterError(f"npus must be 0 to 64 per node, not {npus}")


def _start(record: State, network: Network, binaries: Mapping[str, Path], say: Callable[[str], None]) -> Cluster:
    started = time.monotonic()

    def step(text: str) -> None:
        say(f"{time.monotonic() - started:5.1f} s  {text}")

    nodes = _nodes(record, network, binaries)
    site = Site(
        address=network.control_plane_ip,
        netns=network.control_plane_netns,
        service_cidr=network.service_cidr,
        first_service_ip=network.first_service_ip,
        pod_cidr=network.pod_cidr,
        nodes=tuple(node.name for node in nodes),
        die_with_parent=record.owner is not None,
    )
    directory = Path(record.directory) / "control-plane"
    control_plane = ControlPlane(directory, binaries, site, record=record.record)
    control_plane.start()
    step(f"control plane serves at {control_plane.url}")
    storage.create_volume(control_plane.kubectl, directory.parent / "volumes", storage.SHARED)
    for node in nodes:
        node.prepare(control_plane)
        record.record(node.start(die_with_parent=site.die_with_parent))
    services.start_services(control_plane, network)
    cluster = Cluster(record, network, nodes, binaries, control_plane.kubectl, control_plane)
    step(f"{len(nodes)} nodes started; waiting for them to be Ready")
    cluster.wait_ready()
    record.complete = True
    record.save()
    step(f"Ready, {record.npus} x {NPU_RESOURCE} each")
    return cluster


def _nodes(record: State, network: Network, binaries: Mapping[str, Path]) -> list[Node]:
    base = Path(record.directory)
    return [
        Node(number, record.name, base / "nodes" / f"node-{number}", base / "volumes", network, record.npus, binaries)
        for number in range(1, record.nodes + 1)
    ]


def _is_ready(node: dict[str, Any], boots: Mapping[str, str], npus: int) -> bool:
    """Whether the node of the API is one of ours, as of its present boot, and fit for work."""
    status = node["status"]
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", ()))
    offered = int(status.get("allocatable", {}).get(NPU_RESOURCE, 0))
    booted = status["nodeInfo"]["bootID"] == boots.get(node["metadata"]["name"])
    return ready and booted and offered == npus
