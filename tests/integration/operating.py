"""What the tests of the running operator share: a namespace each, manifests, and waiting."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from typing import Any

from tests.cluster.api import Api
from tests.cluster.errors import ClusterError
from tests.cluster.kubectl import Kubectl

Object = dict[str, Any]
DIGEST = "sha256:" + "ab" * 32
STAGED = {"digest": DIGEST, "path": "modelscope/Qwen--X/abc", "revision": "abc", "files": 3, "bytes": 100}
CHILDREN = ("deployment", "service", "poddisruptionbudget", "controllerrevision", "configmap")


class Namespace:
    """A namespace of the test's own, and short ways to write and read in it."""

    def __init__(self, kubectl: Kubectl, existing: str = "") -> None:
        self.name = existing or f"op-{secrets.token_hex(4)}"
        self._kubectl = kubectl
        self._api = Api(kubectl.kubeconfig, kubectl.context)
        if not existing:
            kubectl("create", "namespace", self.name)

    def kubectl(self, *arguments: str, input: str | None = None) -> str:
        return self._kubectl("-n", self.name, *arguments, input=input)

    def apply(self, manifest: Object) -> str:
        return self.kubectl("apply", "-f", "-", input=json.dumps(manifest))

    def claim(self, name: str = "model-weights") -> None:
        spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": name},
                "spec": spec | {"storageClassName": ""},
            }
        )

    def service(self, name: str = "qwen", **spec: Any) -> None:
        base: Object = {
            "model": {"source": {"modelScope": {"repo": "Qwen/Qwen3-Embedding-0.6B"}}},
            "cache": {"claimName": "model-weights"},
            "runtime": {"profile": "cpu"},
            "replicas": 2,
        }
        self.apply(
            {
                "apiVersion": "embedding-operator.io/v1alpha1",
                "kind": "EmbeddingService",
                "metadata": {"name": name},
                "spec": {key: value for key, value in (base | spec).items() if value is not None},
            }
        )

    def items(self, kind: str, selector: str = "") -> list[Object]:
        return self._api.items(kind, self.name, selector)

    def everywhere(self, kind: str) -> list[Object]:
        """Those of all namespaces."""
        return self._api.items(kind)

    def get(self, kind: str, name: str) -> Object | None:
        return self._api.get(kind, name, self.name)

    def children(self) -> list[Object]:
        """All that the operator made here, but for what it watches only."""
        selector = "app.kubernetes.io/managed-by=embedding-operator"
        return [one for kind in CHILDREN for one in self.items(kind, selector)]

    def condition(self, kind: str, name: str, condition: str = "Ready") -> Object:
        return condition_of(self.get(kind, name) or {}, condition)

    def write_status(self, kind: str, name: str, status: Object) -> None:
        """As whoever else writes statuses does: kubelets, controllers, and the operator itself."""
        self._api.write_status(kind, name, self.name, status)

    def stage(self) -> None:
        """Say that the weights are there, as the staging Job's result would."""
        until(lambda: len(self.items("modelcache")) == 1)
        (cache,) = self.items("modelcache")
        self.write_status("modelcache", cache["metadata"]["name"], STAGED)


def own_profile(namespace: Namespace, *, rollout: Object | None = None, **pod: Any) -> str:
    """A profile of the test's own, made or edited: the built-in one for CPUs but for what is said of its pods."""
    until(lambda: namespace.get("rp", "cpu") is not None)
    cpu = namespace.get("rp", "cpu") or {}
    name = f"site-{namespace.name}"
    spec = cpu["spec"] | {"pod": cpu["spec"]["pod"] | pod} | ({"rollout": rollout} if rollout else {})
    namespace.apply({"apiVersion": cpu["apiVersion"], "kind": cpu["kind"], "metadata": {"name": name}, "spec": spec})
    return name


def is_ready(pod: Object) -> bool:
    """Whether a pod counts as an endpoint."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def condition_of(obj: Object, condition: str = "Ready") -> Object:
    """One of its conditions; of one that is not there, empty words."""
    found = [c for c in (obj.get("status") or {}).get("conditions") or () if c["type"] == condition]
    return found[0] if found else {"status": "", "reason": "", "message": ""}


def make_ready(namespace: Namespace, service: str) -> None:
    """All pods of a service are ready, as a kubelet would tell."""
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    for pod in namespace.items("pod", f"embedding-operator.io/service={service}"):
        try:
            namespace.write_status("pod", pod["metadata"]["name"], ready)
        except ClusterError as error:
            if "NotFound" not in str(error):  # it has been replaced meanwhile
                raise


def settle(namespace: Namespace, service: str) -> None:
    """Play kubelet until a service is Ready as it is written now."""

    def is_settled() -> bool:
        make_ready(namespace, service)
        obj = namespace.get("emb", service) or {}
        told = condition_of(obj)
        return bool(told["status"] == "True" and told["observedGeneration"] == obj["metadata"]["generation"])

    until(is_settled)


def pod_of(namespace: Namespace, task: str) -> Object:
    """The one pod of a task's Job, once there is one."""
    selector = f"app.kubernetes.io/name={task}"
    until(lambda: len(namespace.items("pod", selector)) == 1)
    (pod,) = namespace.items("pod", selector)
    return pod


def end(namespace: Namespace, task: str, message: Object, code: int = 0) -> None:
    """The pod of a task's Job ends, as a kubelet would tell."""
    pod = pod_of(namespace, task)
    ended = {"exitCode": code, "message": json.dumps(message), "startedAt": None, "finishedAt": None}
    container = pod["spec"]["containers"][0]["name"]
    status = {"name": container, "image": "x", "imageID": "x", "ready": False, "restartCount": 0}
    phase = "Failed" if code else "Succeeded"
    containers = [status | {"state": {"terminated": ended}}]
    namespace.write_status("pod", pod["metadata"]["name"], {"phase": phase, "containerStatuses": containers})


def until(condition: Callable[[], bool], seconds: float = 90) -> None:
    """Wait for what must happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.2)


def versions(objects: list[Object]) -> dict[str, str]:
    return {f"{o['kind']}/{o['metadata']['name']}": o["metadata"]["resourceVersion"] for o in objects}
