"""The whole product on a cluster with real kubelets: installed once for all e2e tests, from its Helm chart."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from demo import install
from tests.cluster.cluster import Cluster
from tests.e2e.product import Product


@pytest.fixture(scope="session")
def installed(cluster: Cluster) -> Product:
    install.load_images(cluster, ["operator", "standins"])
    install.install_operator(cluster)
    install.install_hub(cluster.kubectl)
    return Product(cluster)


@pytest.fixture
def product(installed: Product) -> Iterator[Product]:
    yield installed
    installed.leave()
