"""The claim that the demo's weights go to: one of its own, by static volume or storage class, or one that is there."""

import json
from dataclasses import dataclass
from typing import Any

from demo.errors import DemoError
from tests.cluster.kubectl import Kubectl

NAMESPACE = "embedding-demo"
NAME = "model-weights"
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


@dataclass(frozen=True)
class Claim:
    """Where weights go. `volume`: an administrator's static volume; neither it nor a class: the default class."""

    namespace: str = NAMESPACE
    name: str = NAME
    existing: bool = False
    shared: bool = False  # ReadWriteMany
    storage_class: str | None = None
    volume: str = ""

    def manifest(self) -> dict[str, Any]:
        """The claim as the demo makes it."""
        spec: dict[str, Any] = {
            "accessModes": ["ReadWriteMany" if self.shared else "ReadWriteOnce"],
            "resources": {"requests": {"storage": "10Gi"}},
        }
        if self.volume:
            spec |= {"storageClassName": "", "volumeName": self.volume}
        elif self.storage_class:
            spec["storageClassName"] = self.storage_class
        metadata = {"name": self.name, "namespace": self.namespace}
        return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def on_the_cluster(kubectl: Kubectl, claim: str, storage_class: str, shared: bool) -> Claim:
    """What was asked for, or the cluster's default class, after a look whether it is there."""
    if claim:
        return _existing(kubectl, claim)
    classes = json.loads(kubectl("get", "storageclasses", "-o", "json"))["items"]
    names = [each["metadata"]["name"] for each in classes]
    if storage_class:
        if storage_class not in names:
            raise DemoError(f"there is no StorageClass {storage_class}; the cluster has {', '.join(names) or 'none'}")
        return Claim(shared=shared, storage_class=storage_class)
    if not any((each["metadata"].get("annotations") or {}).get(_DEFAULT_CLASS) == "true" for each in classes):
        raise DemoError(
            "the cluster has no default StorageClass: write STORAGE_CLASS=NAME "
            f"({', '.join(names) or 'it has none'}), or CLAIM=NAMESPACE/NAME for a claim that is there"
        )
    return Claim(shared=shared)


def _existing(kubectl: Kubectl, claim: str) -> Claim:
    namespace, _, name = claim.partition("/")
    if not (namespace and name):
        raise DemoError(f"claim {claim!r}: write CLAIM=NAMESPACE/NAME")
    found = kubectl("-n", namespace, "get", "pvc", name, "--ignore-not-found", "-o", "json")
    if not found.strip():
        raise DemoError(f"there is no PersistentVolumeClaim {name} in namespace {namespace}")
    modes = json.loads(found)["spec"]["accessModes"]
    return Claim(namespace, name, existing=True, shared="ReadWriteMany" in modes)
