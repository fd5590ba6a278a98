"""The representative part of the kill matrix; the other modules have the rest (`make test-long`)."""

from __future__ import annotations

import pytest

from tests.chaos.conftest import Undisturbed
from tests.chaos.faults import InstalledOperator, kill_containers, killed
from tests.chaos.scene import Scene, patiently, report

pytestmark = pytest.mark.cluster


def test_both_operators_and_the_api_server_and_pods_are_killed_while_a_service_is_scaled(
    scene: Scene, operator: InstalledOperator, undisturbed: Undisturbed
) -> None:
    with scene.trickle() as trickle:
        processes = kill_containers(scene.cluster, operator.pods())
        assert processes >= 2
        scene.scale(3)
        scene.until_serving(3)
        with killed(scene.cluster, "kube-apiserver"):
            scene.answers_rightly(undisturbed.vectors)
        scene.scale(2)
        patiently(lambda: scene.is_serving(2))
        politely = scene.serving_pods()[0]["metadata"]["name"]
        scene.place.kubectl("delete", "pod", politely)
        scene.settles(undisturbed.scaled)
        without_cost = trickle.told()
        assert trickle.failed == 0, without_cost

        assert kill_containers(scene.cluster, scene.serving_pods()[:1])
        forcibly = scene.serving_pods()[1]["metadata"]["name"]
        scene.place.kubectl("delete", "pod", forcibly, "--force", "--grace-period=0")
        scene.settles(undisturbed.scaled)
        scene.answers_rightly(undisturbed.vectors)
        failed = trickle.failed
        scene.answers_rightly(undisturbed.vectors)
        assert trickle.failed == failed, "it is right again, and stays so"
    report("the quick part", operators=processes, before=without_cost, after=trickle.told())
