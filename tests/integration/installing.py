"""An installation on an API server without nodes: its operator runs here, as its ServiceAccount, with its arguments."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.cluster.binaries import ensure_binaries
from tests.cluster.controlplane import ControlPlane
from tests.cluster.kubectl import write_kubeconfig
from tests.integration.kinds import PLURALS
from tests.integration.operating import Namespace, settle, until
from tests.operator_process import OperatorProcess

Object = dict[str, Any]
NAMESPACE = "embedding-operator-system"
_POLICIES = ("validatingadmissionpolicy", "validatingadmissionpolicybinding")
_CLUSTERWIDE = ("crd", "clusterrole", "clusterrolebinding", *_POLICIES)


class Installation:
    """Of one namespace; the Deployment's name is that of the release."""

    def __init__(self, control_plane: ControlPlane, directory: Path, namespace: str = NAMESPACE) -> None:
        self.kubectl = control_plane.kubectl
        self.namespace = namespace
        self._control_plane = control_plane
        self._directory = directory
        self._started = 0

    @classmethod
    def of(cls, other: Installation, namespace: str) -> Installation:
        """Another one on the same API server."""
        return cls(other._control_plane, other._directory, namespace)

    def helm(self, *arguments: str, values: Object | None = None) -> str:
        """Its standard output; ValueError with what it complains of."""
        command = [str(ensure_binaries(["helm"])["helm"]), f"--kubeconfig={self._control_plane.kubeconfig}"]
        command += [f"--namespace={self.namespace}", *arguments]
        if values is not None:
            command += ["--values", "-"]
        done = subprocess.run(command, input=json.dumps(values or {}), capture_output=True, text=True)
        if done.returncode:
            raise ValueError(" ".join(done.stderr.split()))
        return done.stdout

    def operator(self, name: str = "embedding-operator") -> OperatorProcess:
        """The operator that the Deployment's pods would run, to be started."""
        pod = self._get("deployment", name)["spec"]["template"]["spec"]
        self._started += 1
        directory = self._directory / f"{self.namespace}-{name}-{self._started}"
        directory.mkdir()
        token = self.kubectl("create", "token", pod["serviceAccountName"], "-n", self.namespace).strip()
        kubeconfig = write_kubeconfig(directory / "kubeconfig", self._control_plane.url, self._control_plane.ca, token)
        arguments = pod["containers"][0]["args"][1:]
        for mount in pod["containers"][0]["volumeMounts"]:
            if any(mount["mountPath"] in one for one in arguments):
                there = str(self.mounted(name, mount["name"]))
                arguments = [one.replace(mount["mountPath"], there) for one in arguments]
        if not any(one.startswith("--lease-namespace=") for one in arguments):  # told by the pod
            arguments += [f"--lease-namespace={self.namespace}"]
        return OperatorProcess(kubeconfig, directory, *arguments)

    def mounted(self, name: str, volume: str) -> Path:
        """Where a ConfigMap of the pods lies, brought up to date in one moment, as a kubelet does."""
        place = self._directory / f"{self.namespace}-{name}-{volume}"
        volumes = self._get("deployment", name)["spec"]["template"]["spec"]["volumes"]
        (source,) = [one["configMap"] for one in volumes if one["name"] == volume]
        fresh = Path(tempfile.mkdtemp(dir=self._directory))
        for file, text in (self._get("configmap", source["name"]).get("data") or {}).items():
            (fresh / file).write_text(text)
        link = fresh.with_suffix(".link")
        link.symlink_to(fresh)
        link.replace(place)
        return place

    def forget(self, *others: str) -> None:
        """Delete what `helm uninstall` leaves: the kinds, its namespace and others."""
        self.kubectl("delete", "crd", *(f"{kind}.embedding-operator.io" for kind in PLURALS))
        self.kubectl("delete", "namespace", self.namespace, *others)

    def clusterwide(self) -> set[str]:
        """What there is of it without a namespace."""
        listed = [self.kubectl("get", kind, "-o", "name").split() for kind in _CLUSTERWIDE]
        return {one for kind in listed for one in kind if "embedding-operator" in one}

    def _get(self, kind: str, name: str) -> Object:
        text = self.kubectl("get", kind, name, "-n", self.namespace, "-o", "json", "--ignore-not-found")
        found: Object = json.loads(text or "{}")
        return found


def empty_out(namespace: Namespace) -> None:
    """Delete all services and weights, and wait until what goes with them is collected, which takes some time."""
    namespace.kubectl("delete", "emb,mcache", "--all")
    until(lambda: not namespace.items("deployment") + namespace.items("poddisruptionbudget"))


def serves(installation: Installation, namespace: str = "") -> None:
    """The operator runs with its own rights and arguments: the built-in profiles are made, and a service gets ready."""
    with installation.operator() as operator:
        there = Namespace(installation.kubectl, namespace)
        until(lambda: there.get("rp", "cpu") is not None)
        there.claim()
        there.service()
        there.stage()
        until(lambda: there.get("deployment", "qwen") is not None)
        settle(there, "qwen")
        empty_out(there)
    assert "Traceback" not in operator.log.read_text()
    assert "403" not in operator.log.read_text()
