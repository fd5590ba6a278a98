"""The stager is killed at several moments of slow downloads; what is published is the same, and nothing else stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.chaos.conftest import Undisturbed
from tests.chaos.faults import kill_containers
from tests.chaos.scene import Scene, report
from tests.e2e.product import Product
from tests.integration.operating import until

pytestmark = [pytest.mark.cluster, pytest.mark.long]

SIZE = 32_000_000
"""About what the stand-in hub's model weighs."""


def the_process(scene: Scene) -> None:
    kill_containers(scene.cluster, scene.staging_pods())


def the_pod(scene: Scene) -> None:
    scene.place.kubectl("delete", "pods", "-l", "app.kubernetes.io/name=model-staging", "--force", "--grace-period=0")


def the_pod_politely(scene: Scene) -> None:
    scene.place.kubectl("delete", "pods", "-l", "app.kubernetes.io/name=model-staging", "--wait=false")


# The share of the bytes that is there when it happens, and what is killed.
MOMENTS: tuple[tuple[float, Callable[[Scene], None]], ...] = (
    (0.0, the_process),
    (0.2, the_pod),
    (0.4, the_process),
    (0.6, the_pod_politely),
    (0.9, the_process),
)


def test_the_stager_is_killed_at_several_moments(product: Product, undisturbed: Undisturbed) -> None:
    product.fault("slow", match="*.safetensors", value=100_000)  # 80 s a file
    try:
        scenes = [(Scene(product), *moment) for moment in MOMENTS]
        for scene, *_ in scenes:
            scene.serve()
        for scene, share, kill in scenes:
            until(lambda scene=scene, share=share: runs(scene) and is_there(scene) >= share * SIZE, 240)  # type: ignore[misc]
            report("stager killed", by=kill.__name__, bytes_on_the_volume=f"{is_there(scene) / SIZE:.0%}")
            kill(scene)
    finally:
        product.no_faults()
    for scene, *_ in scenes:
        scene.until_serving(2)
        scene.settles(undisturbed.served)
        scene.answers_rightly(undisturbed.vectors)
    attempts = [len(scene.staging_pods()) for scene, *_ in scenes]
    report("the stager killed", moments=len(MOMENTS), pods=attempts)


def runs(scene: Scene) -> bool:
    return any((pod.get("status") or {}).get("phase") == "Running" for pod in scene.staging_pods())


def is_there(scene: Scene) -> int:
    """Bytes that were downloaded and are not published yet, as the file system counts them."""
    files = [path for path in scene.place.directory.glob(".staging/**/*") if path.is_file()]
    return sum(path.stat().st_blocks * 512 for path in files)
