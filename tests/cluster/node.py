"""One node: a process tree of kubelet, containerd, kube-proxy and device plugin in namespaces of its own.

Killing the tree is how a node is lost; starting it again is a reboot. Nothing of it appears on the host but
its directory.
"""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster import cgroups, nodeconfig, processes
from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.cluster.network import Network
from tests.cluster.processes import Program
from tests.cluster.standin_driver import write_driver_files
from tests.cluster.waiting import wait_until

LABELS = "accelerator=huawei-Ascend910"
NPU_RESOURCE = "huawei.com/Ascend910"
_SCRIPT = Path(__file__).parent / "node.sh"


@dataclass
class Node:
    """A node of a cluster, running or not."""

    number: int
    cluster: str
    directory: Path
    volumes: Path
    network: Network
    npus: int
    binaries: Mapping[str, Path] = field(repr=False)
    program: Program | None = None

    @property
    def name(self) -> str:
        return f"node-{self.number}"

    @property
    def ip(self) -> str:
        return self.network.node_ip(self.number)

    @property
    def netns(self) -> str:
        return self.network.node_netns(self.number)

    @property
    def boot_id(self) -> str:
        """What the node's status calls its boot; another one after every start."""
        return (self.directory / "boot-id").read_text()

    def prepare(self, control_plane: ControlPlane) -> None:
        """Write the node's directory and make its cgroups."""
        for part in ("cni", "kubelet"):
            (self.directory / part).mkdir(parents=True)
        root = cgroups.create_cgroup(self.cluster, self.name)
        kubelet = nodeconfig.kubelet_config(self.network, root, control_plane.ca)
        proxy = nodeconfig.kube_proxy_config(self.network, self.name, "/mnt/node/kube-proxy.kubeconfig")
        cni = nodeconfig.cni_config(self.network.node_pod_cidr(self.number))
        self._write("kubelet.yaml", json.dumps(kubelet))
        self._write("kube-proxy.yaml", json.dumps(proxy))
        self._write("cni/10-pods.conflist", json.dumps(cni))
        self._write("containerd.toml", nodeconfig.containerd_config(self.binaries))
        self._write("resolv.conf", f"nameserver {self.network.control_plane_ip}\n")
        control_plane.write_kubeconfig(self.directory / "kubelet.kubeconfig", f"system:node:{self.name}")
        control_plane.write_kubeconfig(self.directory / "kube-proxy.kubeconfig", "system:kube-proxy")
        write_driver_files(self.directory / "overlay", self.npus)

    def start(self, die_with_parent: bool) -> Program:
        """Start the node; it is Ready some seconds later."""
        if self.program and self.program.alive():
            raise ClusterError(f"{self.name} is running already")
        self._write("boot-id", str(uuid.uuid4()))
        self.program = processes.start(
            self.name,
            ["unshare", *_NAMESPACES, "bash", str(_SCRIPT)],
            self.directory / "node.log",
            netns=self.netns,
            die_with_parent=die_with_parent,
            environment=self._environment(),
        )
        return self.program

    def kill(self) -> None:
        """End everything on the node at once, as a power cut would; returns when it is over."""
        if self.program is None:
            return
        init = _child(self.program.pid)
        processes.stop([self.program])
        if init:  # gone only after the kernel has ended and collected the whole pid namespace
            wait_until(f"{self.name} has ended", lambda: not Path(f"/proc/{init}").exists(), timeout=30)

    def run(self, *command: str) -> str:
        """Run a program of the host inside the node's mount and network namespaces."""
        if self.program is None or not self.program.alive():
            raise ClusterError(f"{self.name} is not running")
        enter = ["nsenter", f"--target={self.program.pid}", "--mount", "--net", "--uts"]
        done = subprocess.run([*enter, *command], capture_output=True, text=True)
        if done.returncode:
            raise ClusterError(f"{self.name}: {' '.join(command)}: {' '.join(done.stderr.split())}")
        return done.stdout

    def import_image(self, archive: Path) -> None:
        """Import a docker or OCI archive under the names that it carries."""
        self.run(str(self.binaries["ctr"]), "-n", "k8s.io", "images", "import", str(archive.absolute()))

    def pull_plainly_from(self, registry: str) -> None:
        """From now on pull images of this registry (host:port) over plain HTTP."""
        (self.directory / "registries" / registry).mkdir(parents=True, exist_ok=True)
        self._write(f"registries/{registry}/hosts.toml", nodeconfig.plain_registry(registry))

    def set_unhealthy(self, *devices: int) -> None:
        """Turn exactly these devices unhealthy; none makes all well again."""
        self._write("unhealthy-devices", " ".join(str(device) for device in devices))

    def check(self) -> None:
        """Raise if the node's process tree has ended."""
        if self.program:
            processes.check_alive(self.program, self.directory / "node.log")

    def _write(self, name: str, content: str) -> None:
        path = self.directory / name
        scratch = path.with_name(f".{path.name}.part")
        scratch.write_text(content)
        scratch.replace(path)

    def _environment(self) -> dict[str, str]:
        tools = {
            "CONTAINERD": "containerd",
            "CTR": "ctr",
            "KUBELET": "kubelet",
            "KUBE_PROXY": "kube-proxy",
            "DEVICE_PLUGIN": "ascend-device-plugin",
            "PAUSE": "pause",
        }
        # containerd finds its shim beside itself or on the PATH; the CNI plugins find iptables there.
        system = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
        return {name: str(self.binaries[tool]) for name, tool in tools.items()} | {
            "PATH": f"{self.binaries['containerd'].parent}:{self.binaries['runc'].parent}:{system}",
            "HOME": os.environ.get("HOME", "/"),
            "NODE_DIR": str(self.directory),
            "VOLUMES_DIR": str(self.volumes),
            "NODE_NAME": self.name,
            "NODE_IP": self.ip,
            "NODE_LABELS": LABELS,
            "NPUS": str(self.npus),
            "NPU_RESOURCE": NPU_RESOURCE,
            "BOOT_ID": self.boot_id,
        }


_NAMESPACES = (
    "--mount",
    "--propagation=private",
    "--uts",
    "--pid",
    "--fork",
    "--mount-proc",
    "--kill-child",
    "--",
)


def _child(pid: int) -> int:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    return int(children[0]) if children else 0
