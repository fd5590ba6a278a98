"""What keeps pods from serving, told with its cure; and a pod on an unhealthy device, replaced. A kubelet is played."""

from __future__ import annotations

import json
from typing import Any

import pytest

from embedding_operator.api import names
from tests.cluster.controlplane import ControlPlane
from tests.integration.kinds import benchmark, job
from tests.integration.operating import Namespace, pod_of, settle, until
from tests.operator_process import OperatorProcess

PODS = "embedding-operator.io/service=qwen"
Pod = dict[str, Any]


@pytest.fixture
def namespace(control_plane: ControlPlane, operator: OperatorProcess) -> Namespace:
    made = Namespace(control_plane.kubectl)
    made.claim()
    return made


def serve(namespace: Namespace) -> None:
    namespace.service(runtime={"profile": "ascend-910b"})
    pod_of(namespace, "model-staging")
    namespace.stage()


def pods(namespace: Namespace) -> list[Pod]:
    return [pod for pod in namespace.items("pod", PODS) if not pod["metadata"].get("deletionTimestamp")]


def kubelet_says(namespace: Namespace, pod: Pod, *, ready: bool = True, **container: Any) -> None:
    """The pod's status, as a kubelet writes it."""
    about = {"name": "vllm", "image": "x", "imageID": "x", "ready": ready, "restartCount": 0, "started": ready}
    conditions = [{"type": kind, "status": str(ready)} for kind in ("Ready", "ContainersReady")]
    status = {"phase": "Running", "conditions": conditions, "containerStatuses": [about | container]}
    namespace.write_status("pod", pod["metadata"]["name"], status)


def device(health: str) -> dict[str, Any]:
    return {
        "allocatedResourcesStatus": [
            {"name": "huawei.com/Ascend910", "resources": [{"resourceID": "Ascend910-3", "health": health}]}
        ]
    }


def test_a_pod_on_an_unhealthy_device_goes_once_another_one_serves(namespace: Namespace) -> None:
    serve(namespace)
    until(lambda: len(pods(namespace)) == 2)
    ill, well = pods(namespace)
    kubelet_says(namespace, ill, **device("Healthy"))
    kubelet_says(namespace, well)
    until(lambda: namespace.condition("emb", "qwen")["status"] == "True")
    kubelet_says(namespace, ill, **device("Unhealthy"))
    until(lambda: namespace.condition("emb", "qwen", "Degraded")["reason"] == "DeviceUnhealthy")
    until(lambda: len(pods(namespace)) == 3)  # and both others are still there
    assert namespace.condition("emb", "qwen")["status"] == "True"
    known = {ill["metadata"]["uid"], well["metadata"]["uid"]}
    (new,) = [pod for pod in pods(namespace) if pod["metadata"]["uid"] not in known]
    kubelet_says(namespace, new)
    until(lambda: namespace.condition("emb", "qwen", "Degraded")["status"] == "")
    left = {well["metadata"]["uid"], new["metadata"]["uid"]}
    until(lambda: {pod["metadata"]["uid"] for pod in pods(namespace)} == left)
    assert (namespace.get("deployment", "qwen") or {})["spec"]["replicas"] == 2
    until(lambda: {"Reconcile", "Evict"} <= {event["action"] for event in told(namespace, "DeviceUnhealthy")})


def told(namespace: Namespace, reason: str) -> list[dict[str, Any]]:
    events = json.loads(namespace.kubectl("get", "events.v1.events.k8s.io", "-o", "json"))["items"]
    return [event for event in events if event["reason"] == reason]


def test_a_quota_that_is_used_up_is_named(namespace: Namespace) -> None:
    namespace.kubectl("create", "quota", "few", "--hard=count/pods=1")
    serve(namespace)
    until(lambda: namespace.condition("emb", "qwen")["reason"] == "PodsRefused")
    message = namespace.condition("emb", "qwen")["message"]
    assert "pods cannot be made: a quota of the namespace is used up: " in message
    assert "have ResourceQuota few raised" in message


def test_a_servers_last_words_are_told_with_what_to_do(namespace: Namespace) -> None:
    serve(namespace)
    until(lambda: len(pods(namespace)) == 2)
    words = "RuntimeError: NPU out of memory. Tried to allocate 3.47 GiB (NPU 0; 60.97 GiB total capacity)"
    end = {"exitCode": 1, "reason": "Error", "message": words, "startedAt": None, "finishedAt": None}
    kubelet_says(
        namespace,
        pods(namespace)[0],
        ready=False,
        restartCount=3,
        state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
        lastState={"terminated": end},
    )
    until(lambda: namespace.condition("emb", "qwen")["reason"] == "CrashLooping")
    message = namespace.condition("emb", "qwen")["message"]
    assert "the device has not enough memory (NPU out of memory. Tried to allocate 3.47 GiB" in message
    assert "lower spec.serving.maxBatchedTokens" in message


def mount_for_ever(namespace: Namespace, pod: Pod) -> None:
    """The pod was given a node long ago, and its kubelet still waits for its volumes."""
    name, node = pod["metadata"]["name"], {"kind": "Node", "name": "far"}
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": node}
    path = f"/api/v1/namespaces/{namespace.name}/pods/{name}/binding"
    namespace.kubectl("create", "--raw", path, "-f", "-", input=json.dumps(binding))
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    conditions = [scheduled, {"type": "PodReadyToStartContainers", "status": "False"}]
    namespace.write_status("pod", name, {"phase": "Pending", "conditions": conditions})


def test_volumes_that_do_not_come_are_told_of_stagers_jobs_and_benchmarks_too(namespace: Namespace) -> None:
    def is_told(task: str, kind: str, name: str) -> None:
        mount_for_ever(namespace, pod_of(namespace, task))
        until(lambda: namespace.condition(kind, name)["reason"] == "VolumesNotMounted")
        assert "waits on node far for its volumes" in namespace.condition(kind, name)["message"]

    namespace.service()
    until(lambda: namespace.items("mcache") != [])
    is_told("model-staging", "mcache", namespace.items("mcache")[0]["metadata"]["name"])
    namespace.stage()
    until(lambda: namespace.get("deployment", "qwen") is not None)
    settle(namespace, "qwen")
    namespace.apply(job(runtime__profile="cpu", metadata__name="wiki"))
    is_told("job-split", "embjob", "wiki")
    namespace.apply(benchmark(serviceRef__name="qwen", metadata__name="table"))
    is_told(names.BENCHMARK_TASK, "embbench", "table")
