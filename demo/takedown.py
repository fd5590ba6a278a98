"""Takes the demo off somebody's cluster: all that it made, nothing that it did not make; what stays is said and why."""

import json
from pathlib import Path
from typing import Any

from demo import install, screen
from demo.mark import GROUP, OPERATOR_NAMESPACE, SELECTOR, crds, is_marked
from embedding_operator.planning.profiles import BUILT_IN
from tests.cluster.kubectl import Kubectl
from tests.cluster.waiting import wait_until

HUB = "http://model-hub.model-hub.svc"
PROFILES = {*(str(profile["metadata"]["name"]) for profile in BUILT_IN), "ascend-standin"}
MANAGED = "app.kubernetes.io/managed-by=embedding-operator"


def take_down(kubectl: Kubectl, helm: Path) -> list[str]:
    """Remove the demo; returns what stays on the cluster, one line each."""
    kinds = crds(kubectl)
    if not (any(kinds.values()) or kubectl("get", "namespaces", "-l", SELECTOR, "-o", "name")):
        return ["everything; nothing of the demo was on this cluster"]
    kept = _delete_services(kubectl) if kinds else []
    if is_marked(kubectl, OPERATOR_NAMESPACE) and install.run_helm(kubectl, helm, "list", "--short"):
        with screen.ticking("helm uninstall embedding-operator"):
            install.run_helm(kubectl, helm, "uninstall", install.RELEASE, "--wait", "--timeout=3m")
    with screen.ticking("deleting the demo's namespaces"):
        kubectl("delete", "namespace", "-l", SELECTOR, "--timeout=180s")
    kept += _delete_kinds(kubectl)
    return [*kept, "the images, where they were pushed or loaded"]


def _delete_services(kubectl: Kubectl) -> list[str]:
    """The demo's services and caches, while the operator is there to clean up behind them in a namespace of yours."""
    kept: list[str] = []
    services = _items(kubectl, "embeddingservices", "-l", SELECTOR)
    for namespace in sorted({str(service["metadata"]["namespace"]) for service in services}):
        kubectl("-n", namespace, "delete", "embeddingservices", "-l", SELECTOR, "--timeout=60s")
        weights = _delete_caches(kubectl, namespace)
        if not is_marked(kubectl, namespace):
            kept += weights
            _wait_for_the_operator(kubectl, namespace)
    return kept


def _delete_caches(kubectl: Kubectl, namespace: str) -> list[str]:
    """The caches that were staged from the demo's hub, known by its address; what is left on the claim by each."""
    left = []
    for cache in _items(kubectl, "modelcaches"):
        metadata, spec = cache["metadata"], cache["spec"]
        if metadata["namespace"] != namespace or (spec["source"].get("modelScope") or {}).get("endpoint") != HUB:
            continue
        kubectl("-n", namespace, "delete", "modelcache", metadata["name"])
        if path := (cache.get("status") or {}).get("path"):
            claim = spec["storage"].get("claimName")
            left.append(f"{path} on claim {namespace}/{claim}, as weights are never deleted by the way")
    return left


def _wait_for_the_operator(kubectl: Kubectl, namespace: str) -> None:
    """Until nothing that it manages is left, unless it manages something for somebody else there."""
    left = [each for name in crds(kubectl) for each in _items(kubectl, name)]
    if any(each["metadata"].get("namespace") == namespace for each in left):
        return

    def clean() -> bool:
        return not kubectl("-n", namespace, "get", "configmaps,deployments,jobs", "-l", MANAGED, "-o", "name")

    wait_until(f"the operator has cleaned up in {namespace}", clean, timeout=90)


def _delete_kinds(kubectl: Kubectl) -> list[str]:
    """The CustomResourceDefinitions, unless objects of somebody else would go with them."""
    ours = [name for name, marked in crds(kubectl).items() if marked]
    others = [
        f"{each['kind']} {each['metadata'].get('namespace', '')}/{each['metadata']['name']}".replace(" /", " ")
        for name in ours
        for each in _items(kubectl, name)
        if each["kind"] != "RuntimeProfile" or each["metadata"]["name"] not in PROFILES
    ]
    if others:
        return [
            f"the kinds of {GROUP} and their profiles, because these are not the demo's and would go with them: "
            f"{', '.join(others)} (delete them, then take the demo down again)"
        ]
    if ours:
        kubectl("delete", "crd", *ours, "--timeout=60s")
    return []


def _items(kubectl: Kubectl, resource: str, *selector: str) -> list[dict[str, Any]]:
    plural = resource if "." in resource else f"{resource}.{GROUP}"
    scope = [] if plural.startswith("runtimeprofiles") else ["--all-namespaces"]
    found: list[dict[str, Any]] = json.loads(kubectl("get", plural, *scope, *selector, "-o", "json"))["items"]
    return found
