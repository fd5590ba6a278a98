"""The kinds on a real API server: it takes the CRDs and good manifests, adds nothing of its own, and explains."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from embedding_operator.api.profile import ProfilePod
from embedding_operator.api.service import EmbeddingService
from embedding_operator.planning.profiles import BUILT_IN
from embedding_operator.planning.weights import model_cache
from tests.cluster.controlplane import ControlPlane
from tests.cluster.kubectl import Kubectl
from tests.integration.kinds import CRDS, EXAMPLES, PLURALS, Manifest, as_yaml, cache, install_kinds, profile, service
from tests.unit.test_docs import DOCUMENTS, manifests

NAMESPACE = "kinds"


@pytest.fixture(scope="module")
def kubectl(control_plane: ControlPlane) -> Kubectl:
    install_kinds(control_plane.kubectl)
    control_plane.kubectl("create", "namespace", NAMESPACE)
    return control_plane.kubectl


@pytest.mark.parametrize("plural", PLURALS)
def test_the_api_server_takes_the_schema_as_structural(kubectl: Kubectl, plural: str) -> None:
    crd = json.loads(kubectl("get", "crd", f"{plural}.embedding-operator.io", "-o", "json"))
    conditions = {condition["type"]: condition["status"] for condition in crd["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}
    assert crd["status"]["storedVersions"] == ["v1alpha1"]


def test_a_second_apply_changes_nothing(kubectl: Kubectl) -> None:
    lines = kubectl("apply", "-f", str(CRDS)).splitlines()
    assert len(lines) == len(PLURALS)
    assert [line for line in lines if not line.endswith("unchanged")] == []


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_examples_are_accepted_stored_and_stable(kubectl: Kubectl, file: Path) -> None:
    apply = ("apply", "-n", NAMESPACE, "-f", str(file))
    kubectl(*apply, "--dry-run=server")
    kubectl(*apply)
    try:
        lines = kubectl(*apply).splitlines()
        assert lines
        assert [line for line in lines if not line.endswith("unchanged")] == []
    finally:
        kubectl("delete", "-n", NAMESPACE, "-f", str(file), "--timeout=60s")


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_nothing_but_replicas_gets_a_default(kubectl: Kubectl, file: Path) -> None:
    answer = kubectl("create", "-n", NAMESPACE, "--dry-run=server", "-o", "json", "-f", str(file))
    for kind, spec in specs(answer, file, of_ours=True):
        written, came_back = spec
        if kind == "EmbeddingService":
            written.setdefault("replicas", 1)
        assert came_back == written


def specs(answer: str, file: Path, *, of_ours: bool) -> list[tuple[str, tuple[Manifest, Manifest]]]:
    """Of each manifest in a file, its kind, its spec as written and its spec as answered."""
    manifests = list(yaml.safe_load_all(file.read_text()))
    decoder, answers, rest = json.JSONDecoder(), [], answer.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        answers += value["items"] if value["kind"] == "List" else [value]
        rest = rest[end:].strip()
    assert len(answers) == len(manifests)
    return [
        (manifest["kind"], (manifest["spec"], came_back["spec"]))
        for manifest, came_back in zip(manifests, answers, strict=True)
        if manifest["apiVersion"].startswith("embedding-operator.io/") is of_ours
    ]


def test_lists_and_groups_get_no_defaults_within(kubectl: Kubectl) -> None:
    """A default within a list item would be one more thing that GitOps tools see and nobody wrote."""
    manifest = service(
        replicas=0,
        runtime={"env": [{"name": "A"}], "imagePullSecrets": [{"name": "registry"}], "resources": {}},
        scheduling={"tolerations": [{"operator": "Exists"}], "affinity": {"nodeAffinity": {"any": [{"x": 1}]}}},
        rollout={},
        exposure={"service": {}},
        serving={},
    )
    answer = kubectl("create", "-n", NAMESPACE, "--dry-run=server", "-o", "json", "-f", "-", input=as_yaml(manifest))
    assert json.loads(answer)["spec"] == manifest["spec"]


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(service(model={"cacheRef": {"name": "weights"}}, cache=None), id="null is absent"),
        pytest.param(service(runtime__image="localhost:5000/vllm:v0.23.0"), id="a registry with a port"),
        pytest.param(service(runtime__image=f"vllm@sha256:{'a' * 64}"), id="a digest"),
        pytest.param(service(runtime__image=f"vllm:latest@sha256:{'a' * 64}"), id="a digest fixes latest"),
        pytest.param(service(runtime__version="0.23.0rc1"), id="a release candidate"),
        pytest.param(service(runtime__args=["--enable-prefix-caching", "--seed", "1"]), id="other arguments"),
        pytest.param(service(runtime__resources={"limits": {"cpu": 4, "memory": "1.5Gi"}}), id="numbers and text"),
        pytest.param(service(rollout__drainTimeout="1h30m"), id="hours and minutes"),
        pytest.param(service(serving__maxConnectionAge="0s"), id="connections for ever"),
        pytest.param(service(replicas=0), id="no replicas"),
        pytest.param(service(metadata__name="a" * 52), id="the longest name"),
        pytest.param(service(model__source={"path": {"path": "models/..hidden"}}), id="dots within a name"),
        pytest.param(
            service(model__source__modelScope__endpoint="http://hub.hub.svc:8080/mirror"), id="a hub in the cluster"
        ),
        pytest.param(service(cache={"claimTemplate": {"size": "2Gi", "storageClassName": ""}}), id="no class"),
        pytest.param(cache(digest=f"sha256:{'0' * 64}"), id="a cache with a digest"),
        pytest.param(
            service(runtime__resources={"requests": {"cpu": 4, "rdma/hca": 1}, "limits": {"rdma/hca": "1"}}),
            id="a device that is no accelerator",
        ),
        pytest.param(service(runtime__resources={"limits": {"rdma/hca": 1}}), id="a limit that is the request too"),
        pytest.param(profile(accelerator__slice={"huawei.com/Ascend910-memory": 32768}), id="a slice of a device"),
        pytest.param(profile(pod={"runtimeClassName": "", "schedulerName": "", "labels": {}}), id="empty is none"),
        pytest.param(
            profile(accelerator={"type": "None"}, pod={"resourcesPerDevice": {"cpu": 4, "memory": "8Gi"}}), id="cpu"
        ),
    ],
)
def test_good_manifests_are_accepted(kubectl: Kubectl, manifest: Manifest) -> None:
    assert "created" in kubectl("create", "-n", NAMESPACE, "--dry-run=server", "-f", "-", input=as_yaml(manifest))


SHOWN = [
    pytest.param(manifest, id=f"{document.name} {manifest['metadata']['name']}")
    for document in DOCUMENTS
    for manifest in manifests(document)
]


@pytest.mark.parametrize("manifest", SHOWN)
def test_the_manifests_that_documents_show_are_accepted(kubectl: Kubectl, manifest: Manifest) -> None:
    arguments = ("create", "-n", NAMESPACE, "--dry-run=server", "--validate=strict", "-f", "-")
    assert "created" in kubectl(*arguments, input=as_yaml(manifest))


@pytest.mark.parametrize("built_in", BUILT_IN, ids=lambda manifest: manifest["metadata"]["name"])
def test_the_profiles_that_the_operator_brings_are_accepted(kubectl: Kubectl, built_in: Manifest) -> None:
    built_in = {**built_in, "metadata": {**built_in["metadata"], "name": "a-copy"}}  # an operator may have made its own
    assert "created" in kubectl("create", "--dry-run=server", "-f", "-", input=as_yaml(built_in))


def test_the_cache_that_a_full_service_asks_for_is_accepted(kubectl: Kubectl) -> None:
    manifest = service(
        metadata__namespace=NAMESPACE,
        model__source__modelScope={
            "repo": "Qwen/Qwen3-Embedding-0.6B",
            "endpoint": "https://hub.example.com/",
            "secretRef": {"name": "hub-token", "key": "token"},
            "include": ["*.json", "*.safetensors"],
            "exclude": [],
        },
        cache={"claimName": "w", "subPath": "a/b", "securityContext": {"runAsUser": 0, "supplementalGroups": [7]}},
        scheduling={"nodeSelector": {"a": "b"}, "tolerations": [{"key": "a", "operator": "Exists"}]},
    )
    asked_for = model_cache(EmbeddingService.from_dict(manifest), ProfilePod())
    assert "created" in kubectl("create", "--dry-run=server", "-f", "-", input=as_yaml(asked_for))


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("emb", "speaks the OpenAI embeddings API"),
        ("emb.spec.model", "Which model to serve"),
        ("emb.spec.cache.claimName", "ReadWriteMany"),
        ("emb.spec.scheduling.tolerations.effect", "Effect of the taint"),
        ("emb.status.conditions", "Ready is always there"),
        ("mcache.spec.source", "another revision is another ModelCache"),
        ("rp.spec.pod.hostMounts", "/usr/local/Ascend/driver"),
    ],
)
def test_kubectl_explain_teaches(kubectl: Kubectl, field: str, words: str) -> None:
    assert words in " ".join(kubectl("explain", field).split())
