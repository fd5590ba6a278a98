"""What the e2e tests share: a namespace with a claim on a volume of its own, the hub's faults, and a load."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

from demo import install
from tests.cluster.cluster import Cluster
from tests.integration.operating import Namespace

HUB = "http://model-hub.model-hub.svc"
DOUBLE = "docker.io/embedding-operator/standins:test"
QWEN = "Qwen/Qwen3-VL-Embedding-8B"
_FAULTS = """
import json, sys, urllib.request
url, body = "http://localhost:8080/__control__/faults", sys.argv[1]
method = "POST" if body else "DELETE"
urllib.request.urlopen(urllib.request.Request(url, data=body.encode() or None, method=method)).read()
"""

_END_LOAD = """
import os, pathlib, signal
for process in pathlib.Path("/proc").glob("[0-9]*"):
    mine = process.name == str(os.getpid())
    if not mine and b"tests.standins.load" in (process / "cmdline").read_bytes():
        os.kill(int(process.name), signal.SIGTERM)
"""


class Product:
    """An installed operator, and places to use it in."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.kubectl = cluster.kubectl
        self._places: list[Place] = []

    def place(self, level: str = "privileged", beside: Place | None = None) -> Place:
        """A namespace with the claim `model-weights`; `privileged` admits the driver mounts of ascend-910b.

        `beside`: its volume is the same directory as that of another place.
        """
        self._places.append(Place(self, level, beside))
        return self._places[-1]

    def command(self, place: Place, name: str, *arguments: str) -> str:
        """What `embedding-operator` prints about a place; it must succeed."""
        options = ["--kubeconfig", str(self.kubectl.kubeconfig), "-n", place.name]
        command = [sys.executable, "-m", "embedding_operator.cli", name, *arguments, *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def leave(self) -> None:
        """Delete the namespaces of a test that is over; nobody waits for their end."""
        while self._places:
            self.kubectl("delete", "namespace", self._places.pop().name, "--wait=false", "--ignore-not-found")

    def fault(self, name: str, **options: Any) -> None:
        """Switch a fault of the hub on (see tests/standins/modelhub/faults.py)."""
        self._hub("python3", "-c", _FAULTS, json.dumps([{"name": name} | options]))

    def no_faults(self) -> None:
        self._hub("python3", "-c", _FAULTS, "")

    def load(self, url: str, model: str, *options: str) -> subprocess.Popen[str]:
        """Keep-alive clients in a pod of the cluster; they end after their --seconds, or by `end_load`."""
        command = [str(self.kubectl.program), f"--kubeconfig={self.kubectl.kubeconfig}"]
        command += ["-n", "model-hub", "exec", "deploy/model-hub", "--"]
        command += ["python3", "-m", "tests.standins.load", "--url", f"{url}/embeddings", "--model", model, *options]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def end_load(self, load: subprocess.Popen[str]) -> dict[str, Any]:
        """Stop the clients and return their summary; they must have been at work till now."""
        assert load.poll() is None, "the load must outlast what it is to show"
        self._hub("python3", "-c", _END_LOAD)
        output, _ = load.communicate(timeout=120)
        summary: dict[str, Any] = json.loads(output)
        return summary

    def _hub(self, *command: str) -> None:
        self.kubectl("-n", "model-hub", "exec", "deploy/model-hub", "--", *command)


class Place(Namespace):
    """A namespace, and the directory behind its claim as this machine sees it."""

    def __init__(self, product: Product, level: str, beside: Place | None) -> None:
        super().__init__(product.kubectl)
        self._product = product
        label = f"pod-security.kubernetes.io/enforce={level}"
        product.kubectl("label", "namespace", self.name, label)
        volume = f"weights-{secrets.token_hex(4)}"
        self.directory: Path = product.cluster.add_volume(volume, beside.directory.name if beside else "")
        install.claim(product.kubectl, self.name, volume)

    def double(self, name: str = "qwen", repo: str = QWEN, **spec: Any) -> None:
        """An EmbeddingService on stand-in NPUs, served by the double of vLLM."""
        source = {"modelScope": {"repo": repo, "endpoint": HUB}}
        self.service(name, **({"model": {"source": source}, "runtime": self.runtime()} | spec))

    @staticmethod
    def runtime() -> dict[str, Any]:
        """Stand-in NPUs and the double."""
        return {
            "profile": "ascend-910b",
            "image": DOUBLE,
            "version": "0.23.0",
            "resources": {"requests": {"cpu": "20m", "memory": "48Mi"}, "limits": {"memory": "512Mi"}},
        }

    def vectors(self, name: str, model: str, texts: list[str]) -> list[list[float]]:
        """Embeddings through the Service, asked for from another pod."""
        return install.embed(self._product.kubectl, f"http://{name}.{self.name}.svc:8000/v1", model, texts)

    def ready(self, name: str = "qwen") -> bool:
        return bool(self.condition("emb", name)["status"] == "True")

    def the_cache(self) -> str:
        """The name of the only ModelCache here."""
        (cache,) = self.items("modelcache")
        return str(cache["metadata"]["name"])
