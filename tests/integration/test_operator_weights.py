"""The end of weights, against a real API server: who counts as a user, and what a deletion waits for."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from embedding_operator.cli import main
from tests.cluster.controlplane import ControlPlane
from tests.integration.operating import DIGEST, Namespace, end, pod_of, until
from tests.operator_process import OperatorProcess

FINALIZER = "embedding-operator.io/cleanup"


@pytest.fixture
def namespace(control_plane: ControlPlane, operator: OperatorProcess) -> Namespace:
    return Namespace(control_plane.kubectl)


def cache_of(namespace: Namespace) -> dict[str, Any]:
    (found,) = namespace.items("modelcache")
    return found


def served(namespace: Namespace, **cache: Any) -> str:
    """A service that serves from staged weights; the name of its ModelCache."""
    namespace.claim()
    namespace.service(cache={"claimName": "model-weights", **cache})
    namespace.stage()
    until(lambda: len(namespace.children()) == 5)
    return str(cache_of(namespace)["metadata"]["name"])


def jobs(namespace: Namespace, task: str) -> list[dict[str, Any]]:
    return namespace.items("job", f"app.kubernetes.io/name={task}")


def clean_jobs(namespace: Namespace) -> list[dict[str, Any]]:
    return jobs(namespace, "model-cleanup")


def events(namespace: Namespace) -> set[str]:
    found = json.loads(namespace.kubectl("get", "events.events.k8s.io", "-o", "json"))["items"]
    return {event["reason"] for event in found if event["regarding"]["kind"] == "ModelCache"}


def test_weights_that_go_with_their_cache_are_cleaned_once_nobody_uses_them(namespace: Namespace) -> None:
    name = served(namespace, deletionPolicy="Delete", ttlAfterUnused="1s")
    until(lambda: cache_of(namespace)["metadata"].get("finalizers") == [FINALIZER])
    namespace.kubectl("delete", "emb", "qwen")
    until(lambda: len(clean_jobs(namespace)) == 1)
    assert cache_of(namespace)["metadata"]["deletionTimestamp"]
    (job,) = clean_jobs(namespace)
    spec = json.loads(job["spec"]["template"]["spec"]["containers"][0]["args"][2])
    uid = cache_of(namespace)["metadata"]["uid"]
    assert spec["user"].endswith(f"_{namespace.name}_{uid}")
    assert len(spec["user"].partition("_")[0]) == 8
    assert (spec["path"], spec["digest"]) == ("modelscope/Qwen--X/abc", DIGEST)
    end(namespace, "model-cleanup", {"result": "Removed", "message": "it is removed"})
    until(lambda: namespace.get("mcache", name) is None)
    until(lambda: "CleanedUp" in events(namespace))


def test_how_the_claim_may_be_mounted_is_looked_up_though_its_first_reader_died_before_it_wrote_it_down(
    namespace: Namespace,
) -> None:
    name = served(namespace)
    until(lambda: cache_of(namespace)["status"].get("accessModes") == ["ReadWriteMany"])
    namespace.kubectl("delete", "jobs,pods", "--all", "--force")  # a pod that waits is another reason to look
    namespace.write_status("modelcache", name, {"accessModes": None})
    until(lambda: cache_of(namespace)["status"].get("accessModes") == ["ReadWriteMany"])


def test_a_deletion_waits_for_those_who_serve_and_a_changed_mind_lets_it_go(namespace: Namespace) -> None:
    name = served(namespace, deletionPolicy="Delete")
    until(lambda: cache_of(namespace)["metadata"].get("finalizers") == [FINALIZER])
    namespace.kubectl("delete", "mcache", name, "--wait=false")
    until(lambda: namespace.condition("mcache", name)["reason"] == "InUse")
    assert clean_jobs(namespace) == []
    assert namespace.condition("emb", "qwen")["reason"] == "Starting"  # it goes on as if nothing were
    before = cache_of(namespace)["metadata"]["uid"]
    patch = {"spec": {"cache": {"deletionPolicy": "Retain"}}}
    namespace.kubectl("patch", "emb", "qwen", "--type=merge", "-p", json.dumps(patch))
    until(lambda: [one["metadata"]["uid"] for one in namespace.items("modelcache")] not in ([before], []))
    assert "FilesKept" in events(namespace)
    assert "finalizers" not in cache_of(namespace)["metadata"]


def test_one_who_retains_wins_and_the_cache_has_no_finalizer_any_more(namespace: Namespace) -> None:
    served(namespace, deletionPolicy="Delete", ttlAfterUnused="1h")
    until(lambda: cache_of(namespace)["metadata"].get("finalizers") == [FINALIZER])
    namespace.service("other", cache={"claimName": "model-weights", "ttlAfterUnused": "2h"})
    until(lambda: "finalizers" not in cache_of(namespace)["metadata"])
    until(lambda: cache_of(namespace)["spec"]["ttlAfterUnused"] == "2h")
    assert cache_of(namespace)["spec"]["deletionPolicy"] == "Retain"


def test_a_namespace_that_is_deleted_ends_though_weights_were_to_be_cleaned(
    control_plane: ControlPlane, namespace: Namespace
) -> None:
    served(namespace, deletionPolicy="Delete")
    until(lambda: cache_of(namespace)["metadata"].get("finalizers") == [FINALIZER])
    control_plane.kubectl("delete", "namespace", namespace.name, "--wait=false")
    until(lambda: not control_plane.kubectl("get", "namespace", namespace.name, "--ignore-not-found").strip())


def test_a_claim_that_is_gone_lets_the_deletion_go(namespace: Namespace) -> None:
    name = served(namespace, deletionPolicy="Delete")
    until(lambda: cache_of(namespace)["metadata"].get("finalizers") == [FINALIZER])
    namespace.kubectl("delete", "emb", "qwen")
    until(lambda: not namespace.items("pod", "embedding-operator.io/service=qwen"))
    namespace.kubectl("delete", "pvc", "model-weights")
    namespace.kubectl("delete", "mcache", name, "--wait=false")
    until(lambda: namespace.get("mcache", name) is None)
    assert clean_jobs(namespace) == []


def test_a_new_look_is_another_cache_and_the_old_weights_serve_until_it_is_proven(namespace: Namespace) -> None:
    first = served(namespace)
    namespace.kubectl("annotate", "emb", "qwen", "embedding-operator.io/refresh=again")
    until(lambda: len(namespace.items("modelcache")) == 2)
    (second,) = {one["metadata"]["name"] for one in namespace.items("modelcache")} - {first}
    until(lambda: namespace.condition("emb", "qwen", "WeightsReady")["reason"] == "WaitingForWeights")
    assert namespace.condition("emb", "qwen")["reason"] == "Starting"
    assert len(namespace.items("controllerrevision")) == 1
    done = {
        "digest": f"sha256:{'cd' * 32}",
        "path": "modelscope/Qwen--X/def",
        "revision": "def",
        "files": 3,
        "bytes": 1,
    }
    namespace.write_status("modelcache", second, done)
    until(lambda: (namespace.get("emb", "qwen") or {})["status"]["model"]["revision"] == "def")
    assert len(namespace.items("controllerrevision")) == 2


def test_a_damaged_file_is_found_told_and_fetched_again_and_nothing_rolls(namespace: Namespace) -> None:
    name = served(namespace)
    template = namespace.items("deployment")[0]["spec"]["template"]
    patch = json.dumps({"spec": {"verify": {"interval": "24h"}}})
    namespace.kubectl("patch", "mcache", name, "--type=merge", "-p", patch)
    words = "x: expected sha256 a, got b"
    end(namespace, "model-scrub", {"result": "Failed", "reason": "ChecksumMismatch", "message": words}, code=3)
    until(lambda: namespace.condition("mcache", name)["reason"] == "Damaged")
    assert words in namespace.condition("mcache", name)["message"]
    staged = {"result": "Staged", "digest": DIGEST, "path": "modelscope/Qwen--X/abc", "mended": 1}
    end(namespace, "model-mending", staged)
    until(lambda: namespace.condition("mcache", name)["reason"] == "Verified")
    until(lambda: {"Damaged", "Verified"} <= events(namespace))
    until(lambda: jobs(namespace, "model-scrub") == jobs(namespace, "model-mending") == [])
    assert (namespace.get("mcache", name) or {})["status"]["verifiedAt"]
    assert namespace.items("deployment")[0]["spec"]["template"] == template


def test_a_changed_stager_reaches_the_cache_that_is_there_already_and_rolls_no_pod(namespace: Namespace) -> None:
    namespace.claim()
    namespace.service()
    until(lambda: len(namespace.items("job")) == 1)
    (first,) = namespace.items("job")
    patch = {"spec": {"cache": {"securityContext": {"runAsUser": 1000}}}}
    namespace.kubectl("patch", "emb", "qwen", "--type=merge", "-p", json.dumps(patch))

    def users() -> list[Any]:
        jobs = [job for job in namespace.items("job") if not job["metadata"].get("deletionTimestamp")]
        return [job["spec"]["template"]["spec"]["securityContext"]["runAsUser"] for job in jobs]

    until(lambda: users() == [1000])
    assert [job["metadata"]["name"] for job in namespace.items("job")] != [first["metadata"]["name"]]


def test_a_cache_that_is_deleted_while_it_is_staged_is_made_again(namespace: Namespace) -> None:
    namespace.claim()
    namespace.service(cache={"claimName": "model-weights", "deletionPolicy": "Delete"})
    until(lambda: len(namespace.items("job")) == 1)
    until(lambda: cache_of(namespace)["metadata"].get("finalizers") == [FINALIZER])
    before = cache_of(namespace)
    namespace.kubectl("delete", "mcache", before["metadata"]["name"], "--wait=false")
    until(
        lambda: (
            [one["metadata"]["uid"] for one in namespace.items("modelcache")] not in ([before["metadata"]["uid"]], [])
        )
    )
    after = cache_of(namespace)["metadata"]
    assert after["name"] == before["metadata"]["name"]

    def owners() -> list[str]:
        return [job["metadata"]["ownerReferences"][0]["uid"] for job in namespace.items("job")]

    until(lambda: owners() == [after["uid"]])
    assert clean_jobs(namespace) == []  # nothing was published that could be removed


def test_what_a_stager_began_is_cleaned_though_nothing_is_left_of_its_pods(namespace: Namespace) -> None:
    """Evicted, say, and their Job gone with them."""
    namespace.claim()
    namespace.service(cache={"claimName": "model-weights", "deletionPolicy": "Delete"})
    pod = pod_of(namespace, "model-staging")["metadata"]["name"]
    assert "startedAt" not in (cache_of(namespace).get("status") or {})
    namespace.write_status("pod", pod, {"phase": "Running"})
    until(lambda: "startedAt" in cache_of(namespace)["status"])
    namespace.kubectl("delete", "emb", "qwen")
    namespace.kubectl("delete", "job", "-l", "app.kubernetes.io/name=model-staging")
    until(lambda: namespace.get("pod", pod) is None)
    namespace.kubectl("delete", "mcache", cache_of(namespace)["metadata"]["name"], "--wait=false")
    until(lambda: len(clean_jobs(namespace)) == 1)


def test_a_spec_that_changes_while_its_weights_are_staged_has_others_staged(namespace: Namespace) -> None:
    namespace.claim()
    cache = {"claimName": "model-weights", "deletionPolicy": "Delete", "ttlAfterUnused": "1s"}
    namespace.service(cache=cache)
    until(lambda: len(namespace.items("job")) == 1)
    first = cache_of(namespace)["metadata"]["name"]
    source = {"modelScope": {"repo": "Qwen/Qwen3-Embedding-0.6B", "revision": "v2"}}
    namespace.service(cache=cache, model={"source": source})
    until(lambda: [one["metadata"]["name"] for one in namespace.items("modelcache")] not in ([first], []))
    until(lambda: len(namespace.items("modelcache")) == 1)  # nobody waits for the first any more
    assert cache_of(namespace)["spec"]["source"] == source
    until(lambda: len(namespace.items("job")) == 1)


def test_services_that_come_in_the_same_moment_share_one_cache_and_one_job(namespace: Namespace) -> None:
    namespace.claim()
    one = {
        "apiVersion": "embedding-operator.io/v1alpha1",
        "kind": "EmbeddingService",
        "spec": {
            "model": {"source": {"modelScope": {"repo": "Qwen/Qwen3-Embedding-0.6B"}}},
            "cache": {"claimName": "model-weights"},
            "runtime": {"profile": "cpu"},
        },
    }
    many = [one | {"metadata": {"name": f"s{number}"}} for number in range(8)]
    namespace.apply({"apiVersion": "v1", "kind": "List", "items": many})
    until(lambda: len(namespace.items("job")) == 1)
    names = [service["metadata"]["name"] for service in many]
    until(lambda: [user["name"] for user in cache_of(namespace).get("status", {}).get("usedBy", [])] == names)
    assert len(namespace.items("job")) == 1


def test_status_is_shown_on_the_command_line(
    control_plane: ControlPlane, namespace: Namespace, capsys: pytest.CaptureFixture[str]
) -> None:
    name = served(namespace)
    assert main(["status", "--kubeconfig", str(control_plane.kubeconfig), "--namespace", namespace.name]) == 0
    told = capsys.readouterr().out
    assert re.search(rf"^{name} +Verified .* qwen$", told, re.MULTILINE)
    assert re.search(r"^qwen +0/2 +Starting .*\n +0 of 2 replicas serving", told, re.MULTILINE)


def test_weights_that_somebody_put_under_the_name_of_a_service_s_own_are_not_served(namespace: Namespace) -> None:
    namespace.claim()
    namespace.service()
    until(lambda: len(namespace.items("modelcache")) == 1)
    kept = {key: cache_of(namespace)[key] for key in ("apiVersion", "kind", "spec")}
    name = cache_of(namespace)["metadata"]["name"]
    namespace.kubectl("delete", "emb", "qwen")
    namespace.kubectl("delete", "modelcache", name)
    other = kept["spec"] | {"source": {"modelScope": {"repo": "somebody/else"}}}
    namespace.apply(kept | {"metadata": {"name": name}, "spec": other})
    namespace.service()
    until(lambda: namespace.condition("emb", "qwen", "Stalled")["reason"] == "NameTaken")
    told = namespace.condition("emb", "qwen")["message"]
    assert told == f"ModelCache {name} has another source or storage than this service: delete it, and it is made anew"
    namespace.stage()
    assert namespace.get("deployment", "qwen") is None
    namespace.kubectl("delete", "modelcache", name)
    until(lambda: [one["spec"]["source"] for one in namespace.items("modelcache")] == [kept["spec"]["source"]])
    namespace.stage()
    until(lambda: namespace.condition("emb", "qwen")["reason"] == "Starting")
