"""Whose cluster the demo runs on, and how images get there. From here on all clusters are treated alike."""

import json
import shutil
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo import claim
from demo.claim import Claim
from demo.errors import DemoError
from images.delivery import Delivery, Kind, Minikube, Registry
from tests.cluster import storage
from tests.cluster.binaries import ensure_binaries
from tests.cluster.cluster import Cluster
from tests.cluster.kubectl import Kubectl
from tests.cluster.sources import HELM, KUBECTL

OWN = "demo"
OWN_NODES = 2
PUBLIC, BUILT, DOUBLE = "public", "built", "double"
SERVERS = (PUBLIC, BUILT, DOUBLE)


@dataclass(frozen=True)
class Target:
    """A cluster, and what the demo is to do there."""

    kubectl: Kubectl
    helm: Path
    images: Delivery
    claim: Claim
    server: str  # where vLLM comes from: one of SERVERS
    npus: int  # stand-in devices that the demo adds to each node

    @property
    def image_names(self) -> list[str]:
        """The images that the cluster needs from here."""
        plugin = ["device-plugin"] if self.npus else []
        return ["operator", "standins", *plugin, *(["vllm-cpu"] if self.server == BUILT else [])]


@dataclass(frozen=True)
class OwnNodes:
    """The nodes of the project's own cluster: containerd imports the archive."""

    cluster: Cluster
    way: str = "import by containerd"

    def check(self) -> None:
        """Always open."""

    def deliver(self, archive: Path, reference: str) -> str:
        self.cluster.load_image(archive)
        return reference


def own_cluster(options: Namespace, say: Callable[[str], None]) -> Target:
    """The project's cluster on this machine, started unless it is up."""
    # Without devices: those of the demo come from a DaemonSet, as on any cluster.
    cluster = Cluster.running(OWN, OWN_NODES, npus=0)
    if cluster:
        say("It is up already, and used as it is; `make demo-down` takes it away.")
    else:
        cluster = Cluster.up(OWN, nodes=OWN_NODES, npus=0, say=say)
    npus = 8 if options.npus is None else options.npus
    own_claim = Claim(shared=True, volume=storage.SHARED)
    return Target(
        cluster.kubectl, cluster.binaries["helm"], OwnNodes(cluster), own_claim, options.server or BUILT, npus
    )


def somebodys_cluster(options: Namespace) -> Target:
    """The cluster of a kubeconfig. Looks, and touches nothing."""
    kubectl = kubectl_for(options)
    images = delivery(context_of(kubectl), options.registry, options.registry_insecure)
    images.check()
    wanted = claim.on_the_cluster(kubectl, options.claim, options.storage_class, options.read_write_many)
    return Target(kubectl, helm(), images, wanted, options.server or PUBLIC, options.npus or 0)


def kubectl_for(options: Namespace) -> Kubectl:
    """kubectl for a kubeconfig: the person's own program, else one built from source."""
    kubeconfig = Path(options.kubeconfig).expanduser().absolute()
    if not kubeconfig.is_file():
        raise DemoError(f"there is no kubeconfig at {options.kubeconfig}: write KUBECONFIG=FILE, one file")
    program = shutil.which("kubectl")
    found = Path(program) if program else ensure_binaries([KUBECTL])["kubectl"]
    return Kubectl(found, kubeconfig, options.context)


def helm() -> Path:
    """The person's own helm, else one built from source."""
    program = shutil.which("helm")
    return Path(program) if program else ensure_binaries([HELM])["helm"]


def context_of(kubectl: Kubectl) -> dict[str, Any]:
    """The kubeconfig with nothing but the context that will be used."""
    view: dict[str, Any] = json.loads(kubectl("config", "view", "--minify", "-o", "json"))
    return view


def delivery(view: dict[str, Any], registry: str, plain_http: bool) -> Delivery:
    """How images get to the cluster of a context; a registry that was named goes before all."""
    if registry:
        return Registry(registry, plain_http)
    context, cluster = view["contexts"][0], view["clusters"][0]
    if cluster["name"].startswith("kind-"):
        return Kind(cluster["name"].removeprefix("kind-"))
    if _is_minikube(context) or _is_minikube(cluster):
        return Minikube(context["name"])
    raise DemoError(
        f"the nodes of context {context['name']} (neither kind's nor minikube's) need a registry to pull the demo's "
        "images from: write REGISTRY=HOST/PREFIX, such as REGISTRY=registry.example.com/team, and "
        "REGISTRY_INSECURE=1 where it speaks plain HTTP"
    )


def _is_minikube(entry: dict[str, Any]) -> bool:
    """minikube writes itself as provider into the extensions of its entries."""
    inner = entry.get("cluster") or entry.get("context") or {}
    extensions = inner.get("extensions") or []
    return any((each.get("extension") or {}).get("provider") == "minikube.sigs.k8s.io" for each in extensions)
