"""The operator dies, at any moment: no request is lost, and what it was about to do is done by the next one."""

from __future__ import annotations

import os
import time

import pytest

from tests.chaos.conftest import Undisturbed
from tests.chaos.faults import InstalledOperator, kill_containers
from tests.chaos.operators import HostOperators, KilledAtRandom
from tests.chaos.scene import Scene, report
from tests.chaos.state import State
from tests.e2e.product import Product
from tests.integration.operating import until

pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.timeout(1800)]

SEED = int(os.environ.get("CHAOS_SEED", "1"))
BATCH = 6
"""Services that are left half-made before an heir makes them whole: twelve pods, of sixteen stand-in NPUs."""
MOST = 60


def test_both_replicas_are_killed_at_once(scene: Scene, operator: InstalledOperator, undisturbed: Undisturbed) -> None:
    with scene.trickle() as trickle:
        for replicas in (3, 2):
            kill_containers(scene.cluster, operator.pods())
            scene.scale(replicas)
            scene.until_serving(replicas)
        scene.settles(undisturbed.scaled)
        scene.answers_rightly(undisturbed.vectors)
    assert trickle.failed == 0, trickle.told()
    report("both replicas of the operator killed at once", times=2, **trickle.told())


def test_the_leader_is_killed_and_the_standby_goes_on(
    scene: Scene, operator: InstalledOperator, undisturbed: Undisturbed
) -> None:
    with scene.trickle() as trickle:
        for replicas in (3, 2):
            until(lambda: bool(operator.leader()), 60)
            kill_containers(scene.cluster, operator.leader())
            scene.scale(replicas)
            scene.until_serving(replicas)
        scene.settles(undisturbed.scaled)
        scene.answers_rightly(undisturbed.vectors)
    assert trickle.failed == 0, trickle.told()
    report("the leader killed", times=2, **trickle.told())


def test_killed_at_random_moments_of_a_busy_time(
    scene: Scene, operators: HostOperators, undisturbed: Undisturbed
) -> None:
    operators.start()
    expected = busy_time(scene.product)
    with scene.trickle() as trickle, KilledAtRandom(operators, SEED) as killer:
        disturbed = Scene(scene.product)
        busy(disturbed)
    with scene.trickle() as afterwards:
        disturbed.settles(expected)
        disturbed.answers_rightly(undisturbed.vectors)
        scene.settles(undisturbed.served)
    assert (trickle.failed, afterwards.failed) == (0, 0), trickle.told()
    report("the operator killed at random", seed=SEED, kills=killer.kills, **trickle.told())


def test_killed_after_each_of_its_writes_in_turn(
    scene: Scene, operators: HostOperators, undisturbed: Undisturbed
) -> None:
    kills, lived = 0, False
    with scene.trickle() as trickle:
        while not lived and kills < MOST:
            half_made: list[Scene] = []
            while not lived and len(half_made) < BATCH:
                half_made.append(Scene(scene.product))
                half_made[-1].serve()
                lived = not dies(half_made[-1], scene, operators, writes=kills + 1)
                kills += not lived
            operators.start()
            for one in half_made:
                one.until_serving(2)
                one.settles(undisturbed.served)
                one.answers_rightly(undisturbed.vectors)
                scene.product.kubectl("delete", "namespace", one.place.name, "--wait=false")
            report("the same after each of the operator's first writes", kills=kills, failed=trickle.failed)
        scene.settles(undisturbed.served)
    assert lived, "the operator comes to an end"
    assert kills > 10, "the operator makes more writes than that"
    assert trickle.failed == 0, trickle.told()
    report("the operator killed after each of its writes", kills=kills, **trickle.told())


def dies(half_made: Scene, other: Scene, operators: HostOperators, *, writes: int) -> bool:
    """Run an operator until its n-th write killed it (True), or the service is there (False)."""
    namespaces = [f"--namespace={one.place.name}" for one in (half_made, other)]
    process = operators.start(*namespaces, module=("tests.killed_operator", str(writes), "writes"))
    while process.poll() is None:
        if half_made.is_serving(2):
            return False
        time.sleep(0.5)
    assert process.returncode == -9
    return True


def busy_time(product: Product) -> State:
    """What a busy time ends in when nobody is killed."""
    scene = Scene(product)
    busy(scene)
    return scene.settled_state()


def busy(scene: Scene) -> None:
    """Services are made, scaled, changed and deleted, each as soon as the step before it is done."""
    scene.serve()
    scene.until_serving(2)
    scene.place.double("other", replicas=1)
    until(lambda: scene.place.ready("other"), 300)
    scene.scale(3)
    scene.until_serving(3)
    scene.serve(3, serving={"maxModelLen": 2048})
    until(lambda: is_rolled_out(scene), 300)
    scene.place.kubectl("delete", "emb", "other")
    made = "pod,service,deployment,replicaset"
    until(lambda: not scene.place.items(made, "embedding-operator.io/service=other"), 300)
    scene.scale(2)
    scene.until_serving(2)


def is_rolled_out(scene: Scene) -> bool:
    """Whether all pods run what the newest spec says."""
    service = scene.place.get("emb", "qwen") or {}
    current = (service.get("status") or {}).get("observedGeneration") == service["metadata"]["generation"]
    return current and scene.is_serving(3) and len(scene.serving_pods()) == 3
