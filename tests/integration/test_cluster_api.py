"""What tests ask the API server by themselves is what kubectl would tell them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cluster.api import Api
from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.integration import kinds
from tests.integration.operating import Namespace


@pytest.fixture(scope="module")
def namespace(control_plane: ControlPlane) -> Namespace:
    """With objects of the core, of a group, and of a kind of ours."""
    kinds.install_kinds(control_plane.kubectl)
    namespace = Namespace(control_plane.kubectl)
    namespace.service()
    namespace.kubectl("create", "configmap", "a", "--from-literal=b=c")
    namespace.kubectl("label", "configmap", "a", "team=search")
    namespace.kubectl("create", "deployment", "d", "--image=x", "--replicas=0")
    namespace.kubectl("wait", "deployment/d", "--for=jsonpath={.status.observedGeneration}", "--timeout=60s")
    return namespace


@pytest.fixture
def api(control_plane: ControlPlane) -> Api:
    return Api(control_plane.kubeconfig)


def by_kubectl(namespace: Namespace, *asked: str) -> Any:
    return json.loads(namespace.kubectl("get", *asked, "-o", "json"))


@pytest.mark.parametrize(
    "asked",
    ["cm", "configmaps", "emb", "embeddingservice", "Deployment", "deployments.v1.apps", "cm,sa,emb,job"],
)
def test_all_of_a_kind_by_any_of_its_names(namespace: Namespace, api: Api, asked: str) -> None:
    assert api.items(asked, namespace.name) == by_kubectl(namespace, asked)["items"]


def test_those_that_a_label_picks_and_those_of_all_namespaces(namespace: Namespace, api: Api) -> None:
    (found,) = api.items("cm", namespace.name, "team=search")
    assert found["data"] == {"b": "c"}
    everywhere = {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in api.items("sa")}
    assert everywhere >= {(namespace.name, "default"), ("kube-system", "default")}
    assert [one["metadata"]["name"] for one in api.items("crd")] == sorted(
        one["metadata"]["name"] for one in by_kubectl(namespace, "crd")["items"]
    )


def test_one_that_is_there_one_that_is_not_and_a_kind_that_nobody_has(namespace: Namespace, api: Api) -> None:
    assert api.get("emb", "qwen", namespace.name) == by_kubectl(namespace, "emb", "qwen")
    assert api.get("deployment", "nobodys", namespace.name) is None
    with pytest.raises(ClusterError, match=r'doesn\'t have a resource type "nothings"'):
        api.items("nothings", namespace.name)


def test_a_status_is_written_and_what_it_is_written_to_must_be_there(namespace: Namespace, api: Api) -> None:
    api.write_status("emb", "qwen", namespace.name, {"observedGeneration": 1})
    assert by_kubectl(namespace, "emb", "qwen")["status"]["observedGeneration"] == 1
    with pytest.raises(ClusterError, match="NotFound"):
        api.write_status("emb", "nobodys", namespace.name, {})


def test_every_kind_that_can_be_listed(namespace: Namespace, api: Api) -> None:
    told = namespace.kubectl("api-resources", "--namespaced", "--verbs=list", "-o", "name").split()
    assert sorted(api.listed()) == sorted(told)
