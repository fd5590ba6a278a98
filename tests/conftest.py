"""What all tiers share: a control plane on loopback, a cluster with real kubelets, and who can run what."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests import at_once, leaving_out
from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.rights import events, trespasses

if TYPE_CHECKING:
    from tests.cluster.cluster import Cluster
    from tests.e2e.product import Product


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return at_once.OneCluster(config, log)


@pytest.hookimpl(trylast=True)  # after -m and -k, so that only what was asked for counts as left out
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    at_once.refuse_strays([item for item in items if leaving_out.starts_nodes(item)])
    leaving_out.leave_out_nodes(config, items)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    leaving_out.tell(terminalreporter, config)


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """etcd, kube-apiserver and kube-controller-manager, for the whole session; no root needed."""
    with ControlPlane(tmp_path_factory.mktemp("control-plane")) as running:
        yield running
        assert trespasses(events(running.audit_log)) == []


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Two nodes with eight stand-in NPUs each, for the whole session; root needed.

    EMBEDDING_OPERATOR_TEST_CLUSTER=<name> uses a cluster that is already up, and leaves it up.
    """
    from tests.cluster.cluster import Cluster  # only here: unit tests need none of it

    existing = os.environ.get("EMBEDDING_OPERATOR_TEST_CLUSTER")
    try:
        if existing:
            yield Cluster.attach(existing)
            return
        running = Cluster.up(f"test-{os.getpid()}", die_with_parent=True)
    except ClusterError as error:
        pytest.fail(str(error), pytrace=False)
    try:
        yield running
        assert trespasses(events(running.audit_log)) == []
    finally:
        running.down()


@pytest.fixture(scope="session")
def installed(cluster: Cluster) -> Product:
    """The whole product, from its Helm chart as a user would; installed once for all tests with real kubelets."""
    from demo import install
    from tests.e2e.product import Product

    install.load_images(cluster, ["operator", "standins"])
    install.install_operator(cluster)
    install.install_hub(cluster.kubectl)
    return Product(cluster)


@pytest.fixture
def product(installed: Product) -> Iterator[Product]:
    """The same, with namespaces of the test's own."""
    yield installed
    installed.leave()
