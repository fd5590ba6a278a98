"""The manifests that are kept as files are accepted by a real API server, strictly: no field that it does not know."""

from pathlib import Path

import pytest
import yaml

from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.unit.planning.test_golden import GOLDEN

FILES = sorted(GOLDEN.glob("*.yaml"))


@pytest.fixture(scope="module")
def control_plane_with_namespaces(control_plane: ControlPlane) -> ControlPlane:
    namespaces = {item["metadata"]["namespace"] for file in FILES for item in yaml.safe_load_all(file.read_text())}
    for namespace in namespaces:
        control_plane.kubectl("create", "namespace", namespace)
    return control_plane


def dry_run(control_plane: ControlPlane, text: str) -> list[str]:
    arguments = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "--field-manager=test", "-f", "-")
    return control_plane.kubectl(*arguments, input=text).splitlines()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_real_api_server_takes_them(control_plane_with_namespaces: ControlPlane, file: Path) -> None:
    documents = list(yaml.safe_load_all(file.read_text()))
    assert len(dry_run(control_plane_with_namespaces, file.read_text())) == len(documents)


def test_it_would_refuse_a_field_that_it_does_not_know(control_plane_with_namespaces: ControlPlane) -> None:
    file = next(file for file in FILES if file.stem == "cpu")
    deployment = next(item for item in yaml.safe_load_all(file.read_text()) if item["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = "Always"
    with pytest.raises(ClusterError, match="imagePullPolice"):
        dry_run(control_plane_with_namespaces, yaml.safe_dump(deployment))
