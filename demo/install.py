"""Puts the product onto a cluster as a user would: images, Helm chart, claims, manifests. The e2e tests do the same."""

import json
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from demo import screen
from demo.claim import Claim
from demo.errors import DemoError
from demo.mark import HUB_NAMESPACE, MARK, OPERATOR_NAMESPACE, crds
from embedding_operator.commands.picture import Scene, picture
from images.build import IMAGES, image_archive
from images.delivery import Delivery, content_of
from tests.cluster.cluster import Cluster
from tests.cluster.kubectl import Kubectl

ROOT = Path(__file__).resolve().parents[1]
MANIFESTS = ROOT / "demo/manifests"
RELEASE = "embedding-operator"


def load_images(cluster: Cluster, names: Iterable[str]) -> None:
    """Build what is not built yet, and put it onto all nodes of a cluster of our own."""
    for name in names:
        with screen.ticking(f"image {name}: building if it changed, loading onto the nodes"):
            cluster.load_image(image_archive(name))


class Delivered(NamedTuple):
    """An image as the nodes know it, and what it was made of: pods that carry the latter roll when it changes."""

    reference: str
    content: str


def deliver_images(way: Delivery, names: Iterable[str]) -> dict[str, Delivered]:
    """Build what is not built yet and put it where the nodes find it."""
    delivered = {}
    for name in names:
        with screen.ticking(f"image {name}: building if it changed, {way.way}"):
            archive = image_archive(name)
            delivered[name] = Delivered(way.deliver(archive, IMAGES[name].reference), content_of(archive))
    return delivered


def install_operator(cluster: Cluster, *values: str) -> str:
    """`helm upgrade --install` on a cluster of our own; the tests' way."""
    return install_chart(cluster.kubectl, cluster.binaries["helm"], "image.tag=test", *values)


def install_chart(kubectl: Kubectl, helm: Path, *values: str) -> str:
    """`helm upgrade --install` into a namespace that enforces the restricted Pod Security Standard."""
    ensure_namespace(kubectl, OPERATOR_NAMESPACE, "restricted")
    output = run_helm(
        kubectl,
        helm,
        *("upgrade", "--install", RELEASE, str(ROOT / "charts/embedding-operator")),
        *("--wait", "--timeout=3m"),
        *(f"--set={value}" for value in values),
    )
    for name in crds(kubectl):
        kubectl("label", "crd", name, f"{MARK}=made", "--overwrite")
    return output


def run_helm(kubectl: Kubectl, helm: Path, *arguments: str) -> str:
    """helm with the same kubeconfig and context as kubectl, in the operator's namespace."""
    place = [f"--kubeconfig={kubectl.kubeconfig}", f"--namespace={OPERATOR_NAMESPACE}"]
    place += [f"--kube-context={kubectl.context}"] if kubectl.context else []
    done = subprocess.run([str(helm), *place, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise DemoError(f"helm {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def manifest(name: str, images: Mapping[str, Delivered], replace: Mapping[str, str] | None = None) -> str:
    """A manifest of the demo, with the images under the names that the nodes know."""
    text = (MANIFESTS / name).read_text()
    for image, delivered in images.items():
        text = text.replace(IMAGES[image].reference, delivered.reference)
    for old, new in (replace or {}).items():
        text = text.replace(old, new)
    return text


def install_hub(kubectl: Kubectl, images: Mapping[str, Delivered] | None = None, bytes_per_second: int = 0) -> None:
    """The stand-in model hub, ready to answer, as fast as it can if no rate is given."""
    content = images["standins"].content if images else "unknown"
    text = manifest("model-hub.yaml", images or {}, {"CONTENT": content, "RATE": str(bytes_per_second)})
    kubectl("apply", "-f", "-", input=text)
    kubectl("-n", HUB_NAMESPACE, "rollout", "status", "deployment/model-hub", "--timeout=180s")


def ensure_namespace(kubectl: Kubectl, name: str, level: str) -> None:
    """A namespace of the demo's that enforces a Pod Security Standard."""
    labels = {"pod-security.kubernetes.io/enforce": level, MARK: "made"}
    metadata = {"name": name, "labels": labels}
    kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}))


def claim(kubectl: Kubectl, namespace: str, volume: str, name: str = "model-weights") -> None:
    """A ReadWriteMany claim on an administrator's static volume."""
    wanted = Claim(namespace, name, shared=True, volume=volume)
    kubectl("apply", "-f", "-", input=json.dumps(wanted.manifest()))


def watch_until_ready(kubectl: Kubectl, namespace: str, service: str, seconds: float = 900) -> None:
    """Show how things stand whenever that changes, until the service is ready: in their place on a terminal, with a bar
    while weights are staged, and else as `kubectl get emb,mcache` prints it."""
    deadline = time.monotonic() + seconds
    show = _in_place(kubectl, namespace) if screen.is_terminal() else _as_tables(kubectl, namespace)
    while time.monotonic() < deadline:
        show()
        if _condition(kubectl, namespace, service, "Ready") == "True":
            show()  # as it is in the end
            return
        if _condition(kubectl, namespace, service, "Stalled") == "True":
            break
        time.sleep(2)
    raise SystemExit(kubectl("-n", namespace, "describe", "emb", service))


def _as_tables(kubectl: Kubectl, namespace: str) -> Callable[[], None]:
    shown = ""

    def show() -> None:
        nonlocal shown
        output = kubectl("-n", namespace, "get", "emb,mcache")
        told = "\n".join(line.rsplit(maxsplit=1)[0] for line in output.splitlines() if line.strip())  # without the age
        if told != shown:
            screen.shell(f"kubectl -n {namespace} get emb,mcache", output)
            shown = told

    return show


def _in_place(kubectl: Kubectl, namespace: str) -> Callable[[], None]:
    """The picture of `embedding-operator status --watch`."""
    screen.shell(f"embedding-operator status --watch --namespace {namespace}", "")
    moving = screen.Moving()

    def items(kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(kubectl("-n", namespace, "get", kind, "-o", "json"))["items"]
        return found

    def show() -> None:
        scene = Scene(items("emb"), items("mcache"))
        moving.show(picture(scene, moving.screen, datetime.now(UTC)))

    return show


def embed(kubectl: Kubectl, base_url: str, model: str, texts: list[str]) -> list[list[float]]:
    """Vectors through the Service, asked for from a pod in the cluster."""
    script = (ROOT / "demo/client.py").read_text()
    target = ["-n", HUB_NAMESPACE, "exec", "-i", "deploy/model-hub", "--"]
    output = kubectl(*target, "python3", "-", base_url, model, json.dumps(texts), input=script)
    vectors: list[list[float]] = json.loads(output)
    return vectors


def _condition(kubectl: Kubectl, namespace: str, service: str, condition: str) -> str:
    path = f'jsonpath={{.status.conditions[?(@.type=="{condition}")].status}}'
    return kubectl("-n", namespace, "get", "emb", service, "-o", path)
