"""Two replicas, each in a network namespace of its own, whose way to the API server can be cut as a cable is.

A relay would not do: it has acknowledged what it holds back. Here nothing is acknowledged, and what was sent is in the
kernel's hands. Needs root; nothing is changed outside of the namespaces but one link of the host's.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.cluster.controlplane import ControlPlane, Site
from tests.cluster.network import Network, free_network
from tests.integration.kinds import install_kinds
from tests.operator_process import OperatorProcess
from tests.twins import NAMES, Twins


@dataclass(frozen=True)
class Apart:
    """A control plane, and where its replicas live."""

    control_plane: ControlPlane
    network: Network
    directory: Path

    def twins(self, namespace: str, *, lease: int = 15) -> Twins:
        """Two of them that wait to be started, by a `with`."""
        return Twins(
            self.control_plane, self.directory, namespace, lease=lease, operator=partial(_Elsewhere, self.network)
        )

    def at(self, name: str, command: Sequence[str]) -> list[str]:
        """The command of a program where this replica lives."""
        return at(self.network, name, command)

    def cut(self, name: str) -> None:
        """From now on nothing of this replica gets through, and nothing tells it so."""
        self._set(name, "down")

    def mend(self, name: str) -> None:
        self._set(name, "up")

    def _set(self, name: str, state: str) -> None:
        link = f"node{NAMES.index(name) + 1}"
        center = self.network.control_plane_netns
        subprocess.run(["ip", "-n", center, "link", "set", link, state], check=True)


@contextlib.contextmanager
def apart(directory: Path) -> Iterator[Apart]:
    """A network, with a control plane in its middle that has our kinds."""
    network = free_network(f"apart{os.getpid()}", set())
    try:
        network.create(len(NAMES))
        site = Site(
            address=network.control_plane_ip,
            netns=network.control_plane_netns,
            service_cidr=network.service_cidr,
            first_service_ip=network.first_service_ip,
            pod_cidr=network.pod_cidr,
        )
        with ControlPlane(directory / "control-plane", site=site) as control_plane:
            install_kinds(control_plane.kubectl)
            yield Apart(control_plane, network, directory)
    finally:
        network.delete()


def at(network: Network, name: str, command: Sequence[str]) -> list[str]:
    """The command, in the namespace of one of the replicas."""
    return ["nsenter", f"--net=/run/netns/{network.node_netns(NAMES.index(name) + 1)}", *command]


class _Elsewhere(OperatorProcess):
    """An operator in a namespace of the network's; it is ready when it has said that it has listed all there is."""

    def __init__(self, network: Network, kubeconfig: Path, directory: Path, *arguments: str, name: str) -> None:
        super().__init__(kubeconfig, directory, *arguments, name=name)
        self._command = at(network, name, self._command)
        self._said = 0

    def start(self) -> None:
        self._said = len(self.log.read_bytes()) if self.log.exists() else 0
        super().start()

    def _ready(self) -> bool:
        time.sleep(0.1)
        return b": listed " in self.log.read_bytes()[self._said :]
