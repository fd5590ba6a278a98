"""The API server is away for a minute, and etcd dies; what runs goes on, what was asked for comes later."""

from __future__ import annotations

import time

import pytest

from tests.chaos.conftest import Undisturbed
from tests.chaos.faults import InstalledOperator, killed
from tests.chaos.scene import Scene, patiently, report
from tests.e2e.product import Product

pytestmark = [pytest.mark.cluster, pytest.mark.long]

AWAY = 60.0
FAULTS = (("kube-apiserver",), ("etcd",), ("etcd", "kube-apiserver"))


@pytest.mark.parametrize("parts", FAULTS, ids="+".join)
def test_parts_of_the_control_plane_are_killed_and_start_again_on_their_data(
    scene: Scene, operator: InstalledOperator, product: Product, undisturbed: Undisturbed, parts: tuple[str, ...]
) -> None:
    begun = Scene(product)
    begun.serve()  # and is not there yet when it happens
    with scene.trickle() as trickle:
        with killed(scene.cluster, *parts):
            time.sleep(AWAY if parts == FAULTS[0] else 5)
            scene.answers_rightly(undisturbed.vectors)
            away = trickle.told()
        patiently(lambda: begun.is_serving(2))
        scene.scale(3)
        patiently(lambda: scene.is_serving(3))
        scene.scale(2)
        scene.settles(undisturbed.scaled)
        begun.settles(undisturbed.served)
        scene.answers_rightly(undisturbed.vectors)
        begun.answers_rightly(undisturbed.vectors)
    report(f"{' and '.join(parts)} killed", while_away=away["failed"], **trickle.told())
    assert away["failed"] == 0, away
