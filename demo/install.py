"""Puts the product onto a cluster as a user would: images, Helm chart, claims, manifests. The e2e tests do the same."""

import json
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from demo import screen
from images.build import image_archive
from tests.cluster.cluster import Cluster
from tests.cluster.kubectl import Kubectl

ROOT = Path(__file__).resolve().parents[1]
MANIFESTS = ROOT / "demo/manifests"
OPERATOR_NAMESPACE = "embedding-operator-system"


def load_images(cluster: Cluster, names: Iterable[str]) -> None:
    """Build what is not built yet, and put it onto all nodes."""
    for name in names:
        with screen.ticking(f"image {name}: building if it changed, loading onto the nodes"):
            cluster.load_image(image_archive(name))


def install_operator(cluster: Cluster, *values: str) -> str:
    """`helm upgrade --install` into a namespace that enforces the restricted Pod Security Standard."""
    ensure_namespace(cluster.kubectl, OPERATOR_NAMESPACE, "restricted")
    command = ["upgrade", "--install", "embedding-operator", str(ROOT / "charts/embedding-operator")]
    command += [f"--namespace={OPERATOR_NAMESPACE}", "--wait", "--timeout=3m"]
    command += [f"--set={value}" for value in ("image.tag=test", *values)]
    done = subprocess.run(
        [str(cluster.binaries["helm"]), f"--kubeconfig={cluster.kubeconfig}", *command],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"helm: {done.stderr.strip()}")
    return done.stdout


def install_hub(kubectl: Kubectl) -> None:
    """The stand-in model hub, ready to answer."""
    kubectl("apply", "-f", str(MANIFESTS / "model-hub.yaml"))
    kubectl("-n", "model-hub", "rollout", "status", "deployment/model-hub", "--timeout=180s")


def ensure_namespace(kubectl: Kubectl, name: str, level: str) -> None:
    """A namespace that enforces a Pod Security Standard."""
    labels = {"pod-security.kubernetes.io/enforce": level}
    metadata = {"name": name, "labels": labels}
    kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}))


def claim(kubectl: Kubectl, namespace: str, volume: str, name: str = "model-weights") -> None:
    """A ReadWriteMany claim on an administrator's static volume."""
    spec = {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "",
        "volumeName": volume,
        "resources": {"requests": {"storage": "10Gi"}},
    }
    manifest = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
    kubectl("apply", "-f", "-", input=json.dumps(manifest))


def watch_until_ready(kubectl: Kubectl, namespace: str, service: str, seconds: float = 900) -> None:
    """Show `kubectl get emb,mcache` whenever it says something new, until the service is ready."""
    shown, deadline = "", time.monotonic() + seconds
    while time.monotonic() < deadline:
        output = kubectl("-n", namespace, "get", "emb,mcache")
        told = "\n".join(line.rsplit(maxsplit=1)[0] for line in output.splitlines() if line.strip())  # without the age
        if told != shown:
            screen.shell(f"kubectl -n {namespace} get emb,mcache", output)
            shown = told
        if _condition(kubectl, namespace, service, "Ready") == "True":
            return
        if _condition(kubectl, namespace, service, "Stalled") == "True":
            break
        time.sleep(2)
    raise SystemExit(kubectl("-n", namespace, "describe", "emb", service))


def embed(kubectl: Kubectl, base_url: str, model: str, texts: list[str]) -> list[list[float]]:
    """Vectors through the Service, asked for from a pod in the cluster."""
    script = (ROOT / "demo/client.py").read_text()
    target = ["-n", "model-hub", "exec", "-i", "deploy/model-hub", "--"]
    output = kubectl(*target, "python3", "-", base_url, model, json.dumps(texts), input=script)
    vectors: list[list[float]] = json.loads(output)
    return vectors


def _condition(kubectl: Kubectl, namespace: str, service: str, condition: str) -> str:
    path = f'jsonpath={{.status.conditions[?(@.type=="{condition}")].status}}'
    return kubectl("-n", namespace, "get", "emb", service, "-o", path)
