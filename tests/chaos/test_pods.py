"""Serving pods are taken away, one after the other, in three ways; only the polite one must not cost a request."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.chaos.conftest import Undisturbed
from tests.chaos.faults import kill_containers
from tests.chaos.scene import Object, Scene, report

pytestmark = [pytest.mark.cluster, pytest.mark.long]


def deleted(scene: Scene, pod: Object) -> None:
    scene.place.kubectl("delete", "pod", pod["metadata"]["name"])


def deleted_by_force(scene: Scene, pod: Object) -> None:
    scene.place.kubectl("delete", "pod", pod["metadata"]["name"], "--force", "--grace-period=0")


def killed(scene: Scene, pod: Object) -> None:
    assert kill_containers(scene.cluster, [pod])


WAYS: dict[Callable[[Scene, Object], None], bool] = {deleted: True, deleted_by_force: False, killed: False}
"""And whether clients must not notice."""


def test_pods_are_taken_away_one_after_the_other(scene: Scene, undisturbed: Undisturbed) -> None:
    for way, is_free in WAYS.items():
        pods = scene.serving_pods()
        with scene.trickle() as trickle:
            for pod in pods:
                way(scene, pod)
                scene.settles(undisturbed.served)
                scene.answers_rightly(undisturbed.vectors)
        assert not is_free or trickle.failed == 0, trickle.told()
        report(f"serving pods {way.__name__}", pods=len(pods), **trickle.told())
