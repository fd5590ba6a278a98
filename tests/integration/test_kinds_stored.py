"""Objects of the kinds that are stored: their scale and status, and what kubectl shows of them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from embedding_operator.api.service import EmbeddingService
from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.cluster.kubectl import Kubectl
from tests.integration.kinds import Manifest, as_yaml, cache, install_kinds, service

NAMESPACE = "kinds-stored"


@pytest.fixture(scope="module")
def kubectl(control_plane: ControlPlane) -> Kubectl:
    install_kinds(control_plane.kubectl)
    control_plane.kubectl("create", "namespace", NAMESPACE)
    return control_plane.kubectl


@pytest.fixture
def stored(kubectl: Kubectl) -> Iterator[Manifest]:
    """A service that is stored for the length of a test."""
    kubectl("apply", "-n", NAMESPACE, "-f", "-", input=as_yaml(service()))
    yield get(kubectl, "emb", "base")
    kubectl("delete", "-n", NAMESPACE, "emb/base")


def get(kubectl: Kubectl, kind: str, name: str) -> Manifest:
    found: Manifest = json.loads(kubectl("get", kind, name, "-n", NAMESPACE, "-o", "json"))
    return found


def test_a_stored_service_reads_as_a_view(stored: Manifest) -> None:
    view = EmbeddingService.from_dict(stored)
    assert (view.metadata.generation, view.metadata.namespace, view.spec.replicas) == (1, NAMESPACE, 1)


def test_kubectl_scale_changes_replicas(kubectl: Kubectl, stored: Manifest) -> None:
    kubectl("scale", "-n", NAMESPACE, "emb/base", "--replicas=3")
    after = get(kubectl, "emb", "base")
    assert (after["spec"]["replicas"], after["metadata"]["generation"]) == (3, 2)


def test_the_scale_subresource_shows_autoscalers_what_they_need(kubectl: Kubectl, stored: Manifest) -> None:
    status = {"status": {"replicas": 2, "readyReplicas": 1, "selector": "embedding-operator.io/service=base"}}
    patch_status(kubectl, "emb", status)
    url = f"/apis/embedding-operator.io/v1alpha1/namespaces/{NAMESPACE}/embeddingservices/base/scale"
    scale = json.loads(kubectl("get", "--raw", url))
    assert (scale["spec"], scale["status"]) == (
        {"replicas": 1},
        {"replicas": 2, "selector": "embedding-operator.io/service=base"},
    )


def patch_status(kubectl: Kubectl, kind: str, status: Manifest) -> None:
    patch = ("--subresource=status", "--type=merge", "-p", json.dumps(status))
    kubectl("patch", "-n", NAMESPACE, f"{kind}/base", *patch)


def ready(status: str, reason: str) -> Manifest:
    return {
        "type": "Ready",
        "status": status,
        "reason": reason,
        "message": "A line.",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    }


def test_status_is_written_apart_from_spec(kubectl: Kubectl, stored: Manifest) -> None:
    patch_status(kubectl, "emb", {"spec": {"replicas": 9}, "status": {"conditions": [ready("True", "Serving")]}})
    after = get(kubectl, "emb", "base")
    assert (after["spec"]["replicas"], after["metadata"]["generation"]) == (1, 1)
    assert after["status"]["conditions"] == [ready("True", "Serving")]


def test_a_status_that_is_not_a_condition_is_refused(kubectl: Kubectl, stored: Manifest) -> None:
    with pytest.raises(ClusterError, match="supported values"):
        patch_status(kubectl, "emb", {"status": {"conditions": [ready("Maybe", "Serving")]}})


def columns(kubectl: Kubectl, kind: str) -> dict[str, str]:
    """The one line that `kubectl get` prints, by its headings, which the widths of the columns tell apart."""
    heading, line = kubectl("get", kind, "-n", NAMESPACE).splitlines()
    starts = [index for index, letter in enumerate(heading) if letter != " " and heading[:index][-1:] in ("", " ")]
    ends = [*starts[1:], None]
    return {heading[a:b].strip(): line[a:b].strip() for a, b in zip(starts, ends, strict=True)}


def test_kubectl_get_shows_a_service_in_one_line(kubectl: Kubectl, stored: Manifest) -> None:
    patch_status(kubectl, "emb", {"status": {"readyReplicas": 1, "conditions": [ready("True", "Serving")]}})
    shown = columns(kubectl, "emb")
    assert shown.pop("AGE")
    assert shown == {
        "NAME": "base",
        "READY": "True",
        "REASON": "Serving",
        "MODEL": "Qwen/Qwen3-Embedding-0.6B",
        "AVAILABLE": "1",
        "REPLICAS": "1",
    }


def test_kubectl_get_shows_the_path_of_weights_in_place(kubectl: Kubectl) -> None:
    manifest = service(model={"source": {"path": {"path": "models/mini"}}})
    kubectl("apply", "-n", NAMESPACE, "-f", "-", input=as_yaml(manifest))
    try:
        assert columns(kubectl, "emb")["MODEL"] == "models/mini"
    finally:
        kubectl("delete", "-n", NAMESPACE, "emb/base")


def test_kubectl_get_shows_a_cache_in_one_line(kubectl: Kubectl) -> None:
    kubectl("apply", "-n", NAMESPACE, "-f", "-", input=as_yaml(cache()))
    try:
        progress = {"phase": "Downloading", "percent": 42, "bytes": 42, "totalBytes": 100, "secondsLeft": 7}
        status = {"conditions": [ready("False", "Downloading")], "progress": progress, "bytes": 100}
        patch_status(kubectl, "mcache", {"status": status})
        shown = columns(kubectl, "mcache")
        assert shown.pop("AGE")
        assert shown == {
            "NAME": "base",
            "READY": "False",
            "REASON": "Downloading",
            "PROGRESS": "42",
            "LEFT": "7",
            "SIZE": "100",
        }
    finally:
        kubectl("delete", "-n", NAMESPACE, "mcache/base")


def test_all_kinds_are_in_one_category(kubectl: Kubectl, stored: Manifest) -> None:
    assert "embeddingservice.embedding-operator.io/base" in kubectl("get", "ai", "-n", NAMESPACE, "-o", "name")
