"""`make demo` on a cluster that the demo knows nothing of: all it gets is a kubeconfig and a registry to push to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.ports import free_ports
from tests.registry import Registry, serving

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

ROOT = Path(__file__).resolve().parents[2]
CLUSTER_WIDE = "namespaces,crds,clusterroles,clusterrolebindings,storageclasses,persistentvolumes"
NODE_PATH = "/var/lib/volumes/theirs"


@pytest.fixture(scope="module")
def theirs() -> Iterator[Cluster]:
    """Somebody's cluster, with a default StorageClass whose one volume only one node may mount."""
    cluster = Cluster.up(f"theirs-{os.getpid()}", nodes=1, npus=0, die_with_parent=True)
    try:
        cluster.add_volume("theirs")
        _offer_storage(cluster)
        yield cluster
    finally:
        cluster.down()


@pytest.fixture(scope="module")
def registry(theirs: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with serving(theirs.network.host_ip, free_ports(1)[0], tmp_path_factory.mktemp("registry")) as running:
        theirs.pull_plainly_from(running.address)
        yield running


def _offer_storage(cluster: Cluster) -> None:
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "standard", "annotations": default},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "local"},
        "spec": {
            "capacity": {"storage": "20Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "standard",
            "hostPath": {"path": NODE_PATH},
        },
    }
    for manifest in (storage_class, volume):
        cluster.kubectl("apply", "-f", "-", input=json.dumps(manifest))


def demo(cluster: Cluster, *words: str) -> str:
    """Run it to its end, which must be a success; returns what it printed."""
    command = [sys.executable, "-m", "demo", *words, f"--kubeconfig={cluster.kubeconfig}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_up_twice_and_down_again_leaves_what_was_there(theirs: Cluster, registry: Registry) -> None:
    kubectl = theirs.kubectl
    before = kubectl("get", CLUSTER_WIDE, "-o", "name")
    options = [f"--registry={registry.address}/team", "--registry-insecure", "--npus=4", "--server=double"]

    first = demo(theirs, "up", *options)
    assert "4 texts, 384 dimensions each" in first
    assert registry.repositories() == ["team/device-plugin", "team/operator", "team/standins"]
    images = kubectl("get", "pods", "-A", "-o", "jsonpath={.items[*].spec.containers[*].image}").split()
    assert {image.rpartition("/")[0] for image in images} == {f"{registry.address}/team"}
    pods = ["-n", "embedding-demo", "get", "pods", "-o", "name", "-l", "embedding-operator.io/service"]
    serving_pods = kubectl(*pods)
    assert len(serving_pods.splitlines()) == 5

    demo(theirs, "up", *options)
    assert kubectl(*pods) == serving_pods, "the second time restarts nothing"

    kubectl("create", "namespace", "somebodys")
    kubectl("apply", "-f", "-", input=json.dumps(_somebodys_service()))
    kept = demo(theirs, "down")
    assert "EmbeddingService somebodys/mine" in kept
    assert "mine" in kubectl("-n", "somebodys", "get", "emb", "mine", "-o", "name")
    assert "embedding-" not in kubectl("get", "namespaces", "-o", "name")

    kubectl("delete", "namespace", "somebodys")
    kept = demo(theirs, "down")
    assert kept.count("stays:") == 1
    assert "the images, where they were pushed or loaded" in kept
    assert kubectl("get", CLUSTER_WIDE, "-o", "name") == before


def _somebodys_service() -> dict[str, object]:
    return {
        "apiVersion": "embedding-operator.io/v1alpha1",
        "kind": "EmbeddingService",
        "metadata": {"name": "mine", "namespace": "somebodys"},
        "spec": {
            "suspend": True,
            "model": {"source": {"path": {"path": "models/mine"}}},
            "cache": {"claimName": "none"},
            "runtime": {"profile": "cpu"},
        },
    }
