"""`spec.suspend`, and the scale subresource as kubectl and autoscalers use it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.integration.operating import Namespace, settle, until
from tests.operator_process import OperatorProcess

Object = dict[str, Any]
SELECTOR = "embedding-operator.io/service=qwen"


@pytest.fixture
def namespace(control_plane: ControlPlane, operator: OperatorProcess) -> Namespace:
    """One with a service that serves, whose weights would go if nobody used them."""
    namespace = Namespace(control_plane.kubectl)
    namespace.claim()
    cache = {"claimName": "model-weights", "deletionPolicy": "Delete", "ttlAfterUnused": "1s"}
    namespace.service(cache=cache)
    namespace.stage()
    until(lambda: namespace.get("deployment", "qwen") is not None)
    settle(namespace, "qwen")
    return namespace


def write(namespace: Namespace, **spec: Any) -> None:
    namespace.kubectl("patch", "emb", "qwen", "--type=merge", "-p", json.dumps({"spec": spec}))


def replicas(namespace: Namespace) -> int:
    found: int = (namespace.get("deployment", "qwen") or {})["spec"]["replicas"]
    return found


def kept(namespace: Namespace) -> Object:
    """What a pause leaves alone, by kind, name, uid and making."""
    found = {}
    for kind in ("service", "controllerrevision", "deployment", "configmap", "modelcache", "pvc", "job"):
        for one in namespace.items(kind):
            making = one.get("data") or one["spec"].get("template") or one["spec"].get("clusterIP")
            found[f"{kind}/{one['metadata']['name']}"] = (one["metadata"]["uid"], making)
    return found


def test_a_suspended_service_has_no_pods_and_keeps_all_else_and_comes_back_as_it_was(namespace: Namespace) -> None:
    before = kept(namespace)
    write(namespace, suspend=True)
    until(lambda: namespace.items("pod", SELECTOR) == [])
    until(lambda: namespace.condition("emb", "qwen")["reason"] == "Suspended")
    assert namespace.condition("emb", "qwen")["status"] == "True"
    assert namespace.condition("emb", "qwen", "Available")["reason"] == "ScaledToZero"
    assert namespace.items("poddisruptionbudget") == []
    (cache,) = namespace.items("modelcache")
    assert cache["status"]["usedBy"] == [{"kind": "EmbeddingService", "name": "qwen"}]
    assert "unusedSince" not in cache["status"]
    assert kept(namespace) == before
    assert namespace.items("endpointslice")[0].get("endpoints") in (None, [])

    write(namespace, replicas=3)  # of a paused one: for when it goes on
    until(lambda: (namespace.get("emb", "qwen") or {})["status"]["observedGeneration"] == 3)
    assert replicas(namespace) == 0

    write(namespace, suspend=False)
    until(lambda: len(namespace.items("pod", SELECTOR)) == 3)
    settle(namespace, "qwen")
    assert len(namespace.items("poddisruptionbudget")) == 1
    assert kept(namespace) == before


def test_a_service_that_is_suspended_from_the_beginning_stages_its_weights_and_waits(namespace: Namespace) -> None:
    other = {"source": {"modelScope": {"repo": "Qwen/Other"}}}
    namespace.service("later", model=other, suspend=True)
    until(lambda: len(namespace.items("job")) == 2)
    (new,) = (one["metadata"]["name"] for one in namespace.items("modelcache") if "other" in one["metadata"]["name"])
    done = {"digest": "sha256:" + "cd" * 32, "path": "modelscope/Qwen--Other/c", "revision": "c"}
    namespace.write_status("modelcache", new, done)
    until(lambda: namespace.condition("emb", "later")["reason"] == "Suspended")
    assert (namespace.get("deployment", "later") or {})["spec"]["replicas"] == 0


def test_kubectl_scales_it_up_down_and_to_nothing(namespace: Namespace) -> None:
    def scale(number: int, *precondition: str) -> None:
        namespace.kubectl("scale", "emb/qwen", f"--replicas={number}", *precondition)
        until(lambda: replicas(namespace) == number)

    template = (namespace.get("deployment", "qwen") or {})["spec"]["template"]
    scale(4, "--current-replicas=2")
    until(lambda: len(namespace.items("pod", SELECTOR)) == 4)
    settle(namespace, "qwen")
    scale(1)
    until(lambda: namespace.items("poddisruptionbudget") == [])
    scale(0)
    until(lambda: namespace.condition("emb", "qwen")["reason"] == "ScaledToZero")
    assert namespace.condition("emb", "qwen")["status"] == "True"
    scale(2)
    settle(namespace, "qwen")
    assert (namespace.get("deployment", "qwen") or {})["spec"]["template"] == template
    with pytest.raises(ClusterError, match="Expected replicas to be 7, was 2"):
        scale(1, "--current-replicas=7")


def test_an_autoscaler_finds_replicas_and_pods_and_is_obeyed(namespace: Namespace) -> None:
    path = f"/apis/embedding-operator.io/v1alpha1/namespaces/{namespace.name}/embeddingservices/qwen/scale"
    seen = json.loads(namespace.kubectl("get", "--raw", path))
    assert (seen["spec"]["replicas"], seen["status"]["replicas"], seen["status"]["selector"]) == (2, 2, SELECTOR)
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "qwen"},
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "embedding-operator.io/v1alpha1",
                "kind": "EmbeddingService",
                "name": "qwen",
            },
            "minReplicas": 3,
            "maxReplicas": 5,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
                }
            ],
        },
    }
    namespace.apply(scaler)
    until(lambda: replicas(namespace) == 3)  # the least that it allows; it needs no metrics for that
    assert (namespace.get("emb", "qwen") or {})["spec"]["replicas"] == 3
