"""A client of the control plane, a namespace of the test's own, and an applier with an owner for its children."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from embedding_operator.kube.apply import Applier
from embedding_operator.kube.cache import Cache
from embedding_operator.kube.client import KubeClient
from embedding_operator.kube.resources import Object
from tests import prometheus_operator
from tests.cluster.controlplane import ControlPlane
from tests.gateway import crd
from tests.installed import POLICIES, operator_of, uninstall
from tests.integration.kinds import install_crd, install_kinds
from tests.integration.kube_support import client_of, config_map, namespace_of
from tests.integration.people import People, guarded
from tests.operator_process import OperatorProcess


@pytest.fixture
async def client(control_plane: ControlPlane) -> AsyncIterator[KubeClient]:
    async with client_of(control_plane.kubeconfig) as client:
        yield client


@pytest.fixture
async def namespace(client: KubeClient) -> AsyncIterator[str]:
    async with namespace_of(client) as name:
        yield name


@pytest.fixture
def applier(client: KubeClient) -> Applier:
    return Applier(client, Cache())


@pytest.fixture
async def owner(client: KubeClient, namespace: str) -> Object:
    """Any object will do as the owner; the applier does not look into it."""
    return await client.apply(config_map(namespace, "owner"))


@pytest.fixture(scope="module")
def operator(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """The operator at work, for all tests of a module; it must not have stumbled over anything."""
    install_kinds(control_plane.kubectl)
    with operator_of(control_plane, tmp_path_factory.mktemp("operator")) as running:
        yield running
    assert "Traceback" not in running.log.read_text()


@pytest.fixture(scope="module")
def people(control_plane: ControlPlane) -> Iterator[People]:
    """Users of a namespace under the admission policies, which are gone again afterwards."""
    people = guarded(control_plane)
    yield people
    uninstall(control_plane.kubectl, *POLICIES)
    control_plane.kubectl("delete", "namespace", people.namespace, "--wait=false")


@pytest.fixture(scope="module")
def pod_monitors(control_plane: ControlPlane) -> Iterator[None]:
    """The Prometheus Operator's kind is installed, and gone again afterwards: many clusters are without."""
    install_crd(control_plane.kubectl, prometheus_operator.crd("podmonitors"))
    yield
    control_plane.kubectl("delete", "-f", str(prometheus_operator.crd("podmonitors")))


@pytest.fixture(scope="module")
def gateway_api(control_plane: ControlPlane) -> Iterator[None]:
    """The Gateway API is installed, and gone again afterwards: most clusters are without."""
    install_crd(control_plane.kubectl, crd("httproutes"))
    yield
    control_plane.kubectl("delete", "-f", str(crd("httproutes")))
