"""Namespaces that enforce Pod Security Standards: what they keep out is told with its cure, and staging fits in all."""

from __future__ import annotations

import pytest

from tests.cluster.controlplane import ControlPlane
from tests.integration.operating import Namespace, pod_of, until
from tests.operator_process import OperatorProcess

ENFORCE = "pod-security.kubernetes.io/enforce"


class Guarded(Namespace):
    """A namespace that enforces a level."""

    def __init__(self, control_plane: ControlPlane, level: str) -> None:
        super().__init__(control_plane.kubectl)
        self.enforce(level)
        self.claim()

    def enforce(self, level: str) -> None:
        self.kubectl("label", "namespace", self.name, f"{ENFORCE}={level}", "--overwrite")

    def serve(self, profile: str) -> None:
        self.service(runtime={"profile": profile})
        pod_of(self, "model-staging")
        self.stage()

    def try_again(self) -> None:
        """As docs/administrators.md says, for who does not want to wait."""
        self.kubectl("annotate", "deployment", "qwen", "tried=now", "--overwrite")


@pytest.mark.parametrize(
    ("level", "profile", "needed", "why"),
    [
        ("baseline", "ascend-910b", "privileged", "hostPath volumes"),
        ("restricted", "ascend-910b", "privileged", "hostPath"),
        ("restricted", "cpu", "baseline", "runAsNonRoot != true"),
    ],
)
def test_pods_that_are_kept_out_stall_their_service_with_the_level_that_they_need(
    control_plane: ControlPlane, operator: OperatorProcess, level: str, profile: str, needed: str, why: str
) -> None:
    namespace = Guarded(control_plane, level)
    namespace.serve(profile)
    until(lambda: namespace.condition("emb", "qwen", "Stalled")["reason"] == "PodSecurity")
    message = namespace.condition("emb", "qwen")["message"]
    assert f"namespace {namespace.name} is {level} by Pod Security and these pods need {needed}" in message
    assert why in message
    assert ("hostMounts" in message) is (profile != "cpu")
    namespace.enforce(needed)
    namespace.try_again()
    until(lambda: namespace.condition("emb", "qwen")["reason"] == "Starting")
    assert len(namespace.items("pod", "embedding-operator.io/service=qwen")) == 2


def test_a_staging_job_that_asks_for_root_waits_where_that_is_forbidden_and_says_where_to_look(
    control_plane: ControlPlane, operator: OperatorProcess
) -> None:
    namespace = Guarded(control_plane, "restricted")
    namespace.service(cache={"claimName": "model-weights", "securityContext": {"runAsUser": 0}})
    until(lambda: "`kubectl describe job` says what forbids it" in message_of(namespace))
    assert namespace.items("pod") == []
    until(lambda: "violates PodSecurity" in namespace.kubectl("describe", "job"))


def message_of(namespace: Namespace) -> str:
    """What the one ModelCache says."""
    caches = namespace.items("modelcache")
    return str(namespace.condition("mcache", caches[0]["metadata"]["name"])["message"]) if caches else ""


def test_baseline_is_enough_without_mounts_of_the_host(control_plane: ControlPlane, operator: OperatorProcess) -> None:
    namespace = Guarded(control_plane, "baseline")
    namespace.serve("cpu")
    until(lambda: len(namespace.items("pod", "embedding-operator.io/service=qwen")) == 2)
    assert namespace.condition("emb", "qwen")["reason"] == "Starting"
