"""The demo, told as it goes: the operator, a manifest, real vectors; then several replicas on stand-in NPUs.

One code path for every cluster: what differs (how images get there, where weights go, which server) is in the target.
"""

import json
from collections.abc import Mapping

from demo import install, screen
from demo.errors import DemoError
from demo.install import Delivered
from demo.mark import HUB_NAMESPACE, NPU_NAMESPACE
from demo.target import BUILT, DOUBLE, PUBLIC, Target
from embedding_operator.planning.profiles import CPU
from tests.cluster.errors import ClusterError
from tests.cluster.kubectl import Kubectl
from tests.cluster.waiting import wait_until

COLUMNS = (
    "custom-columns=NODE:.metadata.name,VERSION:.status.nodeInfo.kubeletVersion,"
    r"NPUS:.status.allocatable.huawei\.com/Ascend910"
)
HUB_RATE = 8_000_000  # bytes a second and file
SERVED = "embedding-operator.io/service=qwen3-vl-embedding"
TASK = "Given a web search query, retrieve relevant passages that answer the query"
QUERIES = ["What is the capital of China?", "Explain gravity"]
DOCUMENTS = [
    "The capital of China is Beijing.",
    "Gravity is a force that attracts two bodies towards each other. It gives weight to physical objects and is "
    "responsible for the movement of planets around the sun.",
]
SERVER_WORDS = {
    PUBLIC: "a real vLLM, in its upstream's public image",
    BUILT: "a real vLLM, built here because nodes without a way out can pull nothing",
    DOUBLE: "a double of vLLM that speaks its API; its vectors mean nothing",
}


def tell(target: Target) -> bool:
    """All of it, from the images on; whether each query found its document."""
    kubectl = target.kubectl
    screen.shell("kubectl get nodes", kubectl("get", "nodes", "-o", COLUMNS))

    screen.heading("2. The operator, from its Helm chart")
    images = install.deliver_images(target.images, target.image_names)
    with screen.ticking("helm upgrade --install embedding-operator charts/embedding-operator"):
        install_operator(target, *images["operator"])
    use_server(target, images)
    screen.shell("kubectl get runtimeprofiles", kubectl("get", "rp"))

    screen.heading("3. One manifest")
    screen.note("A stand-in for the ModelScope hub runs in the cluster, since nodes may have no way out.")
    # where somebody watches, as slow as a good line to the real one, so that there is something to see
    install.install_hub(kubectl, images, HUB_RATE if screen.is_terminal() else 0)
    if not target.claim.existing:
        install.ensure_namespace(kubectl, target.claim.namespace, "baseline")
        kubectl("apply", "-f", "-", input=json.dumps(target.claim.manifest()))
    text = own_manifest("minilm.yaml", target, images)
    screen.shell("cat demo/manifests/minilm.yaml", text)
    screen.shell("kubectl apply -f demo/manifests/minilm.yaml", kubectl("apply", "-f", "-", input=text))
    install.watch_until_ready(kubectl, target.claim.namespace, "minilm")

    screen.heading("4. Vectors through the Service")
    screen.note(f"The server is {SERVER_WORDS[target.server]}.")
    right = show_scores(target) or target.server == DOUBLE

    if target.npus:
        screen.heading("5. The same for Ascend: four replicas, one NPU each")
        screen.note("The NPUs are stand-ins, and so is the server: a double of vLLM that speaks its API.")
        show_npus(target, images)

    screen.heading("Yours to try")
    for line in hints(target):
        screen.note(line)
    return right


def install_operator(target: Target, image: str, content: str) -> None:
    """The chart, with the image as the nodes know it; pods roll when its content is another under the same name."""
    repository, _, tag = image.rpartition(":")
    values = [f"image.repository={repository}", f"image.tag={tag}"]
    values.append(rf"podAnnotations.embedding-operator\.io/content={content}")
    install.install_chart(target.kubectl, target.helm, *values)


def use_server(target: Target, images: Mapping[str, Delivered]) -> None:
    """Have the profile `cpu` name the server's image, as an administrator would for a mirror; public by default."""
    ours = {BUILT: "vllm-cpu", DOUBLE: "standins"}.get(target.server)
    image = images[ours].reference if ours else CPU["spec"]["runtime"]["image"]
    wanted = {"spec": {"runtime": {"image": image}}}
    wait_until("the operator has made its profiles", lambda: _profile_is_there(target.kubectl), timeout=60)
    target.kubectl("patch", "runtimeprofile", "cpu", "--type=merge", "-p", json.dumps(wanted))


def own_manifest(name: str, target: Target, images: Mapping[str, Delivered]) -> str:
    """A manifest for the demo's namespace and claim."""
    claim = target.claim
    places = {"namespace: embedding-demo": claim.namespace, "claimName: model-weights": claim.name}
    replace = {old: f"{old.partition(':')[0]}: {new}" for old, new in places.items()}
    return install.manifest(name, images, replace)


def show_scores(target: Target) -> bool:
    """Embed the guide's four texts and print query x document; whether each query finds its own document."""
    queries = [f"Instruct: {TASK}\nQuery:{query}" for query in QUERIES]
    url = f"http://minilm.{target.claim.namespace}.svc:8000/v1"
    vectors = install.embed(target.kubectl, url, "text-embedding", queries + DOCUMENTS)
    screen.note(f"{len(vectors)} texts, {len(vectors[0])} dimensions each")
    rows = [[sum(a * b for a, b in zip(q, d, strict=True)) for d in vectors[2:]] for q in vectors[:2]]
    screen.note(f"{'query':32}{DOCUMENTS[0]:36}{DOCUMENTS[1][:32]}…")
    for query, row in zip(QUERIES, rows, strict=True):
        screen.note(f"{query:32}" + "".join(f"{score:<36.3f}" for score in row).rstrip())
    right = all(row.index(max(row)) == place for place, row in enumerate(rows))
    if target.server != DOUBLE:
        screen.note("Each query finds its own document." if right else "WRONG: a query prefers the other document.")
    return right


def show_npus(target: Target, images: Mapping[str, Delivered]) -> None:
    """Stand-in devices by a DaemonSet, a site's own profile for them, and the README's manifest: one device per pod."""
    kubectl = target.kubectl
    install.ensure_namespace(kubectl, NPU_NAMESPACE, "privileged")  # a device plugin talks to the kubelet's sockets
    plugin = install.manifest("device-plugin.yaml", images, {"NPUS": str(target.npus)})
    kubectl("apply", "-f", "-", input=plugin)
    kubectl("-n", NPU_NAMESPACE, "rollout", "status", "daemonset/ascend-device-plugin", "--timeout=180s")
    profile = install.manifest("ascend-profile.yaml", images)
    kubectl("apply", "-f", "-", input=profile)
    kubectl("patch", "runtimeprofile", "ascend-standin", "--type=merge", "-p", json.dumps(_placement(target)))
    text = own_manifest("ascend.yaml", target, images)
    screen.shell("kubectl apply -f demo/manifests/ascend.yaml", kubectl("apply", "-f", "-", input=text))
    namespace = target.claim.namespace
    install.watch_until_ready(kubectl, namespace, "qwen3-vl-embedding")
    pods = json.loads(kubectl("-n", namespace, "get", "pods", "-l", SERVED, "-o", "json"))["items"]
    screen.note(f"{'POD':45}{'NODE':20}DEVICE")
    for pod in pods:
        name = pod["metadata"]["name"]
        device = kubectl("-n", namespace, "exec", name, "--", "printenv", "ASCEND_VISIBLE_DEVICES").strip()
        screen.note(f"{name:45}{pod['spec']['nodeName']:20}{device}")


def _placement(target: Target) -> dict[str, object]:
    """All on the node where the volume is, where only one node at a time may mount it."""
    if target.claim.shared:
        return {"spec": {"pod": {"nodeSelector": None}}}
    place = ["-n", target.claim.namespace, "get", "pods", "-l", "embedding-operator.io/service=minilm"]
    node = target.kubectl(*place, "-o", "jsonpath={.items[0].spec.nodeName}")
    if not node:
        raise DemoError("the pod of minilm is gone: run the demo again")
    screen.note(f"The claim is ReadWriteOnce, so all replicas go to node {node}.")
    return {"spec": {"pod": {"nodeSelector": {"kubernetes.io/hostname": node}}}}


def _profile_is_there(kubectl: Kubectl) -> bool:
    try:
        return bool(kubectl("get", "runtimeprofile", "cpu", "--ignore-not-found", "-o", "name"))
    except ClusterError:
        return False  # the API server has yet to learn of the kind


def hints(target: Target) -> list[str]:
    """How to go on by oneself."""
    own = target.kubectl
    context = f" --context {own.context}" if own.context else ""
    return [
        f"alias k='{own.program} --kubeconfig {own.kubeconfig}{context}'",
        "k get emb,mcache,pods -A",
        f"k -n {target.claim.namespace} port-forward svc/minilm 8000 &",
        "curl localhost:8000/v1/embeddings -H 'Content-Type: application/json' "
        '-d \'{"model": "text-embedding", "input": "hello"}\'',
        f"k -n {HUB_NAMESPACE} get pods    # the stand-in hub",
        "k explain emb.spec.model",
    ]
