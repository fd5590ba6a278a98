"""A fresh control plane for each run: the product's kinds and rights, staged weights, simulated nodes.

Nothing of a former run can be in its way, and it is up in seconds. The audit log follows one user only, the one
that the operator and its peer share; its cost is the same for both.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.api import MERGE, connected
from benchmarks.manifests import CLAIM, namespaces, nodes, staged_caches, volume
from benchmarks.usage import usage_of
from charts.manifests import INSTALL
from charts.manifests import NAMESPACE as OPERATOR_NAMESPACE
from embedding_operator.kube.resources import MODEL_CACHES
from tests.cluster import processes
from tests.cluster.controlplane import ControlPlane
from tests.cluster.processes import Program
from tests.cluster.waiting import wait_until

ACCOUNT: Final = "embedding-operator"
USER: Final = f"system:serviceaccount:{OPERATOR_NAMESPACE}:{ACCOUNT}"
_FAST: Final = ("--kube-api-qps=5000", "--kube-api-burst=10000")
_PATIENT: Final = ("--node-monitor-grace-period=5m",)  # a machine as busy as this may be late with 100 Leases
_PODS_OF_ITS_OWN: Final = ("Deployment", "PodDisruptionBudget")
_OTHERS: Final = ("kube-controller-manager", "kube-scheduler", "kubelets")
_IDLE: Final = 0.4  # seconds of CPU in two seconds, of all its parts
_PLURALS: Final = ("embeddingservices", "modelcaches", "runtimeprofiles")


@dataclass(frozen=True)
class Site:
    """A running control plane and the ways into it."""

    control_plane: ControlPlane
    operator_kubeconfig: Path

    @property
    def directory(self) -> Path:
        """For logs."""
        return self.control_plane.directory

    @property
    def admin_kubeconfig(self) -> Path:
        """Of the harness."""
        return self.control_plane.kubeconfig

    @property
    def audit_log(self) -> Path:
        """The requests of USER."""
        return self.control_plane.audit_log


@contextlib.contextmanager
def running_site(directory: Path, *, services: int, replicas: int) -> Iterator[Site]:
    """Everything up and at rest, room for the pods of so many services, their weights staged."""
    directory.mkdir(parents=True)
    control_plane = ControlPlane(
        directory,
        apiserver_args=[f"--audit-policy-file={_audit_policy(directory)}", "--max-requests-inflight=800"],
        controller_manager_args=[*_FAST, *_PATIENT],
    )
    with control_plane:
        _start_scheduler(control_plane)
        _install(control_plane)
        _prepare(control_plane, services, replicas)
        _start_kubelets(control_plane)
        _wait_for_idle(control_plane)
        yield Site(control_plane, _operator_kubeconfig(control_plane))


def stop_others(control_plane: ControlPlane) -> None:
    """End whoever works with what an API server has: controller manager, scheduler and kubelets."""
    for name in _OTHERS:
        control_plane.stop_program(name)


def start_others(control_plane: ControlPlane) -> None:
    """Have them again; returns when they have looked at everything."""
    control_plane.start_controller_manager()
    _start_scheduler(control_plane)
    _start_kubelets(control_plane)
    _wait_for_idle(control_plane)


def _start_scheduler(control_plane: ControlPlane) -> None:
    kubeconfig = control_plane.directory / "scheduler.kubeconfig"
    control_plane.write_kubeconfig(kubeconfig, "system:kube-scheduler")
    arguments = [f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0", *_FAST]
    control_plane.launch("kube-scheduler", arguments)


def _start_kubelets(control_plane: ControlPlane) -> None:
    log = control_plane.directory / "kubelets.log"
    began = log.stat().st_size if log.exists() else 0
    start_python(control_plane, "kubelets", "benchmarks.kubelets", str(control_plane.kubeconfig))
    wait_until("the simulated kubelets watch", lambda: b"ready" in log.read_bytes()[began:])


def start_python(control_plane: ControlPlane, name: str, module: str, *arguments: str) -> Program:
    """A Python program that ends with the control plane; its output goes to <name>.log."""
    log = control_plane.directory / f"{name}.log"
    program = processes.start(name, [sys.executable, "-m", module, *arguments], log)
    control_plane.programs[name] = program
    return program


def _audit_policy(directory: Path) -> Path:
    path = directory / "audit-of-one-user.json"
    rules: list[dict[str, Any]] = [{"level": "Metadata", "users": [USER]}, {"level": "None"}]
    policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": rules}
    path.write_text(json.dumps(policy))
    return path


def _install(control_plane: ControlPlane) -> None:
    """install.yaml as it is shipped, but for the operator's own pods: it runs as a process here."""
    documents = [document for document in yaml.safe_load_all(INSTALL.read_text()) if document]
    kept = [document for document in documents if document["kind"] not in _PODS_OF_ITS_OWN]
    control_plane.kubectl("apply", "--server-side", "-f", "-", input=yaml.safe_dump_all(kept))
    kinds = [f"crd/{plural}.embedding-operator.io" for plural in _PLURALS]
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", *kinds)


def _prepare(control_plane: ControlPlane, services: int, replicas: int) -> None:
    kubectl = control_plane.kubectl
    there = namespaces(services)
    objects = [*(each for namespace in there for each in volume(namespace)), *nodes(services * replicas)]
    wait_until("the kinds are served", lambda: "modelcaches" in kubectl("api-resources", "-o", "name"))
    kubectl("create", "-f", "-", input="\n---\n".join(json.dumps(each) for each in objects))
    asyncio.run(_stage(control_plane.kubeconfig, services))
    claims = ("get", "pvc", "-A", "-o", f"jsonpath={{.items[?(@.metadata.name=='{CLAIM}')].status.phase}}")
    wait_until("the claims are bound", lambda: kubectl(*claims).split() == ["Bound"] * len(there))
    wait_until("the nodes are taken as ready", lambda: "not-ready" not in kubectl("get", "nodes", "-o", "json"))


async def _stage(kubeconfig: Path, services: int) -> None:
    async with connected(kubeconfig) as api:
        for cache, status in staged_caches(services):
            path = MODEL_CACHES.path(cache["metadata"]["namespace"])
            await api.send("POST", path, json.dumps(cache))
            await api.send("PATCH", f"{path}/{cache['metadata']['name']}/status", json.dumps(status), MERGE)


def _wait_for_idle(control_plane: ControlPlane) -> None:
    """A control plane that has just started works for seconds on (schemas of new kinds, first full lists)."""

    def busy() -> float:
        for name, program in control_plane.programs.items():
            processes.check_alive(program, control_plane.directory / f"{name}.log")
        return sum(usage_of(program.pid).cpu_seconds for program in control_plane.programs.values())

    last = busy()

    def is_idle() -> bool:
        nonlocal last
        before, last = last, busy()
        return last - before < _IDLE

    wait_until("the control plane is idle", is_idle, timeout=900, every=2.0)


def _operator_kubeconfig(control_plane: ControlPlane) -> Path:
    """Of the chart's ServiceAccount, with the rights that the chart gives and no more."""
    token = control_plane.kubectl("-n", OPERATOR_NAMESPACE, "create", "token", ACCOUNT, "--duration=24h").strip()
    control_plane.tokens[USER] = token
    return control_plane.write_kubeconfig(control_plane.directory / "operator.kubeconfig", USER)
