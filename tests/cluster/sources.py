"""What the cluster is built from: one entry per Go module, each pinned by its own go.sum.

Only data and the content hash live here; ``binaries.py`` does the building. Modules are apart because
their dependencies disagree with one another.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tests.cluster.errors import ClusterError

HERE = Path(__file__).parent
KUBERNETES_VERSION = "1.36.3"
# the oldest and the newest that exist as Go modules; of these the control plane only, for nodes are built once
OTHER_KUBERNETES_VERSIONS = ("1.34.4", "1.37.2")

CONTROL_PLANE = "control-plane"  # what an API server on loopback needs; no root
KUBECTL = "kubectl"
HELM = "helm"
DEVICE_PLUGIN = "device-plugin"  # the stand-in, also for an image of it
S3 = "s3"  # a real S3 server, for the stager's tests
GITOPS = "gitops"  # what Argo CD, Flux and kstatus make of our objects
NODES = "nodes"  # what kubelets and pods need; root
WITHOUT_ROOT = (CONTROL_PLANE, KUBECTL, HELM, DEVICE_PLUGIN, S3, GITOPS)
ALL_GROUPS = (*WITHOUT_ROOT, NODES)


@dataclass(frozen=True)
class Tool:
    """One executable: the package that makes it and the group that needs it."""

    package: str
    group: str


@dataclass(frozen=True)
class Module:
    """A directory with go.mod and go.sum, the tools wanted from it, and how they are built."""

    name: str
    directory: Path
    tools: Mapping[str, Tool]
    tags: tuple[str, ...] = ()
    ldflags: str = "-s -w"
    cgo: bool = False

    def fingerprint(self, go_version: str) -> str:
        """A hash of everything that decides the bytes of the tools."""
        digest = hashlib.sha256()
        files = [self.directory / "go.mod", self.directory / "go.sum", *sorted(self.directory.glob("*.go"))]
        for file in files:
            content = file.read_bytes()
            digest.update(f"{file.name} {len(content)}\n".encode() + content)
        digest.update(repr((go_version, self.tags, self.ldflags, self.cgo)).encode())
        return digest.hexdigest()[:16]


def kubernetes(version: str) -> Module:
    """The module of one Kubernetes version; the default's directory carries no version in its name."""
    _check_pinned(version)
    name = "kubernetes" if version == KUBERNETES_VERSION else f"kubernetes-{version}"
    stamp = "k8s.io/component-base/version"
    major, minor, _ = version.split(".")
    values = {
        "gitVersion": f"v{version}",
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "gitCommit": "0" * 40,
    }
    ldflags = "-s -w " + " ".join(f"-X {stamp}.{key}={value}" for key, value in values.items())
    groups = {
        "kube-apiserver": CONTROL_PLANE,
        "kube-controller-manager": CONTROL_PLANE,
        "kubectl": KUBECTL,
        "kube-scheduler": CONTROL_PLANE,
        "kubelet": NODES,
        "kube-proxy": NODES,
    }
    tools = {
        tool: Tool(f"k8s.io/kubernetes/cmd/{tool}", group)
        for tool, group in groups.items()
        if version == KUBERNETES_VERSION or group == CONTROL_PLANE
    }
    return Module(name, HERE / "modules" / name, tools, ldflags=ldflags)


def chosen_version() -> str:
    """The version of control planes without nodes: ``make test-kubernetes`` chooses it, all else has the default."""
    return os.environ.get("EMBEDDING_OPERATOR_TEST_KUBERNETES") or KUBERNETES_VERSION


def check_skew(version: str) -> None:
    """Refuse a control plane that is older than its nodes would be, which Kubernetes does not support."""
    _check_pinned(version)
    if _numbers(version) < _numbers(KUBERNETES_VERSION):
        raise ClusterError(f"nodes are {KUBERNETES_VERSION} here, and a control plane of {version} is older than they")


def _check_pinned(version: str) -> None:
    if version not in (KUBERNETES_VERSION, *OTHER_KUBERNETES_VERSIONS):
        pinned = ", ".join(sorted((KUBERNETES_VERSION, *OTHER_KUBERNETES_VERSIONS)))
        raise ClusterError(f"Kubernetes {version} is not pinned here (only {pinned} are): see tests/cluster/README.md")


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def gates(version: str) -> list[str]:
    """What an older version must be asked for: the health of devices in pods, which is on by default from 1.36."""
    return ["--feature-gates=ResourceHealthStatus=true"] if _numbers(version)[:2] < [1, 36] else []


def _kubernetes(version: str) -> list[Module]:
    """Where the programs of Kubernetes come from: kubectl and kubelet always from the default version."""
    default = kubernetes(KUBERNETES_VERSION)
    if version == KUBERNETES_VERSION:
        return [default]
    other = kubernetes(version)
    rest = {name: tool for name, tool in default.tools.items() if name not in other.tools}
    return [other, replace(default, tools=rest)]


def modules(kubernetes_version: str = KUBERNETES_VERSION) -> list[Module]:
    """All modules, the longest build first."""
    base = HERE / "modules"
    containerd = "github.com/containerd/containerd/v2/cmd"
    cni = "github.com/containernetworking/plugins/plugins"
    return [
        *_kubernetes(kubernetes_version),
        Module("etcd", base / "etcd", {"etcd": Tool("go.etcd.io/etcd/server/v3", CONTROL_PLANE)}),
        Module("helm", base / "helm", {"helm": Tool("helm.sh/helm/v4/cmd/helm", HELM)}),
        Module(
            "containerd",
            base / "containerd",
            {name: Tool(f"{containerd}/{name}", NODES) for name in ("containerd", "containerd-shim-runc-v2", "ctr")},
            tags=("no_btrfs", "no_zfs", "no_aufs", "no_devmapper"),
        ),
        Module(
            "runc",
            base / "runc",
            {"runc": Tool("github.com/opencontainers/runc", NODES)},
            tags=("seccomp",),
            cgo=True,
        ),
        Module(
            "cni",
            base / "cni",
            {
                "bridge": Tool(f"{cni}/main/bridge", NODES),
                "loopback": Tool(f"{cni}/main/loopback", NODES),
                "host-local": Tool(f"{cni}/ipam/host-local", NODES),
                "portmap": Tool(f"{cni}/meta/portmap", NODES),
            },
        ),
        Module("coredns", base / "coredns", {"coredns": Tool(".", NODES)}),
        Module(
            "device-plugin",
            HERE.parent / "standins" / "device_plugin",
            {"ascend-device-plugin": Tool(".", DEVICE_PLUGIN)},
        ),
        Module("s3", HERE.parent / "s3", {"versitygw": Tool("github.com/versity/versitygw/cmd/versitygw", S3)}),
        Module("gitops", HERE.parent / "gitops", {"gitops-engines": Tool(".", GITOPS)}),
    ]
