"""The operator, as a process, against a real API server and controller manager: what a user sees of it."""

from __future__ import annotations

import json
import time

import pytest

from tests.cluster.controlplane import ControlPlane
from tests.installed import operator_of
from tests.integration.operating import Namespace, until, versions
from tests.operator_process import OperatorProcess


@pytest.fixture
def namespace(control_plane: ControlPlane, operator: OperatorProcess) -> Namespace:
    return Namespace(control_plane.kubectl)


class Writes:
    """The operator's writes in a namespace since now, from the API server's audit log."""

    def __init__(self, control_plane: ControlPlane, namespace: Namespace) -> None:
        self._log, self._namespace = control_plane.audit_log, namespace.name
        self._seen = len(self._log.read_text().splitlines())

    def __call__(self) -> list[tuple[str, str]]:
        requests = [json.loads(line) for line in self._log.read_text().splitlines()[self._seen :]]
        return [
            (request["verb"], request["objectRef"]["resource"])
            for request in requests
            if request.get("userAgent") == "embedding-operator"
            and request["verb"] not in ("get", "list", "watch")
            and request["objectRef"].get("namespace") == self._namespace
        ]


def comes_to_rest(control_plane: ControlPlane, namespace: Namespace) -> None:
    """Wait until the operator has had nothing to write for some seconds."""

    def is_at_rest() -> bool:
        writes = Writes(control_plane, namespace)
        time.sleep(3)
        return writes() == []

    until(is_at_rest)


def test_one_manifest_becomes_a_cache_a_job_and_once_staged_all_children(namespace: Namespace) -> None:
    namespace.claim()
    namespace.service()
    until(lambda: len(namespace.items("job")) == 1)
    until(lambda: namespace.condition("emb", "qwen")["reason"] == "WaitingForWeights")
    assert namespace.children() == []
    namespace.stage()
    until(lambda: len(namespace.children()) == 5)
    until(lambda: namespace.condition("emb", "qwen")["reason"] == "Starting")
    status = (namespace.get("emb", "qwen") or {})["status"]
    assert status["observedGeneration"] == 1
    assert status["endpoint"] == f"http://qwen.{namespace.name}.svc:8000/v1"
    assert status["resolved"]["vllm"] == "0.32.0"
    assert status["selector"] == "embedding-operator.io/service=qwen"


def test_a_service_at_rest_is_written_to_no_more(control_plane: ControlPlane, namespace: Namespace) -> None:
    namespace.claim()
    namespace.service()
    namespace.stage()
    until(lambda: namespace.condition("emb", "qwen")["reason"] == "Starting")
    comes_to_rest(control_plane, namespace)
    writes = Writes(control_plane, namespace)
    time.sleep(5)
    assert writes() == []


def test_killed_and_started_again_it_writes_nothing_but_what_is_missing(
    control_plane: ControlPlane, operator: OperatorProcess, namespace: Namespace
) -> None:
    namespace.claim()
    namespace.service()
    namespace.stage()
    until(lambda: namespace.condition("emb", "qwen")["reason"] == "Starting")
    comes_to_rest(control_plane, namespace)
    generations = {o["metadata"]["name"]: o["metadata"].get("generation") for o in namespace.children()}
    operator.kill()
    namespace.kubectl("delete", "service", "qwen")
    writes = Writes(control_plane, namespace)
    operator.start()
    until(lambda: namespace.get("service", "qwen") is not None)  # so it leads, and has looked
    time.sleep(2)
    assert writes() == [("patch", "services")]
    assert {o["metadata"]["name"]: o["metadata"].get("generation") for o in namespace.children()} == generations


def test_what_somebody_changes_or_deletes_is_healed(namespace: Namespace) -> None:
    namespace.claim()
    namespace.service()
    namespace.stage()
    until(lambda: len(namespace.children()) == 5)
    namespace.kubectl("delete", "service,poddisruptionbudget", "qwen")
    namespace.kubectl("set", "image", "deployment/qwen", "vllm=example.com/evil:1")
    namespace.kubectl("label", "deployment", "qwen", "app.kubernetes.io/name=other", "--overwrite")

    def healed() -> bool:
        deployment = namespace.get("deployment", "qwen") or {}
        image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        label = deployment["metadata"]["labels"]["app.kubernetes.io/name"]
        return len(namespace.children()) == 5 and label == "vllm" and image != "example.com/evil:1"

    until(healed)


def test_a_strangers_service_is_left_alone_and_named(namespace: Namespace) -> None:
    namespace.kubectl("create", "service", "clusterip", "qwen", "--tcp=80:80")
    before = versions([namespace.get("service", "qwen") or {}])
    namespace.claim()
    namespace.service()
    namespace.stage()
    until(lambda: namespace.condition("emb", "qwen", "Stalled")["reason"] == "NameTaken")
    assert "Service" in namespace.condition("emb", "qwen")["message"]
    assert versions([namespace.get("service", "qwen") or {}]) == before
    until(lambda: "NameTaken" in namespace.kubectl("get", "events"))


def test_a_missing_claim_is_said_and_waited_for(namespace: Namespace) -> None:
    namespace.service()
    until(lambda: len(namespace.items("modelcache")) == 1)
    name = namespace.items("modelcache")[0]["metadata"]["name"]
    until(lambda: namespace.condition("mcache", name)["reason"] == "ClaimNotFound")
    assert "'model-weights' does not exist" in namespace.condition("mcache", name)["message"]
    until(lambda: "'model-weights' does not exist" in namespace.condition("emb", "qwen")["message"])
    namespace.claim()
    until(lambda: len(namespace.items("job")) == 1)


def test_an_unknown_profile_stalls_until_it_is_there(control_plane: ControlPlane, namespace: Namespace) -> None:
    profile = f"site-{namespace.name}"
    namespace.claim()
    namespace.service(runtime={"profile": profile})
    until(lambda: namespace.condition("emb", "qwen", "Reconciling")["reason"] == "ProfileNotFound")
    until(lambda: namespace.condition("emb", "qwen", "Stalled")["reason"] == "ProfileNotFound")
    known = "ascend-310p, ascend-910b, ascend-950, ascend-a3, cpu"
    assert known in namespace.condition("emb", "qwen")["message"]
    (cpu,) = [
        one
        for one in json.loads(control_plane.kubectl("get", "rp", "-o", "json"))["items"]
        if one["metadata"]["name"] == "cpu"
    ]
    cpu["metadata"] = {"name": profile}
    namespace.apply(cpu)
    until(lambda: len(namespace.items("job")) == 1)
    until(lambda: namespace.condition("emb", "qwen", "Stalled")["reason"] == "")


def test_what_the_api_server_refuses_stalls_in_its_words(namespace: Namespace) -> None:
    namespace.claim()
    both = {"name": "extra", "emptyDir": {}, "configMap": {"name": "extra"}}
    namespace.service(runtime={"profile": "cpu", "podTemplate": {"spec": {"volumes": [both]}}})
    namespace.stage()
    until(lambda: namespace.condition("emb", "qwen", "Stalled")["reason"] == "ApplyRefused")
    assert "may not specify more than 1 volume type" in namespace.condition("emb", "qwen")["message"]


def test_deleting_a_service_takes_its_children_and_leaves_the_weights(namespace: Namespace) -> None:
    namespace.claim()
    namespace.service()
    namespace.stage()
    until(lambda: len(namespace.children()) == 5)
    namespace.kubectl("delete", "emb", "qwen")
    until(lambda: namespace.children() == [])
    (cache,) = namespace.items("modelcache")
    until(lambda: not (namespace.get("mcache", cache["metadata"]["name"]) or {})["status"].get("usedBy"))
    assert namespace.items("pvc")


def test_services_with_the_same_source_share_one_cache(namespace: Namespace) -> None:
    namespace.claim()
    namespace.service("a")
    namespace.service("b")

    def users() -> list[str]:
        caches = namespace.items("modelcache")
        return [user["name"] for user in caches[0].get("status", {}).get("usedBy", [])] if len(caches) == 1 else []

    until(lambda: users() == ["a", "b"])
    assert len(namespace.items("job")) == 1
    namespace.kubectl("delete", "emb", "a")
    until(lambda: users() == ["b"])


def test_scaling_goes_through_the_scale_subresource(namespace: Namespace) -> None:
    namespace.claim()
    namespace.service()
    namespace.stage()
    until(lambda: len(namespace.children()) == 5)
    namespace.kubectl("scale", "emb/qwen", "--replicas=1")
    until(lambda: (namespace.get("deployment", "qwen") or {})["spec"]["replicas"] == 1)
    until(lambda: namespace.items("poddisruptionbudget") == [])
    namespace.kubectl("patch", "emb", "qwen", "--type=merge", "-p", '{"spec":{"suspend":true}}')
    until(lambda: namespace.condition("emb", "qwen")["reason"] == "Suspended")
    assert namespace.condition("emb", "qwen")["status"] == "True"


def test_a_standby_takes_over_and_a_stopped_leader_lets_go_at_once(
    control_plane: ControlPlane, operator: OperatorProcess, namespace: Namespace
) -> None:
    directory = operator.log.parent
    with operator_of(control_plane, directory, name="standby") as standby:
        assert operator.terminate() == 0
        namespace.claim()
        namespace.service()
        until(lambda: len(namespace.items("job")) == 1)
        operator.start()
    assert "Traceback" not in standby.log.read_text()
