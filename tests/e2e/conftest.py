"""What the e2e tests with a real vLLM share."""

from __future__ import annotations

import pytest

from demo import install
from tests.e2e.product import Product


@pytest.fixture(scope="session")
def vllm(installed: Product) -> None:
    """Its image is on all nodes."""
    install.load_images(installed.cluster, ["vllm-cpu"])
