"""SIGKILL for what runs in the cluster: processes of pods, and parts of the control plane.

A process is found by its container's cgroup, a part of the control plane by the cluster's own record; nothing is
ever found by name.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.mark import OPERATOR_NAMESPACE
from tests.cluster import processes
from tests.cluster.cgroups import cluster_cgroup
from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError
from tests.integration.operating import until

Object = dict[str, Any]
_CGROUPS = Path("/sys/fs/cgroup")


def kill_containers(cluster: Cluster, pods: Sequence[Object]) -> int:
    """SIGKILL all processes of the pods' containers at once, and return how many; the kubelet learns of it later."""
    found = [pid for pod in pods for container in _containers(pod) for pid in _processes(cluster, container)]
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(found)


def pods_on_nodes(cluster: Cluster) -> set[str]:
    """The uids of the pods that have processes on a node, whatever the API server knows of them."""
    return {
        directory.name.removeprefix("pod")
        for root in _roots(cluster)
        for directory in root.glob("*/kubepods/**/pod*/")
        if any(group.read_text().strip() for group in directory.rglob("cgroup.procs"))
    }


@contextlib.contextmanager
def killed(cluster: Cluster, *names: str) -> Iterator[None]:
    """SIGKILL parts of the control plane; afterwards they are started again, on their data as left."""
    programs = [one for one in cluster.record.programs if one.name in names]
    assert len(programs) == len(names)
    commands = sorted((program.name, _command(program.pid)) for program in programs)  # etcd before the API server
    processes.stop(programs)
    try:
        yield
    finally:
        for name, command in commands:
            _start(cluster, name, command)
        until(lambda: _serves(cluster), 120)


@dataclass
class InstalledOperator:
    """The operator's pods, as the chart made them."""

    cluster: Cluster

    def pods(self) -> list[Object]:
        items: list[Object] = json.loads(self._kubectl("get", "pods", "-o", "json"))["items"]
        return [pod for pod in items if not pod["metadata"].get("deletionTimestamp")]

    def leader(self) -> list[Object]:
        """The pod that holds the Lease, if one does."""
        lease = json.loads(self._kubectl("get", "lease", "embedding-operator", "-o", "json"))
        holder = lease["spec"].get("holderIdentity")
        return [pod for pod in self.pods() if pod["metadata"]["name"] == holder]

    def renew(self) -> None:
        """New pods, so that the next test does not wait for the kubelet's back-off after crashes."""
        self._kubectl("delete", "pods", "--all", "--wait=false")
        self._kubectl("rollout", "status", "deployment/embedding-operator", "--timeout=180s")

    def roll(self) -> None:
        """As an upgrade does it; not waited for."""
        self._kubectl("rollout", "restart", "deployment/embedding-operator")

    def rolled(self) -> None:
        """Wait until it is done."""
        self._kubectl("rollout", "status", "deployment/embedding-operator", "--timeout=180s")

    def scale(self, replicas: int) -> None:
        self._kubectl("scale", "deployment/embedding-operator", f"--replicas={replicas}")
        until(lambda: len(self.pods()) == replicas, 60)
        self._kubectl("rollout", "status", "deployment/embedding-operator", "--timeout=180s")

    def release(self) -> None:
        """Forget who led, as if the Lease had run out. It stays: its uid is what volumes know the cluster by."""
        for lease in self._kubectl("get", "lease", "embedding-operator", "--ignore-not-found", "-o", "name").split():
            self._kubectl("patch", lease, "--type=merge", "-p", '{"spec": {"holderIdentity": ""}}')

    def token(self) -> str:
        """Of the operator's own service account, with its rights and no more."""
        return self._kubectl("create", "token", "embedding-operator", "--duration=2h").strip()

    def _kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl("-n", OPERATOR_NAMESPACE, *arguments)


def _serves(cluster: Cluster) -> bool:
    try:
        return cluster.kubectl("get", "--raw", "/readyz") == "ok"
    except ClusterError:
        return False


def _start(cluster: Cluster, name: str, command: list[str]) -> None:
    log = cluster.kubeconfig.with_name(f"{name}.log")
    netns, tied = cluster.network.control_plane_netns, cluster.record.owner is not None
    program = processes.start(name, command, log, netns=netns, die_with_parent=tied)
    cluster.record.record(program)
    if cluster.control_plane is not None:
        cluster.control_plane.programs[name] = program


def _command(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")


def _containers(pod: Object) -> list[str]:
    """Sidecars are among the init containers; those that have ended have no process."""
    told = pod.get("status") or {}
    statuses = (*(told.get("initContainerStatuses") or ()), *(told.get("containerStatuses") or ()))
    return [status["containerID"].partition("://")[2] for status in statuses if status.get("containerID")]


def _processes(cluster: Cluster, container: str) -> set[int]:
    groups = [group for root in _roots(cluster) for group in root.glob(f"*/kubepods/**/{container}/**/cgroup.procs")]
    return {int(pid) for group in groups for pid in group.read_text().split()}


def _roots(cluster: Cluster) -> list[Path]:
    """The cluster's cgroups: in one hierarchy (v2), or one of those that every container is in (v1)."""
    name = cluster_cgroup(cluster.name)
    return [root for root in (_CGROUPS / name, _CGROUPS / "pids" / name) if root.is_dir()]
