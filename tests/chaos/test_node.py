"""A node is lost, with a serving pod and a stager on it, and comes back."""

from __future__ import annotations

import json

import pytest

from tests.chaos.conftest import Undisturbed
from tests.chaos.scene import Scene, report
from tests.e2e.product import Product
from tests.integration.operating import until

pytestmark = [pytest.mark.cluster, pytest.mark.long]


def test_a_node_is_lost_while_it_serves_and_stages_and_comes_back(
    scene: Scene, product: Product, undisturbed: Undisturbed
) -> None:
    spared = node_of_the_hub(product)
    (lost,) = [node.name for node in scene.cluster.nodes if node.name != spared]
    assert {pod["spec"]["nodeName"] for pod in scene.serving_pods()} == {spared, lost}
    staging = staged_slowly_on(lost, product)
    with scene.trickle() as trickle:
        scene.cluster.kill_node(lost)
        until(lambda: len(ready_addresses(scene)) == 1, 120)  # the API server learns of it by silence
        meanwhile = trickle.failed
        scene.answers_rightly(undisturbed.vectors)
        scene.cluster.start_node(lost)
        scene.cluster.wait_ready()
        scene.settles(undisturbed.served)
        scene.answers_rightly(undisturbed.vectors)
    report("a node lost", failed_until_known=meanwhile, **trickle.told())
    staging.until_serving(2)
    staging.settles(undisturbed.served)
    staging.answers_rightly(undisturbed.vectors)
    report("a node lost while staging", pods=len(staging.staging_pods()))


def test_pods_of_a_lost_node_are_made_anew_on_another_while_it_is_away(
    product: Product, undisturbed: Undisturbed
) -> None:
    """And not after Kubernetes' own five minutes; endpoints are right as soon as the node is known as lost."""
    spared = node_of_the_hub(product)
    (lost,) = [node.name for node in product.cluster.nodes if node.name != spared]
    scene = Scene(product)
    scene.serve(scheduling={"nodeLossToleration": "5s"})
    scene.until_serving(2)
    assert {pod["spec"]["nodeName"] for pod in scene.serving_pods()} == {spared, lost}
    gone = {pod["metadata"]["uid"] for pod in scene.serving_pods() if pod["spec"]["nodeName"] == lost}
    try:
        scene.cluster.kill_node(lost)
        until(lambda: len(ready_addresses(scene)) == 1, 120)
        until(lambda: len(ready_addresses(scene)) == 2, 120)  # the node is still away: they are on the other one
        assert {pod["spec"]["nodeName"] for pod in scene.serving_pods()} == {spared}
        assert not gone & {pod["metadata"]["uid"] for pod in scene.serving_pods()}
        scene.until_serving(2)
        scene.answers_rightly(undisturbed.vectors)
    finally:
        scene.cluster.start_node(lost)
        scene.cluster.wait_ready()
    scene.until_serving(2)
    until(lambda: not scene.strays(), 120)  # what ran there has ended


def node_of_the_hub(product: Product) -> str:
    items = json.loads(product.kubectl("-n", "model-hub", "get", "pods", "-o", "json"))["items"]
    return str(items[0]["spec"]["nodeName"])


def staged_slowly_on(node: str, product: Product) -> Scene:
    """A service whose weights are on their way, by a stager on that node."""
    others = [one.name for one in product.cluster.nodes if one.name != node]
    product.fault("slow", match="*.safetensors", value=100_000)
    product.kubectl("cordon", *others)
    try:
        staging = Scene(product)
        staging.serve()
        until(lambda: bool(list(staging.place.directory.glob(".staging/*/partials/*"))), 120)
    finally:
        product.kubectl("uncordon", *others)
        product.no_faults()
    assert [pod["spec"]["nodeName"] for pod in staging.staging_pods()] == [node]
    return staging


def ready_addresses(scene: Scene) -> set[str]:
    slices = scene.place.items("endpointslices", "kubernetes.io/service-name=qwen")
    endpoints = [endpoint for one in slices for endpoint in one.get("endpoints") or ()]
    return {address for one in endpoints if one["conditions"].get("ready") for address in one["addresses"]}
