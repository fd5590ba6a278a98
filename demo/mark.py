"""What the demo has made on a cluster, known by a label, so that it never takes a stranger's thing for its own."""

import json

from demo.target import Target
from tests.cluster.kubectl import Kubectl

MARK = "embedding-operator.io/demo"
SELECTOR = f"{MARK}=made"
GROUP = "embedding-operator.io"
OPERATOR_NAMESPACE = "embedding-operator-system"
HUB_NAMESPACE = "model-hub"
NPU_NAMESPACE = "embedding-demo-npus"
_JSONPATH_MARK = MARK.replace(".", r"\.")


def namespaces(target: Target) -> list[str]:
    """The namespaces that the demo makes on a cluster."""
    own = [] if target.claim.existing else [target.claim.namespace]
    return [OPERATOR_NAMESPACE, HUB_NAMESPACE, *own, *([NPU_NAMESPACE] if target.npus else [])]


def is_marked(kubectl: Kubectl, namespace: str) -> bool:
    """Whether there is such a namespace and the demo made it."""
    path = f"jsonpath={{.metadata.labels.{_JSONPATH_MARK}}}"
    return kubectl("get", "namespace", namespace, "--ignore-not-found", "-o", path) == "made"


def crds(kubectl: Kubectl) -> dict[str, bool]:
    """The CustomResourceDefinitions of our group on the cluster, and whether the demo made each."""
    found = json.loads(kubectl("get", "crds", "-o", "json"))["items"]
    return {
        crd["metadata"]["name"]: (crd["metadata"].get("labels") or {}).get(MARK) == "made"
        for crd in found
        if crd["spec"]["group"] == GROUP
    }
