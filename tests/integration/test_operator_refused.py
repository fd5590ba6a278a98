"""What stands in the operator's way is said in the status, and forgotten once it is out of the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from embedding_operator.kube.resources import EMBEDDING_SERVICES
from tests.cluster.controlplane import ControlPlane
from tests.installed import operator_of
from tests.integration import kinds
from tests.integration.operating import DIGEST, Namespace, Object, until
from tests.operator_process import OperatorProcess


@pytest.fixture
def namespace(control_plane: ControlPlane, operator: OperatorProcess) -> Namespace:
    namespace = Namespace(control_plane.kubectl)
    namespace.claim()
    return namespace


def test_a_quota_is_named_and_once_it_is_raised_the_service_comes_up(namespace: Namespace) -> None:
    namespace.kubectl("create", "quota", "none", "--hard=count/deployments.apps=0")
    until(lambda: "hard" in (namespace.get("quota", "none") or {}).get("status", {}))
    namespace.service()
    namespace.stage()
    until(lambda: namespace.condition("emb", "qwen", "Stalled")["reason"] == "ApplyRefused")
    assert "exceeded quota: none" in namespace.condition("emb", "qwen")["message"]
    namespace.kubectl("delete", "quota", "none")
    until(lambda: namespace.condition("emb", "qwen")["reason"] == "Starting")


def test_a_name_that_a_stranger_gives_free_is_taken_without_anybody_asking(namespace: Namespace) -> None:
    namespace.kubectl("create", "service", "clusterip", "qwen", "--tcp=80:80")
    namespace.service()
    namespace.stage()
    until(lambda: namespace.condition("emb", "qwen", "Stalled")["reason"] == "NameTaken")
    namespace.kubectl("delete", "service", "qwen")
    until(lambda: namespace.condition("emb", "qwen")["reason"] == "Starting")


def test_who_waits_for_a_profile_waits_no_longer_because_a_stranger_has_a_name(namespace: Namespace) -> None:
    namespace.kubectl("create", "service", "clusterip", "qwen", "--tcp=80:80")
    namespace.service()
    namespace.stage()
    until(lambda: namespace.condition("emb", "qwen", "Stalled")["reason"] == "NameTaken")
    namespace.service(runtime={"profile": "none-such"})
    until(lambda: namespace.condition("emb", "qwen", "Reconciling")["reason"] == "ProfileNotFound")
    until(lambda: namespace.condition("emb", "qwen", "Stalled")["reason"] == "ProfileNotFound")


def with_template(namespace: Namespace, **spec: object) -> None:
    namespace.service(runtime={"profile": "cpu", "podTemplate": {"spec": spec}})


def test_who_waits_for_a_profile_waits_no_longer_because_a_child_is_refused(namespace: Namespace) -> None:
    with_template(namespace, hostNames=["x"])
    namespace.stage()
    until(lambda: namespace.condition("emb", "qwen", "Stalled")["reason"] == "ApplyRefused")
    namespace.service(runtime={"profile": "none-such"})  # its revision before is what is refused now
    until(lambda: namespace.condition("emb", "qwen", "Reconciling")["reason"] == "ProfileNotFound")
    until(lambda: namespace.condition("emb", "qwen", "Stalled")["reason"] == "ProfileNotFound")


def test_a_pod_template_is_in_the_pods_and_what_it_gets_wrong_is_told_in_the_api_servers_words(
    namespace: Namespace,
) -> None:
    logs = {"name": "logs", "image": "example.com/logs:1"}
    with_template(namespace, containers=[logs], hostNames=["x"])
    namespace.stage()
    until(lambda: namespace.condition("emb", "qwen", "Stalled")["reason"] == "ApplyRefused")
    told = namespace.condition("emb", "qwen")["message"]
    assert ".spec.template.spec.hostNames: field not declared in schema" in told
    with_template(namespace, containers=[logs | {"image": ""}])
    until(lambda: "containers[1].image: Required value" in namespace.condition("emb", "qwen")["message"])
    wrong = [{"name": f"{n}" * 9, "image": "x", "imagePullPolicy": f"{'No' * 400}"} for n in range(1, 99)]
    with_template(namespace, containers=wrong)  # what is said of all would be more than a status has room for
    until(lambda: 'Unsupported value: "NoNo' in namespace.condition("emb", "qwen")["message"])
    with_template(namespace, containers=[logs, {"name": "vllm", "stdin": True}])

    def containers() -> list[Object]:
        deployment = namespace.get("deployment", "qwen") or {"spec": {"template": {"spec": {"containers": []}}}}
        found: list[Object] = deployment["spec"]["template"]["spec"]["containers"]
        return found

    until(lambda: [one["name"] for one in containers()] == ["vllm", "logs"])
    assert containers()[0]["stdin"] is True
    until(lambda: namespace.condition("emb", "qwen", "Stalled")["reason"] == "")
    with_template(namespace)  # and it goes when nobody asks for it any more
    until(lambda: [one["name"] for one in containers()] == ["vllm"])
    assert "stdin" not in containers()[0]


def test_a_job_that_may_not_be_made_stalls_the_cache_and_its_service(namespace: Namespace) -> None:
    namespace.kubectl("create", "quota", "none", "--hard=count/jobs.batch=0")
    until(lambda: "hard" in (namespace.get("quota", "none") or {}).get("status", {}))
    namespace.service()
    until(lambda: "exceeded quota: none" in namespace.condition("emb", "qwen", "Stalled")["message"])
    assert namespace.condition("emb", "qwen")["reason"] == "CacheStalled"
    (cache,) = namespace.items("modelcache")
    assert namespace.condition("mcache", cache["metadata"]["name"], "Stalled")["reason"] == "ApplyRefused"
    namespace.kubectl("delete", "quota", "none")
    until(lambda: len(namespace.items("job")) == 1)


def test_a_manifest_nested_as_deeply_as_the_server_takes_it_keeps_the_operator_from_nothing(
    namespace: Namespace, control_plane: ControlPlane, tmp_path: Path
) -> None:
    deep = json.dumps(kinds.service(runtime__profile="cpu", scheduling__affinity={"nodeAffinity": "deep"}))
    deep = deep.replace('"deep"', '{"a": ' * 9000 + "{}" + "}" * 9000)
    path = EMBEDDING_SERVICES.path(namespace.name)
    namespace.kubectl("create", f"--raw={path}", "-f", "-", input=deep)
    try:
        namespace.service("other")
        until(lambda: namespace.condition("emb", "other")["reason"] == "WaitingForWeights")
        reason = "jsonpath={.status.conditions[?(@.type=='Ready')].reason}"
        name = kinds.service()["metadata"]["name"]
        until(lambda: namespace.kubectl("get", "emb", name, "-o", reason) == "WaitingForWeights", 30)
        with operator_of(control_plane, tmp_path, name="next") as started:
            assert "Traceback" not in started.log.read_text()
    finally:
        namespace.kubectl("delete", "emb", "--all")


def test_a_service_with_another_source_leaves_its_old_cache_once_no_pod_reads_it(namespace: Namespace) -> None:
    namespace.service()
    namespace.stage()
    until(lambda: namespace.condition("emb", "qwen")["reason"] == "Starting")
    (old,) = (cache["metadata"]["name"] for cache in namespace.items("modelcache"))
    until(lambda: len(namespace.items("pod", "embedding-operator.io/service=qwen")) == 2)
    other = {"source": {"modelScope": {"repo": "Qwen/Other"}}}
    namespace.service(model=other)
    until(lambda: len(namespace.items("modelcache")) == 2)
    (new,) = (cache["metadata"]["name"] for cache in namespace.items("modelcache") if cache["metadata"]["name"] != old)
    status = {"digest": DIGEST.replace("ab", "cd"), "path": "modelscope/Qwen--Other/c", "revision": "c"}
    namespace.write_status("modelcache", new, status)
    until(lambda: (namespace.get("emb", "qwen") or {})["status"]["model"]["cache"] == new)
    assert users_of(namespace, old) == ["qwen"]  # nobody starts the new pods here, so those of the old revision live on
    namespace.service(model=other, suspend=True)
    until(lambda: users_of(namespace, old) == [])
    assert users_of(namespace, new) == ["qwen"]


def users_of(namespace: Namespace, cache: str) -> list[str]:
    return [user["name"] for user in (namespace.get("mcache", cache) or {})["status"].get("usedBy") or ()]
