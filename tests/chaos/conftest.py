"""What every fault is compared with: the same run without it, made once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.chaos.faults import InstalledOperator
from tests.chaos.scene import Scene
from tests.chaos.state import State
from tests.e2e.product import Product


@dataclass(frozen=True)
class Undisturbed:
    """A service of two replicas, and the same after it was scaled to three and back."""

    served: State
    scaled: State
    vectors: list[list[float]]


@pytest.fixture(scope="session")
def undisturbed(installed: Product) -> Undisturbed:
    scene = Scene(installed)
    scene.serve()
    scene.until_serving(2)
    served, vectors = scene.settled_state(), scene.vectors()
    scene.scale(3)
    scene.until_serving(3)
    scene.scale(2)
    scene.until_serving(2)
    scaled = scene.settled_state()
    installed.leave()
    return Undisturbed(served, scaled, vectors)


@pytest.fixture
def operator(product: Product) -> Iterator[InstalledOperator]:
    """The installed operator; with fresh pods afterwards."""
    running = InstalledOperator(product.cluster)
    yield running
    running.renew()


@pytest.fixture
def scene(product: Product, undisturbed: Undisturbed) -> Scene:
    """A service that serves."""
    made = Scene(product)
    made.serve()
    made.until_serving(2)
    return made
