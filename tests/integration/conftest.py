"""A client of the control plane, and a namespace of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from embedding_operator.kube.client import KubeClient
from tests.cluster.controlplane import ControlPlane
from tests.integration.kube_support import client_of, namespace_of


@pytest.fixture
async def client(control_plane: ControlPlane) -> AsyncIterator[KubeClient]:
    async with client_of(control_plane.kubeconfig) as client:
        yield client


@pytest.fixture
async def namespace(client: KubeClient) -> AsyncIterator[str]:
    async with namespace_of(client) as name:
        yield name
