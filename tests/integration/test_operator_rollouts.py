"""Rollouts with and without a free device, by the operator and the real Deployment controller."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.integration.operating import Namespace, is_ready, until
from tests.operator_process import OperatorProcess

Object = dict[str, Any]
SERVING = "embedding-operator.io/service=qwen"
NPU = "huawei.com/Ascend910"
SURGE = {"maxSurge": 1, "maxUnavailable": 0}
ONE_BY_ONE = {"maxSurge": 0, "maxUnavailable": 1}


@pytest.fixture
def namespace(control_plane: ControlPlane, operator: OperatorProcess) -> Namespace:
    return Namespace(control_plane.kubectl)


class Nodes:
    """What scheduler and kubelets would say, with so many devices; and what was seen meanwhile."""

    def __init__(self, namespace: Namespace, devices: int) -> None:
        self.devices = devices
        self.fewest: list[int] = []
        self.strategies: list[Object] = []
        self._namespace = namespace

    def until(self, condition: Callable[[], bool], seconds: float = 120) -> None:
        """Let them work until something holds."""

        def holds() -> bool:
            self._turn()
            return condition()

        until(holds, seconds)

    def pods(self) -> list[Object]:
        return [pod for pod in self._namespace.items("pod", SERVING) if not pod["metadata"].get("deletionTimestamp")]

    def _turn(self) -> None:
        pods = self.pods()
        running = sum(map(is_ready, pods))
        self.fewest.append(running)
        for pod in pods:
            if is_ready(pod):
                continue
            if running < self.devices:
                running += 1
                self._say(pod, "Running", {"type": "Ready", "status": "True"})
            elif "conditions" not in pod["status"]:
                message = f"0/2 nodes are available: 2 Insufficient {NPU}."
                told = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
                self._say(pod, "Pending", told)
        deployment = self._namespace.get("deployment", "qwen") or {}
        strategy = ((deployment.get("spec") or {}).get("strategy") or {}).get("rollingUpdate")
        if strategy and self.strategies[-1:] != [strategy]:
            self.strategies.append(strategy)

    def _say(self, pod: Object, phase: str, condition: Object) -> None:
        patch = json.dumps({"status": {"phase": phase, "conditions": [condition]}})
        try:
            self._namespace.kubectl("patch", "pod", pod["metadata"]["name"], "--subresource=status", "-p", patch)
        except ClusterError as error:
            if "NotFound" not in str(error):  # it was deleted a moment ago
                raise


def served(namespace: Namespace, devices: int, replicas: int, **spec: Any) -> Nodes:
    """A service that serves, on nodes with so many devices."""
    namespace.claim()
    nodes = Nodes(namespace, devices)
    serve(namespace, replicas, **spec)
    namespace.stage()
    nodes.until(lambda: namespace.condition("emb", "qwen")["reason"] == "Serving")
    nodes.fewest.clear()
    return nodes


def serve(namespace: Namespace, replicas: int, **spec: Any) -> None:
    namespace.service(runtime={"profile": "ascend-910b"}, replicas=replicas, **spec)


def rolled(namespace: Namespace, nodes: Nodes, before: list[Object]) -> bool:
    old = {pod["metadata"]["uid"] for pod in before}
    now = {pod["metadata"]["uid"] for pod in nodes.pods()}
    return not old & now and namespace.condition("emb", "qwen")["reason"] == "Serving"


def test_a_spare_device_is_used_and_nothing_is_given_up(namespace: Namespace) -> None:
    nodes = served(namespace, devices=3, replicas=2)
    before = nodes.pods()
    serve(namespace, 2, serving={"maxModelLen": 512})
    nodes.until(lambda: rolled(namespace, nodes, before))
    assert min(nodes.fewest) == 2
    assert nodes.strategies == [SURGE]


def test_without_a_spare_device_pods_are_replaced_one_by_one_and_the_next_rollout_surges_again(
    namespace: Namespace,
) -> None:
    nodes = served(namespace, devices=3, replicas=3)
    before = nodes.pods()
    serve(namespace, 3, serving={"maxModelLen": 512})
    nodes.until(lambda: "one at a time, while 2 of 3 serve" in namespace.condition("emb", "qwen")["message"])
    nodes.until(lambda: rolled(namespace, nodes, before))
    assert min(nodes.fewest) == 2, "never below minAvailable"
    nodes.until(lambda: nodes.strategies == [SURGE, ONE_BY_ONE, SURGE])

    nodes.devices += 1
    before = nodes.pods()
    nodes.fewest.clear()
    serve(namespace, 3, serving={"maxModelLen": 1024})
    nodes.until(lambda: rolled(namespace, nodes, before))
    assert min(nodes.fewest) == 3
    assert nodes.strategies == [SURGE, ONE_BY_ONE, SURGE]


def test_a_single_replica_waits_for_a_device_until_it_may_go_first(namespace: Namespace) -> None:
    nodes = served(namespace, devices=1, replicas=1)
    before = nodes.pods()
    changed = {"serving": {"maxModelLen": 512}}
    serve(namespace, 1, **changed)
    nodes.until(lambda: "write rollout.minAvailable: 0" in namespace.condition("emb", "qwen")["message"])
    assert min(nodes.fewest) == 1
    assert before[0]["metadata"]["uid"] in {pod["metadata"]["uid"] for pod in nodes.pods()}

    waiting = {pod["metadata"]["uid"] for pod in nodes.pods()} - {before[0]["metadata"]["uid"]}
    serve(namespace, 1, rollout={"minAvailable": 0}, **changed)
    nodes.until(lambda: rolled(namespace, nodes, before))
    assert {pod["metadata"]["uid"] for pod in nodes.pods()} == waiting, "a change of the strategy restarts nothing"


@pytest.mark.long
def test_a_change_of_strategy_or_scale_in_the_middle_disturbs_nothing(namespace: Namespace) -> None:
    nodes = served(namespace, devices=2, replicas=2)
    before = nodes.pods()
    serve(namespace, 2, serving={"maxModelLen": 512})
    nodes.until(lambda: ONE_BY_ONE in nodes.strategies)
    nodes.devices = 4
    namespace.kubectl("scale", "emb/qwen", "--replicas=4")  # as an autoscaler does
    nodes.until(lambda: rolled(namespace, nodes, before) and len(nodes.pods()) == 4)
    assert min(nodes.fewest) >= 1
    pods = {pod["metadata"]["uid"] for pod in nodes.pods()}
    revisions = len(namespace.items("controllerrevision"))
    patch = {"spec": {"rollout": {"strategy": "Replace", "minAvailable": "50%"}}}
    namespace.kubectl("patch", "emb", "qwen", "--type=merge", "-p", json.dumps(patch))
    nodes.until(lambda: nodes.strategies[-1] == {"maxSurge": 0, "maxUnavailable": 2})
    assert (namespace.get("poddisruptionbudget", "qwen") or {})["spec"]["minAvailable"] == 2
    assert {pod["metadata"]["uid"] for pod in nodes.pods()} == pods
    assert len(namespace.items("controllerrevision")) == revisions


def test_a_restart_by_kubectl_rolls_once(namespace: Namespace) -> None:
    nodes = served(namespace, devices=3, replicas=2)
    before = nodes.pods()
    namespace.kubectl("rollout", "restart", "deployment/qwen")
    nodes.until(lambda: rolled(namespace, nodes, before))
    assert min(nodes.fewest) == 2
    after = {pod["metadata"]["uid"] for pod in nodes.pods()}
    serve(namespace, 2, rollout={"revisionHistoryLimit": 3})  # which makes the operator look at everything again
    looks = len(nodes.fewest)
    nodes.until(lambda: len(nodes.fewest) > looks + 10)
    assert {pod["metadata"]["uid"] for pod in nodes.pods()} == after
