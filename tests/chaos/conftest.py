"""What every fault is compared with: the same run without it, made once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chaos.faults import InstalledOperator
from tests.chaos.operators import HostOperators
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
def operators(product: Product, tmp_path: Path) -> Iterator[HostOperators]:
    """The operator as processes of this machine, the installed one away."""
    installed = InstalledOperator(product.cluster)
    installed.scale(0)
    running = HostOperators(installed, tmp_path)
    try:
        yield running
        assert "Traceback" not in running.log.read_text()
    finally:
        running.kill()
        installed.release()
        installed.scale(2)


@pytest.fixture
def scene(product: Product, undisturbed: Undisturbed) -> Scene:
    """A service that serves."""
    made = Scene(product)
    made.serve()
    made.until_serving(2)
    return made
