"""What the demo says about a cluster that it cannot run on, before it touches anything there."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.mark import MARK
from demo.target import context_of, delivery
from embedding_operator.api.names import FIELD_MANAGER, MANAGED_BY_LABEL
from images.debian import ARCHITECTURES
from images.delivery import Delivery, Kind, Minikube, Registry
from tests.cluster.controlplane import ControlPlane
from tests.cluster.kubectl import Kubectl
from tests.integration.kinds import install_kinds, job, service

ROOT = Path(__file__).resolve().parents[2]
HERE = ARCHITECTURES.get(platform.machine(), platform.machine())
REGISTRY = "--registry=registry.example.com/team"
KINDS = ("namespaces", "crds", "nodes", "storageclasses", "clusterroles", "clusterrolebindings", "pvc", "deployments")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Somebody's cluster; one of its own, since other tests install our kinds on the shared one."""
    with ControlPlane(tmp_path_factory.mktemp("theirs")) as running:
        yield running


@pytest.fixture
def kubectl(theirs: ControlPlane) -> Kubectl:
    return theirs.kubectl


@pytest.fixture
def storage(kubectl: Kubectl) -> Iterator[None]:
    """A default StorageClass."""
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    metadata = {"name": "standard", "annotations": default}
    add(
        kubectl, {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": metadata, "provisioner": "x/y"}
    )
    yield
    kubectl("delete", "storageclass", "standard")


def add(kubectl: Kubectl, manifest: dict[str, Any]) -> None:
    kubectl("create", "-f", "-", input=json.dumps(manifest))


def node(kubectl: Kubectl, architecture: str, **allocatable: str) -> None:
    status = {"nodeInfo": {"architecture": architecture}, "allocatable": allocatable, "capacity": allocatable}
    add(kubectl, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "theirs-1"}, "status": status})


def everything(kubectl: Kubectl) -> str:
    """All objects that a demo could touch, as they are written."""
    return kubectl("get", ",".join(KINDS), "--all-namespaces", "-o", "name")


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "demo", *arguments]
    return subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True)


def refusal(theirs: ControlPlane, *options: str) -> str:
    """The one line that `up` ends with; the cluster must be as it was."""
    before = everything(theirs.kubectl)
    done = demo("up", f"--kubeconfig={theirs.kubeconfig}", *options)
    assert done.returncode == 1, done.stdout
    assert done.stderr.startswith("demo: ")
    assert done.stderr.count("\n") == 1
    assert everything(theirs.kubectl) == before
    return done.stderr


def test_nodes_that_nothing_can_be_loaded_into_need_a_registry(theirs: ControlPlane) -> None:
    assert "write REGISTRY=HOST/PREFIX, such as REGISTRY=registry.example.com/team" in refusal(theirs)


def test_weights_need_a_place(theirs: ControlPlane) -> None:
    assert "no default StorageClass: write STORAGE_CLASS=NAME (it has none), or CLAIM=" in refusal(theirs, REGISTRY)


def test_a_storage_class_that_is_not_there_is_answered_with_those_that_are(theirs: ControlPlane, storage: None) -> None:
    assert "there is no StorageClass fast; the cluster has standard" in refusal(
        theirs, REGISTRY, "--storage-class=fast"
    )


def test_a_claim_is_named_with_its_namespace_and_must_be_there(theirs: ControlPlane) -> None:
    assert "write CLAIM=NAMESPACE/NAME" in refusal(theirs, REGISTRY, "--claim=weights")
    assert "there is no PersistentVolumeClaim weights in namespace default" in refusal(
        theirs, REGISTRY, "--claim=default/weights"
    )


def test_an_installation_that_was_there_is_left_alone_by_up_and_by_down(theirs: ControlPlane, storage: None) -> None:
    theirs.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
    try:
        assert "an embedding-operator is installed here already" in refusal(theirs, REGISTRY)
        before = everything(theirs.kubectl)
        done = demo("down", f"--kubeconfig={theirs.kubeconfig}")
        assert done.returncode == 0
        assert "nothing of the demo was on this cluster" in done.stdout
        assert everything(theirs.kubectl) == before
    finally:
        theirs.kubectl("delete", "-f", str(ROOT / "crds"))


def test_down_waits_for_nothing_of_a_job_of_yours_and_leaves_it(theirs: ControlPlane) -> None:
    kubectl = theirs.kubectl
    install_kinds(kubectl)
    kubectl("label", "crds", "--all", f"{MARK}=made")
    try:
        kubectl("create", "namespace", "yours")
        made = {"metadata": {"name": "demos", "namespace": "yours", "labels": {MARK: "made"}}}
        yours = {"metadata": {"name": "wiki", "namespace": "yours"}}
        managed = {"name": "scripts", "namespace": "yours", "labels": {MANAGED_BY_LABEL: FIELD_MANAGER}}
        for manifest in (
            service() | made,
            job() | yours,
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": managed},
        ):
            add(kubectl, manifest)
        done = demo("down", f"--kubeconfig={theirs.kubeconfig}")
        assert done.returncode == 0, done.stderr
        assert "not the demo's and would go with them: EmbeddingJob yours/wiki (delete" in " ".join(done.stdout.split())
        assert kubectl("get", "emb,embjob", "-n", "yours", "-o", "name").split() == [
            "embeddingjob.embedding-operator.io/wiki"
        ]
    finally:
        kubectl("delete", "-f", str(ROOT / "crds"))
        kubectl("delete", "namespace", "yours", "--ignore-not-found")


def test_a_namespace_of_the_same_name_is_not_taken_over(theirs: ControlPlane, storage: None) -> None:
    theirs.kubectl("create", "namespace", "model-hub")
    try:
        told = refusal(theirs, REGISTRY)
        assert f"namespace model-hub is there and not the demo's (it lacks the label {MARK})" in told
    finally:
        theirs.kubectl("delete", "namespace", "model-hub")


def test_images_for_another_architecture_are_of_no_use(theirs: ControlPlane, storage: None) -> None:
    node(theirs.kubectl, "sparc")
    try:
        assert f"node theirs-1 is sparc and this machine builds images for {HERE}" in refusal(theirs, REGISTRY)
    finally:
        theirs.kubectl("delete", "node", "theirs-1")


def test_stand_in_devices_stay_away_from_real_ones(theirs: ControlPlane, storage: None) -> None:
    node(theirs.kubectl, HERE, **{"huawei.com/Ascend910": "8"})
    try:
        assert "node theirs-1 offers huawei.com/Ascend910 already" in refusal(theirs, REGISTRY, "--npus=8")
        assert "NPUS=2: write at least 4" in refusal(theirs, REGISTRY, "--npus=2")
    finally:
        theirs.kubectl("delete", "node", "theirs-1")


def test_a_kubeconfig_that_is_not_there_is_named() -> None:
    done = demo("up", "--kubeconfig=/nonexistent/config")
    assert done.returncode == 1
    assert done.stderr == "demo: there is no kubeconfig at /nonexistent/config: write KUBECONFIG=FILE, one file\n"


def test_options_for_a_cluster_of_yours_need_its_kubeconfig() -> None:
    done = demo("up", REGISTRY)
    assert done.returncode == 1
    assert "REGISTRY is for a cluster of yours: write KUBECONFIG=FILE with it" in done.stderr


@pytest.mark.parametrize(
    ("context", "name", "extension", "expected"),
    [
        ("kind-dev", "kind-dev", None, Kind("dev")),
        ("renamed-by-hand", "kind-dev", None, Kind("dev")),
        ("minikube", "minikube", "minikube.sigs.k8s.io", Minikube("minikube")),
        ("second", "second", "minikube.sigs.k8s.io", Minikube("second")),
    ],
)
def test_kind_and_minikube_are_known_by_the_context(
    theirs: ControlPlane, tmp_path: Path, context: str, name: str, extension: str | None, expected: Delivery
) -> None:
    """As these programs write it; another context in the same file must not matter."""
    config = yaml.safe_load(theirs.kubeconfig.read_text())
    entry = {"name": name, "cluster": dict(config["clusters"][0]["cluster"])}
    if extension:
        entry["cluster"]["extensions"] = [{"name": "cluster_info", "extension": {"provider": extension}}]
    config["clusters"].append(entry)
    config["contexts"].append({"name": context, "context": {"cluster": name, "user": "user"}})
    written = tmp_path / "config"
    written.write_text(yaml.safe_dump(config))
    chosen = context_of(Kubectl(theirs.kubectl.program, written, context))
    assert delivery(chosen, "", plain_http=False) == expected
    assert delivery(chosen, "r.example.com/x", plain_http=True) == Registry("r.example.com/x", plain_http=True)
