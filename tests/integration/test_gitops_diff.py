"""Nothing drifts: kubectl, Flux and Argo CD find again what they applied, after the operator has done its work."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any

import pytest
import yaml

from embedding_operator.api.names import cleanup_job_name
from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.gitops import Engines
from tests.integration import kinds
from tests.integration.operating import CHILDREN, STAGED, Namespace, Object, until
from tests.operator_process import OperatorProcess

TRACKS = {
    "labels": {
        "app.kubernetes.io/instance": "embeddings",
        "kustomize.toolkit.fluxcd.io/name": "embeddings",
        "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
        "helm.toolkit.fluxcd.io/name": "embeddings",
    },
    "annotations": {
        "argocd.argoproj.io/tracking-id": "embeddings:embedding-operator.io/EmbeddingService:x/y",
        "argocd.argoproj.io/sync-wave": "1",
        "kustomize.toolkit.fluxcd.io/prune": "Enabled",
    },
}
MADE = (*CHILDREN, "networkpolicy", "httproute", "podmonitor", "job", "pvc", "pod", "mcache")


def examples() -> list[Object]:
    """The objects of every example; services are named after their files, for several have the same name."""
    found = []
    for file in kinds.EXAMPLES:
        for manifest in yaml.safe_load_all(file.read_text()):
            if manifest["kind"] == "EmbeddingService":
                manifest["metadata"]["name"] = re.sub("[^a-z0-9-]", "", file.stem)
            elif manifest["kind"] == "PersistentVolume":  # in no namespace, so that it would be in others' way
                manifest["metadata"]["name"] += "-of-gitops"
            elif "volumeName" in (manifest.get("spec") or {}):
                manifest["spec"]["volumeName"] += "-of-gitops"
            found.append(manifest)
    return found


@pytest.fixture(scope="module")
def engines(control_plane: ControlPlane) -> Iterator[Engines]:
    with Engines(control_plane.kubeconfig) as running:
        yield running


@pytest.fixture(scope="module")
def namespace(
    control_plane: ControlPlane, gateway_api: None, pod_monitors: None, operator: OperatorProcess
) -> Namespace:
    return Namespace(control_plane.kubectl)


@pytest.fixture(scope="module")
def objects(namespace: Namespace) -> list[Object]:
    """All examples, marked as the tools mark what they apply, and the operator has done what there is to do."""
    placed = examples()
    for obj in placed:
        if obj["kind"] != "PersistentVolume":
            obj["metadata"] |= {"namespace": namespace.name, **copy.deepcopy(TRACKS)}
    namespace.kubectl("apply", "-f", "-", input=text(placed))
    services = sum(obj["kind"] == "EmbeddingService" for obj in placed)
    staged: set[str] = set()

    def are_made() -> bool:
        for cache in namespace.items("mcache"):
            name = cache["metadata"]["name"]
            if name not in staged and cache["status"]["observedGeneration"] == 1:
                staged.add(name)
                namespace.write_status("mcache", name, STAGED)
        return len(namespace.items("deployment")) == services

    until(are_made)
    looked_at(namespace)
    return placed


def looked_at(namespace: Namespace) -> None:
    """Wait until the operator has said something of all that was applied."""
    ours = "emb,mcache"
    until(lambda: all(one["status"]["observedGeneration"] == _generation(one) for one in namespace.items(ours)))


def _generation(obj: Object) -> int:
    return int(obj["metadata"]["generation"])


def text(objects: list[Object]) -> str:
    return yaml.safe_dump_all(objects)


def scaled(objects: list[Object]) -> list[Object]:
    """One of them changed, for a difference that must be found."""
    changed = next(copy.deepcopy(obj) for obj in objects if obj["kind"] == "EmbeddingService")
    changed["spec"]["replicas"] = 7
    return [changed]


def made(namespace: Namespace, objects: list[Object]) -> list[Object]:
    """What is there and was not written by somebody."""
    written = {(obj["kind"], obj["metadata"]["name"]) for obj in objects}
    return [one for one in namespace.items(",".join(MADE)) if (one["kind"], one["metadata"]["name"]) not in written]


def test_no_child_is_marked_as_applied_by_somebody(namespace: Namespace, objects: list[Object]) -> None:
    children = made(namespace, objects)
    found = {one["kind"] for one in children}
    assert found >= {"Deployment", "Service", "ConfigMap", "ModelCache", "Job", "PersistentVolumeClaim"}
    assert found >= {"HTTPRoute", "PodMonitor"}
    for child in children:
        for marked in (child["metadata"], _template(child)):
            labels, annotations = marked.get("labels") or {}, marked.get("annotations") or {}
            assert labels.get("app.kubernetes.io/instance") != "embeddings"
            assert not [name for name in {**labels, **annotations} if "argoproj.io" in name or "fluxcd.io" in name]
        if not child["metadata"].get("ownerReferences"):
            assert "app.kubernetes.io/instance" not in (child["metadata"].get("labels") or {}), child["kind"]


def _template(child: Object) -> Any:
    return ((child.get("spec") or {}).get("template") or {}).get("metadata") or {}


def test_the_project_lists_all_that_is_made_without_an_owner(namespace: Namespace, objects: list[Object]) -> None:
    project = next(yaml.safe_load_all((kinds.ROOT / "examples" / "argocd" / "applications.yaml").read_text()))
    listed = [(one["kind"], one.get("name", "*")) for one in project["spec"]["orphanedResources"]["ignore"]]
    alone = [one for one in made(namespace, objects) if not one["metadata"].get("ownerReferences")]
    there = {(one["kind"], one["metadata"]["name"]) for one in alone} - {("ConfigMap", "kube-root-ca.crt")}
    there.add(("Job", cleanup_job_name("modelscope-qwen", "u-1")))
    assert {kind for kind, _ in there} == {"ModelCache", "Job", "ConfigMap", "PersistentVolumeClaim"}
    assert [one for one in there if not any(one[0] == kind and fnmatch(one[1], name) for kind, name in listed)] == []


def generations(namespace: Namespace) -> dict[str, int]:
    return {f"{one['kind']}/{one['metadata']['name']}": _generation(one) for one in namespace.items("emb,mcache")}


@pytest.mark.parametrize(
    "how", [["--server-side=false"], ["--server-side", "--force-conflicts"]], ids=lambda how: how[0]
)
def test_kubectl_finds_no_difference_and_a_second_apply_changes_nothing(
    namespace: Namespace, objects: list[Object], how: list[str]
) -> None:
    namespace.kubectl("apply", *how, "-f", "-", input=text(objects))
    looked_at(namespace)
    before = generations(namespace)
    assert namespace.kubectl("diff", *how, "-f", "-", input=text(objects)) == ""
    again = namespace.kubectl("apply", *how, "-f", "-", input=text(objects)).splitlines()
    assert len(again) == len(objects)
    if "--server-side" not in how:  # which says of all that it was applied
        assert {line.rpartition(" ")[2] for line in again} == {"unchanged"}
    assert generations(namespace) == before
    with pytest.raises(ClusterError, match=f"diff {how[0]}"):
        namespace.kubectl("diff", *how, "-f", "-", input=text(scaled(objects)))


@pytest.mark.parametrize("manager", ["", "argocd-controller"], ids=["client-side", "server-side"])
def test_argo_cd_shows_nothing_as_out_of_sync(objects: list[Object], engines: Engines, manager: str) -> None:
    assert engines.argo_diff(objects, manager) == []
    assert len(engines.argo_diff(scaled(objects), manager)) == 1


def test_flux_applies_once_and_finds_nothing_to_do(
    namespace: Namespace, objects: list[Object], engines: Engines
) -> None:
    engines.flux_apply(objects)
    looked_at(namespace)
    assert set(engines.flux_diff(objects).values()) == {"unchanged"}
    assert set(engines.flux_apply(objects).values()) == {"unchanged"}
    assert set(engines.flux_diff(scaled(objects)).values()) == {"configured"}
