"""A service with two hundred requests in flight, and what is done to it meanwhile: see docs/rollouts.md."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tests.chaos.faults import kill_containers
from tests.chaos.scene import SERVING
from tests.chaos.trickle import Crowd
from tests.e2e.product import DOUBLE, Product
from tests.integration.operating import is_ready, until

Object = dict[str, Any]
Over = Callable[[], bool]
OTHER_TAG = DOUBLE.replace(":test", ":test-2")
MODEL = "embed"
NPU = "huawei.com/Ascend910"
# short requests take a second and a half, long ones seven
_DOUBLE = {"VLLM_DOUBLE_LATENCY_MS": "1500", "VLLM_DOUBLE_LATENCY_MS_PER_TOKEN": "10"}


class Busy:
    """The service `qwen` in a namespace of its own, on stand-in NPUs."""

    def __init__(self, product: Product, replicas: int, **spec: Any) -> None:
        self.product = product
        self.place = product.place()
        for version in ("one", "two"):
            self._write_model(version)
        env = [{"name": name, "value": value} for name, value in _DOUBLE.items()]
        self.runtime = self.place.runtime() | {"env": env}
        self.spec = self._weights("one") | {"runtime": self.runtime, "replicas": replicas} | spec
        self.apply()
        until(self.is_settled, 240)

    def apply(self, **changes: Any) -> None:
        self.spec |= changes
        self.place.double(**self.spec)

    @cached_property
    def url(self) -> str:
        service = self.place.get("service", "qwen") or {}
        return f"http://{service['spec']['clusterIP']}:8000/v1"

    def pods(self) -> list[Object]:
        return self.place.items("pods", SERVING)

    def is_settled(self) -> bool:
        """Nothing is under way: as many pods as asked for, all ready, and none on its way out."""
        service = self.place.get("emb", "qwen") or {}
        seen = (service.get("status") or {}).get("observedGeneration") == service["metadata"]["generation"]
        pods = self.pods()
        still = all(is_ready(pod) and not pod["metadata"].get("deletionTimestamp") for pod in pods)
        return seen and still and len(pods) == service["spec"]["replicas"] and self.place.ready()

    def without(self, pods: list[Object]) -> Over:
        """Whether none of these is left, and nothing is under way."""
        gone = {pod["metadata"]["uid"] for pod in pods}
        return lambda: not gone & {pod["metadata"]["uid"] for pod in self.pods()} and self.is_settled()

    def restarts(self, name: str) -> int:
        pod = self.place.get("pod", name) or {}
        return sum(int(one["restartCount"]) for one in pod["status"].get("containerStatuses") or ())

    def in_flight(self) -> int:
        """On the first of the pods, as it says itself."""
        address = f"http://{self.pods()[0]['status']['podIP']}:8000/-/inflight"
        with urllib.request.urlopen(address, timeout=20) as answer:
            return int(json.load(answer)["inflight"])

    def leave_no_device_free(self) -> None:
        """Pods of somebody else take all devices that are left."""
        offered = sum(int(node["status"]["allocatable"][NPU]) for node in self.place.everywhere("nodes"))

        def taken() -> list[Object]:
            return [pod for pod in self.place.everywhere("pods") if NPU in str(pod["spec"]["containers"])]

        until(lambda: not any(pod["metadata"].get("deletionTimestamp") for pod in taken()), 180)
        free = offered - len(taken())
        labels = {"app": "ballast"}
        container: Object = {"name": "ballast", "image": DOUBLE, "args": ["sleep", "infinity"]}
        container["resources"] = {"limits": {NPU: "1", "cpu": "10m", "memory": "16Mi"}}
        template: Object = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        template["spec"]["terminationGracePeriodSeconds"] = 0
        spec = {"replicas": free, "selector": {"matchLabels": labels}, "template": template}
        self.place.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "ballast"}, "spec": spec})
        self.place.kubectl("rollout", "status", "deployment/ballast", "--timeout=180s")

    def _weights(self, version: str) -> Object:
        return {"model": {"source": {"path": {"path": f"site/{version}"}}, "servedName": MODEL}}

    def _write_model(self, version: str) -> None:
        directory = self.place.directory / "site" / version
        directory.mkdir(parents=True)
        (directory / "config.json").write_text('{"hidden_size": 32, "max_position_embeddings": 4096}')
        (directory / "model.safetensors").write_bytes(version.encode() * 1000)


# ---- what is done to it; each returns how to know that it is over


def another_image(busy: Busy) -> Over:
    for node in busy.product.cluster.nodes:
        node.run(str(node.binaries["ctr"]), "-n", "k8s.io", "images", "tag", "--force", DOUBLE, OTHER_TAG)
    before = busy.pods()
    busy.apply(runtime=busy.runtime | {"image": OTHER_TAG})
    return busy.without(before)


def another_flag(busy: Busy) -> Over:
    before = busy.pods()
    busy.apply(serving={"maxModelLen": 2048})
    return busy.without(before)


def other_weights(busy: Busy) -> Over:
    before = busy.pods()
    busy.apply(**busy._weights("two"))
    return busy.without(before)


def restart(busy: Busy) -> Over:
    before = busy.pods()
    busy.place.kubectl("rollout", "restart", "deployment/qwen")
    return busy.without(before)


def scale_up(busy: Busy) -> Over:
    return _scaled(busy, 4)


def scale_down(busy: Busy) -> Over:
    return _scaled(busy, 2)


def _scaled(busy: Busy, replicas: int) -> Over:
    busy.spec["replicas"] = replicas
    busy.place.kubectl("scale", "emb/qwen", f"--replicas={replicas}")
    return busy.is_settled


def one_pod_deleted(busy: Busy) -> Over:
    pod = busy.pods()[0]
    busy.place.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false")
    return busy.without([pod])


def a_node_drained(busy: Busy) -> Over:
    """With all that runs on it, as an administrator does; it takes pods again afterwards."""
    node = busy.pods()[0]["spec"]["nodeName"]
    there = [pod for pod in busy.pods() if pod["spec"]["nodeName"] == node]
    options = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=300s")
    try:
        busy.product.kubectl("drain", node, *options)
    finally:
        busy.product.kubectl("uncordon", node)
    return busy.without(there)


def a_server_killed(busy: Busy) -> Over:
    """SIGKILL to all processes of a pod; its kubelet starts them again."""
    pod = busy.pods()[0]
    assert kill_containers(busy.product.cluster, [pod])
    name = pod["metadata"]["name"]
    return lambda: busy.restarts(name) > 0 and busy.is_settled()


# ---- what came of it


@dataclass(frozen=True)
class Outcome:
    """One line of the table."""

    what: str
    replicas: int
    seconds: float
    clients: int
    told: Object

    @property
    def failed(self) -> int:
        return int(self.told["failed"])


def undergo(busy: Busy, what: str, change: Callable[[Busy], Over], seconds: float = 300) -> Outcome:
    """A change under load, from a moment in which all clients have been answered until some seconds after its end."""
    replicas = len(busy.pods())
    with Crowd(busy.url, MODEL) as crowd:
        until(lambda: crowd.requests > 4 * crowd.number, 120)
        began = time.monotonic()
        over = change(busy)
        until(over, seconds)
        took = time.monotonic() - began
        seen = crowd.requests
        until(lambda: crowd.requests > seen + crowd.number, 120)
    return Outcome(what, replicas, took, crowd.number, crowd.told())
