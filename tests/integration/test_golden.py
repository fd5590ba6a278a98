"""Manifests that are kept as files, and the pods of every model on every chip, are accepted by a real API server:
strictly, with no field that it does not know, and by all that it asks of pods."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.cluster.waiting import wait_until
from tests.unit.planning import given
from tests.unit.planning.combinations import CHIPS, MODELS, VERSIONS, planned
from tests.unit.planning.test_golden import GOLDEN

FILES = sorted(GOLDEN.glob("*.yaml"))
LEVELS = ("privileged", "baseline", "restricted")
RUNTIME = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "kata"}, "handler": "kata"}
PRIORITY = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "serving"}, "value": 1}


@pytest.fixture(scope="module")
def prepared(control_plane: ControlPlane, gateway_api: None, pod_monitors: None) -> ControlPlane:
    """What the manifests refer to, and a namespace of each Pod Security level."""
    kubectl = control_plane.kubectl
    namespaces = {item["metadata"]["namespace"] for file in FILES for item in yaml.safe_load_all(file.read_text())}
    for namespace in namespaces:
        kubectl("create", "namespace", namespace)
    for level in LEVELS:
        kubectl("create", "namespace", f"golden-{level}")
        kubectl("label", "namespace", f"golden-{level}", f"pod-security.kubernetes.io/enforce={level}")
    kubectl("apply", "-f", "-", input=yaml.safe_dump_all([RUNTIME, PRIORITY]))
    for level in LEVELS:
        account = ("get", "serviceaccount", "default", "-n", f"golden-{level}", "--ignore-not-found", "-o", "name")
        wait_until("namespaces have their accounts", lambda account=account: bool(kubectl(*account)))
    return control_plane


def dry_run(control_plane: ControlPlane, *manifests: dict[str, Any]) -> list[str]:
    arguments = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "--field-manager=test", "-f", "-")
    return control_plane.kubectl(*arguments, input=yaml.safe_dump_all(manifests)).splitlines()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_real_api_server_takes_them(prepared: ControlPlane, file: Path) -> None:
    documents = list(yaml.safe_load_all(file.read_text()))
    assert len(dry_run(prepared, *documents)) == len(documents)


def test_it_would_refuse_a_field_that_it_does_not_know(prepared: ControlPlane) -> None:
    file = next(file for file in FILES if file.stem == "cpu")
    deployment = next(item for item in yaml.safe_load_all(file.read_text()) if item["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = "Always"
    with pytest.raises(ClusterError, match="imagePullPolice"):
        dry_run(prepared, deployment)


def pods(documents: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each pod, and the strictest level that docs/administrators.md promises it."""
    for index, document in enumerate(documents):
        if document["kind"] in ("Deployment", "Job"):
            template = document["spec"]["template"]
            has_host_paths = any("hostPath" in volume for volume in template["spec"]["volumes"])
            serves = any(
                one["name"] == "vllm"
                for one in (*template["spec"].get("initContainers", ()), *template["spec"]["containers"])
            )
            level = "restricted" if not serves else "privileged" if has_host_paths else "baseline"
            metadata = template["metadata"] | {"name": f"pod-{index}", "namespace": f"golden-{level}"}
            yield level, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_pods_are_admitted_by_the_level_that_is_promised_and_by_none_above(prepared: ControlPlane, file: Path) -> None:
    found = list(pods(list(yaml.safe_load_all(file.read_text()))))
    assert found
    assert len(dry_run(prepared, *(pod for _, pod in found))) == len(found)
    for level, pod in found:
        for stricter in LEVELS[LEVELS.index(level) + 1 :]:
            pod["metadata"]["namespace"] = f"golden-{stricter}"
            with pytest.raises(ClusterError, match="violates PodSecurity"):
                dry_run(prepared, pod)


@pytest.mark.parametrize("chip", CHIPS)
def test_the_pods_of_every_model_in_every_version_are_taken(prepared: ControlPlane, chip: str) -> None:
    made = []
    for repo in MODELS:
        for version in VERSIONS:
            plan = planned(chip, repo, version)
            if plan.apply:  # the others are refused, as matrix.yaml shows
                made.append(given.child(plan, "Deployment"))
                made[-1]["metadata"] = {"name": f"qwen-{len(made)}", "namespace": "golden-privileged"}
    assert len(made) > 10
    assert len(dry_run(prepared, *made)) == len(made)
