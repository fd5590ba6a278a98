"""Kubeconfig files, and running the cluster's own kubectl."""

from __future__ import annotations

import base64
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.cluster.errors import ClusterError


def write_kubeconfig(path: Path, url: str, ca: Path, token: str) -> Path:
    """A kubeconfig that stands alone: CA and token are inside."""
    cluster = {"server": url, "certificate-authority-data": base64.b64encode(ca.read_bytes()).decode()}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "user"}}],
        "current-context": "test",
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(content))
    return path


@dataclass(frozen=True)
class Kubectl:
    """kubectl with one kubeconfig; calling it returns its output and raises with its complaint."""

    program: Path
    kubeconfig: Path
    context: str = ""  # default: the kubeconfig's current one

    def __call__(self, *arguments: str, input: str | None = None) -> str:
        command = [str(self.program), f"--kubeconfig={self.kubeconfig}"]
        command += [f"--context={self.context}"] if self.context else []
        command += arguments
        done = subprocess.run(command, input=input, capture_output=True, text=True)
        if done.returncode:
            complaint = " ".join(done.stderr.split())
            raise ClusterError(f"kubectl {' '.join(arguments)}: {complaint}")
        return done.stdout
