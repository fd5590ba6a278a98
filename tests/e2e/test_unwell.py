"""A device that turns unhealthy, and a server that hangs, under clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.chaos.scene import SERVING, Scene
from tests.e2e.product import QWEN, Product
from tests.integration.operating import until

pytestmark = [pytest.mark.cluster, pytest.mark.long]

DEVICES = range(8)  # of each node


@pytest.fixture
def healed(product: Product) -> Iterator[Product]:
    yield product
    for node in product.cluster.nodes:
        node.set_unhealthy()


def device_of(scene: Scene, pod: dict[str, Any]) -> int:
    return int(scene.place.kubectl("exec", pod["metadata"]["name"], "--", "printenv", "ASCEND_VISIBLE_DEVICES"))


def degraded(scene: Scene) -> str:
    condition = scene.place.condition("emb", "qwen", "Degraded")
    return str(condition["message"]) if condition["status"] == "True" else ""


def uids(scene: Scene) -> set[str]:
    return {pod["metadata"]["uid"] for pod in scene.serving_pods()}


def test_a_pod_on_an_unhealthy_device_is_replaced_and_no_request_fails(healed: Product) -> None:
    scene = Scene(healed)
    scene.serve(replicas=2)
    scene.until_serving(2)
    ill, well = scene.serving_pods()
    with scene.trickle() as trickle:
        healed.cluster.node(ill["spec"]["nodeName"]).set_unhealthy(device_of(scene, ill))
        until(lambda: f"pod {ill['metadata']['name']} on node {ill['spec']['nodeName']}: " in degraded(scene), 120)
        until(lambda: ill["metadata"]["uid"] not in uids(scene), 240)
        until(lambda: not degraded(scene), 60)
        scene.until_serving(2)
    assert trickle.told()["failed"] == 0
    assert well["metadata"]["uid"] in uids(scene)
    assert len(uids(scene)) == 2
    assert "DeviceUnhealthy" in scene.place.kubectl("get", "events")


def test_where_no_healthy_device_is_free_the_pod_stays_until_one_is(healed: Product) -> None:
    scene = Scene(healed)
    scene.serve(replicas=1)
    scene.until_serving(1)
    (pod,) = scene.serving_pods()
    for node in healed.cluster.nodes:
        node.set_unhealthy(*DEVICES)
    until(lambda: "no healthy device is free: pod " in degraded(scene), 120)
    assert pod["metadata"]["uid"] in uids(scene)
    assert scene.is_serving(1)  # it does
    taken = device_of(scene, pod)
    for node in healed.cluster.nodes:
        node.set_unhealthy(*(DEVICES if node.name != pod["spec"]["nodeName"] else {taken}))
    until(lambda: pod["metadata"]["uid"] not in uids(scene), 240)
    until(lambda: not degraded(scene), 60)
    scene.until_serving(1)


def test_a_server_that_hangs_is_started_anew_and_says_why(product: Product) -> None:
    scene = Scene(product)
    variables = [
        {"name": "VLLM_DOUBLE_HANGS_AFTER", "value": "40"},  # more than its start needs
        {"name": "VLLM_DOUBLE_START_SECONDS", "value": "20"},
    ]
    runtime = scene.place.runtime() | {"env": variables}
    scene.serve(replicas=1, runtime=runtime, serving={"hangSeconds": 5})
    scene.until_serving(1)
    load = product.load(f"http://qwen.{scene.place.name}.svc:8000/v1", QWEN, "--clients", "3", "--seconds", "600")
    until(lambda: scene.place.condition("emb", "qwen")["reason"] == "ProbeFailed", 240)
    message = scene.place.condition("emb", "qwen")["message"]
    assert "the server had requests in flight and completed none" in message
    (pod,) = scene.place.items("pods", SERVING)
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 1
    product.end_load(load)
    scene.until_serving(1)
    assert scene.vectors()
