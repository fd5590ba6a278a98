"""No namespace waits for an operator for ever, and the examples for Argo CD and Flux are what these read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster.controlplane import ControlPlane
from tests.cluster.kubectl import Kubectl
from tests.gitops.crds import PLACES, crd
from tests.integration import kinds
from tests.integration.operating import Namespace, Object, settle, until
from tests.integration.test_uninstalled import take_finalizers_off
from tests.operator_process import OperatorProcess

GITOPS = sorted(file for tool in ("argocd", "flux") for file in (kinds.ROOT / "examples" / tool).glob("*.yaml"))


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One of these tests' own: it gets the kinds of Argo CD and Flux."""
    with ControlPlane(tmp_path_factory.mktemp("control-plane")) as running:
        yield running


@pytest.fixture
def namespace(control_plane: ControlPlane, operator: OperatorProcess) -> Namespace:
    """One with a service that serves, and weights on their way, both of which would be removed from the volume."""
    namespace = Namespace(control_plane.kubectl)
    namespace.claim()
    doomed = {"claimName": "model-weights", "deletionPolicy": "Delete"}
    namespace.service(cache=doomed)
    namespace.stage()
    until(lambda: namespace.get("deployment", "qwen") is not None)
    settle(namespace, "qwen")
    namespace.service("later", cache=doomed, model={"source": {"modelScope": {"repo": "Qwen/Other"}}})
    until(lambda: len(namespace.items("job")) == 2)
    until(lambda: all(one["metadata"].get("finalizers") for one in namespace.items("mcache")))
    return namespace


def is_there(kubectl: Kubectl, kind: str, name: str) -> bool:
    return bool(kubectl("get", kind, name, "--ignore-not-found", "-o", "name"))


def test_a_namespace_that_was_deleted_while_no_operator_ran_goes_once_one_does(
    control_plane: ControlPlane, operator: OperatorProcess, namespace: Namespace
) -> None:
    operator.kill()
    try:
        control_plane.kubectl("delete", "namespace", namespace.name, "--wait=false")
        until(lambda: not namespace.items("emb"))
        assert len(namespace.items("mcache")) == 2, "their finalizers wait"
    finally:
        operator.start()
    until(lambda: not is_there(control_plane.kubectl, "namespace", namespace.name))


def test_a_namespace_goes_though_the_operator_was_uninstalled_before(
    control_plane: ControlPlane, operator: OperatorProcess, namespace: Namespace
) -> None:
    operator.kill()
    try:
        control_plane.kubectl("delete", "namespace", namespace.name, "--wait=false")
        take_finalizers_off(control_plane)
        until(lambda: not is_there(control_plane.kubectl, "namespace", namespace.name))
    finally:
        operator.start()


@pytest.fixture(scope="module")
def tools(control_plane: ControlPlane) -> Kubectl:
    """An API server that knows the kinds of Argo CD and Flux."""
    kubectl = control_plane.kubectl
    for kind in PLACES:
        kinds.install_crd(kubectl, crd(kind))
    return kubectl


@pytest.mark.parametrize("file", GITOPS, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_an_example_for_a_tool_is_what_the_tool_reads(tools: Kubectl, file: Path) -> None:
    written: list[Object] = list(yaml.safe_load_all(file.read_text()))
    if "kind" not in written[0]:  # a patch of argocd-cm
        if not is_there(tools, "namespace", "argocd"):
            tools("create", "namespace", "argocd")
        tools("create", "configmap", "argocd-cm", "-n", "argocd")
        tools("patch", "configmap", "argocd-cm", "-n", "argocd", "--type=merge", f"--patch-file={file}")
        return
    for namespace in {str(one["metadata"].get("namespace")) for one in written} - {"None"}:
        if not is_there(tools, "namespace", namespace):
            tools("create", "namespace", namespace)
    tools("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", str(file))
