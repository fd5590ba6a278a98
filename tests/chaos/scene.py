"""One service under fire: made, asked all the time, hit, and compared with what it would be without the fault."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import cached_property
from typing import Any

from tests.chaos import state
from tests.chaos.faults import pods_on_nodes
from tests.chaos.state import State
from tests.chaos.trickle import Trickle
from tests.cluster.errors import ClusterError
from tests.e2e.product import QWEN, Place, Product
from tests.integration.operating import is_ready, until

Object = dict[str, Any]
TEXTS = ["What is the capital of China?", "The capital of China is Beijing.", "gravity"]
SERVING = "embedding-operator.io/service=qwen"
STAGING = "app.kubernetes.io/name=model-staging"
ASKED = 8
"""Requests on connections of their own: enough to meet each of a few pods."""


class Scene:
    """A namespace with the service `qwen`."""

    def __init__(self, product: Product, beside: Place | None = None) -> None:
        self.product = product
        self.cluster = product.cluster
        self.place: Place = product.place(beside=beside)

    # ---- what happens to it without any fault

    def serve(self, replicas: int = 2, **spec: Any) -> None:
        self.place.double(replicas=replicas, **spec)

    def is_serving(self, replicas: int) -> bool:
        condition = self.place.condition("emb", "qwen")
        ready, message = condition["status"] == "True", str(condition["message"])
        return ready and message.startswith(f"{replicas} of {replicas} ")

    def until_serving(self, replicas: int = 2, seconds: float = 300) -> None:
        until(lambda: self.is_serving(replicas), seconds)

    def scale(self, replicas: int) -> None:
        self.place.kubectl("scale", "emb/qwen", f"--replicas={replicas}")

    # ---- how it is asked

    @cached_property
    def url(self) -> str:
        """Through the Service, from this machine; looked up once, as the API server may be away later."""
        service = self.place.get("service", "qwen") or {}
        return f"http://{service['spec']['clusterIP']}:8000/v1"

    def trickle(self) -> Trickle:
        return Trickle(self.url, QWEN)

    def vectors(self) -> list[list[float]]:
        return ask(self.url)

    # ---- what there is

    def serving_pods(self) -> list[Object]:
        """Without those that are on their way out."""
        return [pod for pod in self.place.items("pods", SERVING) if not pod["metadata"].get("deletionTimestamp")]

    def staging_pods(self) -> list[Object]:
        return self.place.items("pods", STAGING)

    def state(self) -> State:
        objects = state.read(self.product.kubectl, self.place.name)
        return state.normalised(objects, self.place.name) | state.volume(self.place.directory)

    def settled_state(self) -> State:
        """As it is once nothing moves any more: no pod on its way out, and two looks see the same."""
        looks: list[State] = [{}]

        def still() -> bool:
            time.sleep(1)
            looks.append(self.state())
            return looks[-1] == looks[-2] and "deletionTimestamp" not in json.dumps(looks[-1])

        until(still, 180)
        return looks[-1]

    # ---- whether it is as it would be

    def settles(self, expected: State, seconds: float = 300) -> None:
        """Wait until nothing tells this run from an undisturbed one; say what does when the time is over."""
        told: list[str] = []

        def equal() -> bool:
            time.sleep(1)
            told[:] = state.differences(expected, self.state()) + self.endpoints_that_are_wrong() + self.strays()
            return not told

        try:
            until(equal, seconds)
        except AssertionError:
            raise AssertionError("\n".join(told[:40])) from None

    def endpoints_that_are_wrong(self) -> list[str]:
        """Addresses that the Service sends to and must not, or must send to and does not."""
        slices = self.place.items("endpointslices", "kubernetes.io/service-name=qwen")
        sent = {
            address
            for one in slices
            for endpoint in one.get("endpoints") or ()
            for address in endpoint["addresses"]
            if endpoint["conditions"].get("ready")
        }
        ready = {pod["status"]["podIP"] for pod in self.serving_pods() if is_ready(pod)}
        return [f"{address}: an endpoint or a ready pod, not both" for address in sorted(sent ^ ready)]

    def strays(self) -> list[str]:
        """Pods that run on a node though the API server knows them no more."""
        known = {pod["metadata"]["uid"] for pod in self.place.everywhere("pods")}
        return [f"pod {uid} runs on and is unknown" for uid in sorted(pods_on_nodes(self.cluster) - known)]

    def answers_rightly(self, expected: list[list[float]]) -> None:
        """Several requests on connections of their own, so that each pod is asked: the same vectors as ever."""
        for _ in range(ASKED):
            assert self.vectors() == expected


def ask(url: str) -> list[list[float]]:
    """The vectors of TEXTS, on a connection of its own."""
    body = json.dumps({"model": QWEN, "input": TEXTS}).encode()
    request = urllib.request.Request(f"{url}/embeddings", data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        rows = json.load(answer)["data"]
    return [row["embedding"] for row in sorted(rows, key=lambda row: int(row["index"]))]


def patiently(condition: Callable[[], bool], seconds: float = 300) -> None:
    """Wait for what must happen, while the API server may be away."""

    def holds() -> bool:
        try:
            return condition()
        except (ClusterError, urllib.error.URLError, OSError):
            return False

    until(holds, seconds)


def report(fault: str, **counts: Any) -> None:
    """One line for docs/reliability.md; `pytest -rP` shows it."""
    print(f"{fault}: " + ", ".join(f"{name} {value}" for name, value in counts.items()))
