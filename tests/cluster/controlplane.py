"""A Kubernetes control plane: etcd, kube-apiserver and kube-controller-manager.

Alone it runs on loopback ports without any privilege and dies with the process that started it, which is
what the integration tests use. The cluster with nodes runs the same class inside a network namespace.
RBAC, Node authorization, Pod Security admission and the audit log are on, as on a real cluster.
"""

from __future__ import annotations

import json
import os
import secrets
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from tests.cluster import processes
from tests.cluster.binaries import ensure_binaries
from tests.cluster.certificates import Authority, write_key, write_public_key
from tests.cluster.kubectl import Kubectl, write_kubeconfig
from tests.cluster.processes import Program
from tests.cluster.scratch import memory_directory, remove_memory_directory
from tests.cluster.sources import CONTROL_PLANE, KUBECTL, KUBERNETES_VERSION, chosen_version, gates
from tests.cluster.waiting import wait_until
from tests.ports import free_ports

_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


# Percent of garbage before Go collects it. With its own 100, collecting the small heaps of these clusters takes a fifth
# of two cores, and memory is what a machine with few cores has; but thousands of services must fit into it.
_MEMORY = {"GOGC": "400", "GOMEMLIMIT": "11GiB"}


@dataclass(frozen=True)
class Site:
    """Where a control plane lives. The default is loopback, ports chosen freely, no namespace."""

    address: str = "127.0.0.1"
    netns: str = ""
    api_port: int = 0
    service_cidr: str = "10.96.0.0/16"
    first_service_ip: str = "10.96.0.1"
    pod_cidr: str = "10.244.0.0/16"
    nodes: tuple[str, ...] = ()
    die_with_parent: bool = True

    @property
    def loopback(self) -> bool:
        return self.address.startswith("127.")


@dataclass
class ControlPlane:
    """Use as a context manager, or call ``start()`` and ``stop()``."""

    directory: Path
    binaries: Mapping[str, Path] = field(default_factory=dict)
    site: Site = field(default_factory=Site)
    apiserver_args: Sequence[str] = ()
    controller_manager_args: Sequence[str] = ()
    record: Callable[[Program], None] = lambda program: None
    programs: dict[str, Program] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.directory = self.directory.absolute()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.binaries = self.binaries or ensure_binaries([CONTROL_PLANE, KUBECTL])
        self.kubeconfig = self.directory / "kubeconfig"
        self.audit_log = self.directory / "audit.log"
        self.kubectl = Kubectl(self.binaries["kubectl"], self.kubeconfig)
        self.admin_token = ""
        self.tokens: dict[str, str] = {}
        self._etcd_data: Path | None = None

    def __enter__(self) -> ControlPlane:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start all parts; returns when the API serves and namespaces get their service accounts."""
        try:
            self._choose_ports()
            self._write_credentials()
            self.launch("etcd", self._etcd())
            self.start_apiserver()
            self.start_controller_manager()
            wait_until("the controller manager made the default service account", self._has_default_account)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all parts and forget their data."""
        processes.stop(reversed(self.programs.values()))
        self.programs.clear()
        if self._etcd_data:
            remove_memory_directory(self._etcd_data)

    def stop_program(self, name: str) -> None:
        """End one of the parts; it stays away."""
        processes.stop([self.programs.pop(name)])

    def stop_apiserver(self) -> None:
        """Take the API away at once; its data stays."""
        processes.stop([self.programs["kube-apiserver"]])

    def start_apiserver(self, timeout: float = 60) -> None:
        """Start it (again) on the same port; returns when it is ready."""
        program = self.launch("kube-apiserver", self._apiserver())
        wait_until("the API server is ready", lambda: self._ready(program), timeout)

    def start_controller_manager(self) -> None:
        """Start it (again)."""
        self.launch("kube-controller-manager", self._controller_manager())

    def launch(self, name: str, arguments: Sequence[str]) -> Program:
        """Start one of the binaries where the control plane lives, to be stopped with it."""
        log = self.directory / f"{name}.log"
        program = processes.start(
            name,
            [str(self.binaries[name]), *arguments],
            log,
            netns=self.site.netns,
            die_with_parent=self.site.die_with_parent,
            environment=_MEMORY | os.environ,
        )
        self.programs[name] = program
        self.record(program)
        return program

    def write_kubeconfig(self, path: Path, user: str) -> Path:
        """A kubeconfig of another user of the token file."""
        return write_kubeconfig(path, self.url, self.ca, self.tokens[user])

    def _choose_ports(self) -> None:
        api, etcd, peer, manager = free_ports(4) if self.site.loopback else [6443, 2379, 2380, 10257]
        self._api_port = self.site.api_port or api
        self._peer_port, self._manager_port = peer, manager
        self.etcd_url = f"http://127.0.0.1:{etcd}"
        self.url = f"https://{self.site.address}:{self._api_port}"
        owner = processes.myself() if self.site.die_with_parent else None
        self._etcd_data = memory_directory(self.directory, owner)

    def _write_credentials(self) -> None:
        authority = Authority(self.directory / "pki")
        self._pki = self.directory / "pki"
        self.ca = authority.certificate
        names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"]
        names += ["kubernetes.default.svc.cluster.local", "127.0.0.1"]
        names += [self.site.first_service_ip, self.site.address]
        authority.issue("apiserver", "kube-apiserver", hosts=list(dict.fromkeys(names)))
        authority.issue("kubelet-client", "kube-apiserver-kubelet-client", "system:masters")
        write_public_key(write_key(self._pki / "accounts.key"), self._pki / "accounts.pub")
        self.tokens = _write_tokens(self.directory / "tokens.csv", self.site.nodes)
        self.admin_token = self.tokens["admin"]
        self.write_kubeconfig(self.kubeconfig, "admin")
        self.write_kubeconfig(self.directory / "controller-manager.kubeconfig", "system:kube-controller-manager")
        (self.directory / "audit-policy.yaml").write_text(json.dumps(_AUDIT_POLICY))
        self._ssl = ssl.create_default_context(cafile=str(self.ca))

    def _etcd(self) -> list[str]:
        client, peer = self.etcd_url, f"http://127.0.0.1:{self._peer_port}"
        return [
            "--name=etcd",
            f"--data-dir={self._etcd_data}",
            "--unsafe-no-fsync",
            f"--quota-backend-bytes={8 << 30}",  # the lives of 10,000 services, and what was before the last compaction
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=etcd={peer}",
            "--log-level=warn",
        ]

    def _apiserver(self) -> list[str]:
        # Loopback is no valid endpoint of the kubernetes Service, so there it gets none; the address that is
        # advertised instead (of the documentation range) is never used.
        reach = (
            ["--advertise-address=192.0.2.1", "--endpoint-reconciler-type=none"]
            if self.site.loopback
            else [f"--advertise-address={self.site.address}"]
        )
        return [
            f"--etcd-servers={self.etcd_url}",
            f"--bind-address={self.site.address}",
            f"--secure-port={self._api_port}",
            *reach,
            f"--tls-cert-file={self._pki / 'apiserver.crt'}",
            f"--tls-private-key-file={self._pki / 'apiserver.key'}",
            f"--client-ca-file={self.ca}",
            f"--kubelet-client-certificate={self._pki / 'kubelet-client.crt'}",
            f"--kubelet-client-key={self._pki / 'kubelet-client.key'}",
            "--kubelet-preferred-address-types=InternalIP",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement",
            f"--token-auth-file={self.directory / 'tokens.csv'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={self._pki / 'accounts.key'}",
            f"--service-account-key-file={self._pki / 'accounts.pub'}",
            f"--service-cluster-ip-range={self.site.service_cidr}",
            "--allow-privileged=true",
            f"--audit-policy-file={self.directory / 'audit-policy.yaml'}",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-maxsize=2000",
            "--profiling=false",
            *gates(chosen_version() if self.site.loopback else KUBERNETES_VERSION),
            *self.apiserver_args,
        ]

    def _controller_manager(self) -> list[str]:
        return [
            f"--kubeconfig={self.directory / 'controller-manager.kubeconfig'}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._manager_port}",
            "--leader-elect=false",
            "--use-service-account-credentials=true",
            f"--root-ca-file={self.ca}",
            f"--service-account-private-key-file={self._pki / 'accounts.key'}",
            f"--cluster-cidr={self.site.pod_cidr}",
            "--allocate-node-cidrs=false",
            "--node-monitor-grace-period=30s",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
            *self.controller_manager_args,
        ]

    def _get(self, path: str) -> bool:
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {self.admin_token}"})
        try:
            with urllib.request.urlopen(request, timeout=5, context=self._ssl) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def _ready(self, program: Program) -> bool:
        processes.check_alive(self.programs["etcd"], self.directory / "etcd.log")
        processes.check_alive(program, self.directory / "kube-apiserver.log")
        return self._get("/readyz")

    def _has_default_account(self) -> bool:
        program = self.programs["kube-controller-manager"]
        processes.check_alive(program, self.directory / "kube-controller-manager.log")
        return self._get("/api/v1/namespaces/default/serviceaccounts/default")


def _write_tokens(path: Path, nodes: Iterable[str]) -> dict[str, str]:
    groups = {
        "admin": "system:masters",
        "system:kube-controller-manager": "",
        "system:kube-scheduler": "",
        "system:kube-proxy": "",
        "system:coredns": "",
    } | {f"system:node:{node}": "system:nodes" for node in nodes}
    tokens = {user: secrets.token_hex(16) for user in groups}
    path.touch(mode=0o600)
    path.write_text("".join(f'{tokens[user]},{user},{user},"{group}"\n' for user, group in groups.items()))
    return tokens
