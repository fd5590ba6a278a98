"""The demo, told as it goes: a cluster, the operator, a manifest, real vectors; then the same on stand-in NPUs."""

import argparse
import json
import sys
import time

from demo import install, screen
from tests.cluster.cleanup import clean_up
from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError
from tests.cluster.kubectl import Kubectl

NAME = "demo"
COLUMNS = (
    "custom-columns=NODE:.metadata.name,VERSION:.status.nodeInfo.kubeletVersion,"
    r"NPUS:.status.allocatable.huawei\.com/Ascend910"
)
SERVED = "embedding-operator.io/service=qwen3-vl-embedding"
TASK = "Given a web search query, retrieve relevant passages that answer the query"
QUERIES = ["What is the capital of China?", "Explain gravity"]
DOCUMENTS = [
    "The capital of China is Beijing.",
    "Gravity is a force that attracts two bodies towards each other. It gives weight to physical objects and is "
    "responsible for the movement of planets around the sun.",
]


def main() -> int:
    """Run the demo, or take it down."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("action", nargs="?", choices=("up", "down"), default="up", help="default: up")
    arguments = parser.parse_args()
    try:
        return take_down() if arguments.action == "down" else run()
    except ClusterError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def run() -> int:
    """All of it, in order."""
    began = time.monotonic()
    screen.heading("1. A Kubernetes cluster: two nodes, each with eight stand-in Ascend NPUs")
    screen.note("Built from source once (about 20 minutes on two cores), then kept; up in seconds after that.")
    cluster = Cluster.up(NAME, nodes=2, npus=8, say=screen.note)
    kubectl = cluster.kubectl
    screen.shell("kubectl get nodes", kubectl("get", "nodes", "-o", COLUMNS))

    screen.heading("2. The operator, from its Helm chart")
    install.load_images(cluster, ["operator", "standins", "vllm-cpu"])
    with screen.ticking("helm upgrade --install embedding-operator charts/embedding-operator"):
        install.install_operator(cluster)
    screen.shell("kubectl get runtimeprofiles", kubectl("get", "rp"))

    screen.heading("3. One manifest")
    screen.note("A stand-in for the ModelScope hub runs in the cluster, since this machine may have no way out.")
    install.install_hub(kubectl)
    install.ensure_namespace(kubectl, "demo", "baseline")
    install.claim(kubectl, "demo", "shared-weights")
    manifest = install.MANIFESTS / "minilm.yaml"
    screen.shell("cat demo/manifests/minilm.yaml", manifest.read_text())
    screen.shell("kubectl apply -f demo/manifests/minilm.yaml", kubectl("apply", "-f", str(manifest)))
    install.watch_until_ready(kubectl, "demo", "minilm")

    screen.heading("4. Vectors from a real vLLM, through the Service")
    right = show_scores(kubectl)

    screen.heading("5. The same for Ascend: four replicas, one NPU each, over two nodes")
    screen.note("The NPUs are stand-ins, and so is the server: a double of vLLM that speaks its API. All else is real.")
    show_ascend(cluster)

    screen.heading("Yours to try")
    for line in hints(cluster):
        screen.note(line)
    screen.note(f"({time.monotonic() - began:.0f} s in all)")
    return 0 if right else 1


def show_scores(kubectl: Kubectl) -> bool:
    """Embed the guide's four texts and print query x document; whether each query finds its own document."""
    queries = [f"Instruct: {TASK}\nQuery:{query}" for query in QUERIES]
    vectors = install.embed(kubectl, "http://minilm.demo.svc:8000/v1", "text-embedding", queries + DOCUMENTS)
    screen.note(f"{len(vectors)} texts, {len(vectors[0])} dimensions each")
    rows = [[sum(a * b for a, b in zip(q, d, strict=True)) for d in vectors[2:]] for q in vectors[:2]]
    screen.note(f"{'query':32}{DOCUMENTS[0]:36}{DOCUMENTS[1][:32]}…")
    for query, row in zip(QUERIES, rows, strict=True):
        screen.note(f"{query:32}" + "".join(f"{score:<36.3f}" for score in row).rstrip())
    right = all(row.index(max(row)) == place for place, row in enumerate(rows))
    screen.note("Each query finds its own document." if right else "WRONG: a query prefers the other document.")
    return right


def show_ascend(cluster: Cluster) -> None:
    """The README's manifest on stand-in NPUs: spread over the nodes, one device per pod."""
    kubectl = cluster.kubectl
    install.ensure_namespace(kubectl, "ascend", "privileged")  # the profile mounts the driver from the host
    cluster.add_volume("ascend-weights")
    install.claim(kubectl, "ascend", "ascend-weights")
    kubectl("apply", "-f", str(install.MANIFESTS / "ascend.yaml"))
    install.watch_until_ready(kubectl, "ascend", "qwen3-vl-embedding")
    pods = json.loads(kubectl("-n", "ascend", "get", "pods", "-l", SERVED, "-o", "json"))["items"]
    screen.note(f"{'POD':45}{'NODE':20}DEVICE")
    for pod in pods:
        name = pod["metadata"]["name"]
        device = kubectl("-n", "ascend", "exec", name, "--", "printenv", "ASCEND_VISIBLE_DEVICES").strip()
        screen.note(f"{name:45}{pod['spec']['nodeName']:20}{device}")


def hints(cluster: Cluster) -> list[str]:
    """How to go on by oneself."""
    kubectl = f"{cluster.binaries['kubectl']} --kubeconfig {cluster.kubeconfig}"
    return [
        f"alias k='{kubectl}'",
        "k get emb,mcache,pods -A",
        "k -n demo port-forward svc/minilm 8000 &",
        "curl localhost:8000/v1/embeddings -H 'Content-Type: application/json' "
        '-d \'{"model": "text-embedding", "input": "hello"}\'',
        "k explain emb.spec.model",
        "make demo-down        takes all of it away",
    ]


def take_down() -> int:
    """Stop the demo's cluster; nothing stays but caches."""
    with screen.ticking("taking the demo's cluster down"):
        clean_up(NAME)
    return 0


if __name__ == "__main__":
    sys.exit(main())
