"""EmbeddingJobs on a real API server with the real Job controller: kubelets are played, phase by phase."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.integration.kinds import Manifest, changed, job
from tests.integration.operating import Namespace, Object, settle, until
from tests.integration.test_operator import Writes, comes_to_rest
from tests.operator_process import OperatorProcess

SPLIT = {"shards": 2, "finished": 0, "files": 1, "bytes": 1000, "rows": 10}
FINISH = {"shards": 2, "reused": 0, "rows": 10, "errors": 0, "tokens": 70, "bytes": 512, "manifest": "manifest.json"}


@pytest.fixture
def namespace(control_plane: ControlPlane, operator: OperatorProcess) -> Namespace:
    namespace = Namespace(control_plane.kubectl)
    namespace.claim()
    return namespace


def wiki(**changes: Any) -> Manifest:
    """A job on CPUs."""
    return changed(job(runtime__profile="cpu", parallelism=2), changes) | {"metadata": {"name": "wiki"}}


def pods(namespace: Namespace, task: str) -> list[Object]:
    found = namespace.items("pod", f"app.kubernetes.io/name=job-{task}")
    return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]


def end(namespace: Namespace, task: str, message: Object | None, code: int = 0, count: int = 1) -> None:
    """The pods of a phase end, as kubelets would tell."""

    def live() -> list[Object]:
        return [pod for pod in pods(namespace, task) if pod["status"]["phase"] not in ("Succeeded", "Failed")]

    until(lambda: len(live()) == count)
    for pod in live():
        words = {} if message is None else {"message": json.dumps(message)}
        ended = {"exitCode": code, "startedAt": None, "finishedAt": None} | words
        container = {"name": "driver", "image": "x", "imageID": "x", "ready": False, "restartCount": 0}
        status = {
            "phase": "Failed" if code else "Succeeded",
            "containerStatuses": [container | {"state": {"terminated": ended}}],
        }
        try:
            namespace.write_status("pod", pod["metadata"]["name"], status)
        except ClusterError as error:
            if "NotFound" not in str(error):
                raise


def is_at(namespace: Namespace, reason: str) -> None:
    until(lambda: namespace.condition("embjob", "wiki")["reason"] == reason)


def work(namespace: Namespace) -> Object:
    (found,) = namespace.items("job", "app.kubernetes.io/name=job-work")
    return found


def status_of(namespace: Namespace) -> Object:
    status: Object = (namespace.get("embjob", "wiki") or {})["status"]
    return status


def users(namespace: Namespace) -> list[str]:
    (cache,) = namespace.items("modelcache")
    return [f"{user['kind']} {user['name']}" for user in (cache.get("status") or {}).get("usedBy") or ()]


def test_a_job_goes_through_its_phases_and_whoever_dies_it_goes_on(
    control_plane: ControlPlane, operator: OperatorProcess, namespace: Namespace
) -> None:
    namespace.apply(wiki(activeDeadlineSeconds=3600))
    is_at(namespace, "WaitingForWeights")
    until(lambda: users(namespace) == ["EmbeddingJob wiki"])
    namespace.stage()
    is_at(namespace, "Splitting")
    operator.kill()
    end(namespace, "split", SPLIT)
    operator.start()
    is_at(namespace, "Embedding")
    until(lambda: len(pods(namespace, "work")) == 2)
    assert (work(namespace)["spec"]["completions"], work(namespace)["spec"]["completionMode"]) == (2, "Indexed")

    namespace.kubectl("patch", "embjob", "wiki", "--type=merge", "-p", '{"spec": {"suspend": true}}')
    until(lambda: work(namespace)["spec"]["suspend"] is True and pods(namespace, "work") == [])
    is_at(namespace, "Suspended")
    assert namespace.condition("embjob", "wiki", "Suspended")["status"] == "True"
    assert work(namespace)["spec"]["activeDeadlineSeconds"] == 3600  # anew, as the job's
    change = '{"spec": {"suspend": false, "parallelism": 1}}'
    namespace.kubectl("patch", "embjob", "wiki", "--type=merge", "-p", change)
    until(lambda: (work(namespace)["spec"]["suspend"], work(namespace)["spec"]["parallelism"]) == (False, 1))
    end(namespace, "work", {"index": 0, "shards": 1, "rows": 5, "errors": 0, "tokens": 35})
    until(lambda: status_of(namespace)["workers"].get("completed") == "0")
    assert status_of(namespace)["rows"] == 5
    end(namespace, "work", {"index": 1, "shards": 1, "rows": 5, "errors": 0, "tokens": 35})
    is_at(namespace, "Finishing")

    end(namespace, "finish", None)  # what it said is lost
    until(lambda: [pod["status"]["phase"] for pod in pods(namespace, "finish")] == ["Pending"])
    end(namespace, "finish", FINISH)
    is_at(namespace, "Completed")
    namespace.kubectl("wait", "embjob/wiki", "--for=condition=Ready", "--timeout=5s")
    status = status_of(namespace)
    assert (status["rows"], status["manifest"], status["progress"]) == (10, "manifest.json", {"percent": 100})
    until(lambda: users(namespace) == [])
    until(lambda: {"Splitting", "Embedding", "Finishing", "Completed"} <= told(namespace))

    comes_to_rest(control_plane, namespace)
    writes = Writes(control_plane, namespace)
    time.sleep(4)
    assert writes() == []
    namespace.kubectl("delete", "embjob", "wiki")
    until(lambda: namespace.items("job", "embedding-operator.io/job=wiki") == [])
    assert len(namespace.items("modelcache")) == 1
    until(lambda: namespace.items("configmap", "embedding-operator.io/scripts=true") == [])


def told(namespace: Namespace) -> set[str]:
    """The reasons of the Events about the job."""
    events = json.loads(namespace.kubectl("get", "events.events.k8s.io", "-o", "json"))["items"]
    return {event["reason"] for event in events if event["regarding"]["kind"] == "EmbeddingJob"}


def test_a_failure_that_no_other_try_mends_is_told_and_the_job_goes_in_time(namespace: Namespace) -> None:
    namespace.apply(wiki())
    namespace.stage()
    end(namespace, "split", {"reason": "NoFiles", "message": "no file is meant by *.jsonl: correct input.files"}, 3)
    until(lambda: namespace.condition("embjob", "wiki", "Failed")["reason"] == "NoFiles")
    assert namespace.condition("embjob", "wiki")["message"].startswith(
        "no file is meant by *.jsonl: correct input.files"
    )
    namespace.kubectl("delete", "embjob", "wiki")
    namespace.apply(wiki(ttlSecondsAfterFinished=1))
    end(namespace, "split", SPLIT | {"finished": 2})
    end(namespace, "finish", FINISH | {"reused": 2})
    until(lambda: namespace.get("embjob", "wiki") is None)


def test_a_service_embeds_for_a_job_that_names_it(namespace: Namespace) -> None:
    by = wiki(serviceRef={"name": "qwen"}, model=None, cache=None, runtime=None)
    namespace.apply(by)
    until(lambda: namespace.condition("embjob", "wiki")["reason"] == "ServiceNotFound")
    namespace.service()
    is_at(namespace, "WaitingForService")
    namespace.stage()
    settle(namespace, "qwen")
    end(namespace, "split", SPLIT)
    until(lambda: len(pods(namespace, "work")) == 2)
    spec = work(namespace)["spec"]["template"]["spec"]
    assert "initContainers" not in spec
    assert f"http://qwen.{namespace.name}.svc:8000" in spec["containers"][0]["args"]
    assert users(namespace) == ["EmbeddingService qwen"]


def test_weights_do_not_go_under_a_job(namespace: Namespace) -> None:
    namespace.apply(wiki(cache__deletionPolicy="Delete", cache__ttlAfterUnused="1s"))
    namespace.stage()
    is_at(namespace, "Splitting")
    (cache,) = namespace.items("modelcache")
    namespace.kubectl("delete", "modelcache", cache["metadata"]["name"], "--wait=false")
    until(lambda: namespace.condition("modelcache", cache["metadata"]["name"])["reason"] == "InUse")
    assert "wiki" in namespace.condition("modelcache", cache["metadata"]["name"])["message"]
