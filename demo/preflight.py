"""Looks at somebody's cluster before anything on it is touched, and refuses where the demo would do harm or fail."""

import json
import platform
from typing import Any

from demo.errors import DemoError
from demo.mark import MARK, OPERATOR_NAMESPACE, crds, is_marked, namespaces
from demo.target import Target
from images.debian import ARCHITECTURES
from tests.cluster.kubectl import Kubectl

NPU = "huawei.com/Ascend910"
NPUS_NEEDED = 4  # one for each replica of the demo's service


def check(target: Target) -> None:
    """Raise DemoError with what is in the way."""
    _no_installation(target.kubectl)
    _namespaces_free(target)
    nodes = json.loads(target.kubectl("get", "nodes", "-o", "json"))["items"]
    _one_architecture(nodes)
    if target.npus:
        _no_devices(target, nodes)


def _no_installation(kubectl: Kubectl) -> None:
    strange = [name for name, marked in crds(kubectl).items() if not marked]
    if strange and not is_marked(kubectl, OPERATOR_NAMESPACE):
        raise DemoError(
            f"an embedding-operator is installed here already ({strange[0]} is not the demo's): the demo would change "
            "it, so nothing was touched. Use another cluster, or apply examples/ to this one by hand"
        )


def _namespaces_free(target: Target) -> None:
    for name in namespaces(target):
        if target.kubectl("get", "namespace", name, "--ignore-not-found", "-o", "name") and not is_marked(
            target.kubectl, name
        ):
            raise DemoError(
                f"namespace {name} is there and not the demo's (it lacks the label {MARK}): nothing was touched. "
                "Delete or rename it, or use another cluster"
            )


def _one_architecture(nodes: list[dict[str, Any]]) -> None:
    here = ARCHITECTURES.get(platform.machine(), platform.machine())
    for node in nodes:
        there = node["status"]["nodeInfo"]["architecture"]
        if there != here:
            raise DemoError(
                f"node {node['metadata']['name']} is {there} and this machine builds images for {here}: "
                f"run the demo on a machine that is {there}"
            )


def _no_devices(target: Target, nodes: list[dict[str, Any]]) -> None:
    """A stand-in plugin beside a real one would take its devices away."""
    if target.npus < NPUS_NEEDED:
        raise DemoError(f"NPUS={target.npus}: write at least {NPUS_NEEDED}, one for each replica, or leave it out")
    if is_marked(target.kubectl, "embedding-demo-npus"):
        return  # these are the demo's own
    for node in nodes:
        if int(node["status"].get("allocatable", {}).get(NPU, 0)):
            raise DemoError(
                f"node {node['metadata']['name']} offers {NPU} already: stand-in devices would get in the way of the "
                "real ones. Leave NPUS and DEVICE_PLUGIN out, or use another cluster"
            )
