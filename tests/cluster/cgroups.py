"""The cgroups under which a cluster's pods run: one root per node, in every hierarchy, v1 or v2."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.waiting import wait_until

_V2_CONTROLLERS = ("cpuset", "cpu", "io", "memory", "pids")


def cluster_cgroup(cluster: str) -> str:
    """The parent of all of a cluster's cgroups."""
    return f"embedding-operator-{cluster}"


def create_cgroup(cluster: str, node: str) -> str:
    """Make a node's root in every hierarchy; returns what the kubelet's cgroupRoot wants."""
    for hierarchy, version in _kubelet_hierarchies():
        parent = hierarchy / cluster_cgroup(cluster)
        for directory in (parent, parent / node):
            directory.mkdir(exist_ok=True)
            if version == 2:
                _delegate(directory.parent)
            elif hierarchy.name == "cpuset":  # a v1 cpuset starts empty and takes no process until it is filled
                for file in ("cpuset.cpus", "cpuset.mems"):
                    (directory / file).write_text((directory.parent / file).read_text())
    return f"/{cluster_cgroup(cluster)}/{node}"


def remove_cgroups(cluster: str) -> None:
    """Remove all of a cluster's cgroups, waiting for the last processes in them to be gone."""
    roots = [hierarchy / cluster_cgroup(cluster) for hierarchy, _ in _mounted()]

    def gone() -> bool:
        return all(_removed(root) for root in roots)

    wait_until(f"the cgroups of cluster {cluster} are empty", gone, timeout=20)


def _removed(root: Path) -> bool:
    if not root.exists():
        return True
    for directory in sorted(root.rglob("*/"), key=lambda path: len(path.parts), reverse=True):
        try:
            directory.rmdir()
        except OSError:
            return False
    try:
        root.rmdir()
    except OSError:
        return False
    return True


def _delegate(directory: Path) -> None:
    available = (directory / "cgroup.controllers").read_text().split()
    wanted = " ".join(f"+{name}" for name in _V2_CONTROLLERS if name in available)
    (directory / "cgroup.subtree_control").write_text(wanted)


def _kubelet_hierarchies() -> list[tuple[Path, int]]:
    """The hierarchies that the kubelet looks at, and their version: v1 where there is any controller of it."""
    mounted = _mounted()
    v1 = [(path, version) for path, version in mounted if version == 1]
    if not mounted:
        raise ClusterError("no cgroups are mounted: kubelets need them (mount -t cgroup2 none /sys/fs/cgroup)")
    return v1 or mounted[:1]


def _mounted() -> list[tuple[Path, int]]:
    """All hierarchies; in a hybrid setup runc uses the v2 one as well."""
    versions = {"cgroup": 1, "cgroup2": 2}
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return [(Path(fields[1]), versions[fields[2]]) for fields in mounts if fields[2] in versions]
