"""What GitOps tools wait for: kstatus and Argo CD's health at each step of the life of each kind."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.gitops import Engines
from tests.integration import kinds
from tests.integration.operating import Namespace, Object, end, own_profile, settle, until
from tests.integration.test_benchmarks import NUMBERS, Bench
from tests.integration.test_jobs import FINISH, SPLIT, is_at, wiki
from tests.integration.test_jobs import end as end_phase
from tests.operator_process import OperatorProcess

HEALTH = yaml.safe_load((kinds.ROOT / "examples" / "argocd" / "health.yaml").read_text())["data"]
KINDS = ("emb", "mcache", "embjob", "embbench")
ARGO = {"Current": "Healthy", "InProgress": "Progressing", "Failed": "Degraded", "Terminating": "Progressing"}


class Life:
    """All that was ever seen of our kinds in a namespace, beside what is asked for now."""

    def __init__(self, control_plane: ControlPlane, engines: Engines, directory: Path) -> None:
        self.namespace = Namespace(control_plane.kubectl)
        self._engines = engines
        program = [str(control_plane.kubectl.program), f"--kubeconfig={control_plane.kubeconfig}"]
        self._files = [directory / f"{self.namespace.name}-{kind}" for kind in KINDS]
        self._watches = []
        for file in self._files:
            kind = file.name.rpartition("-")[2]
            command = [*program, "get", kind, "-n", self.namespace.name, "-w", "-o", "json"]
            with file.open("wb") as output:
                self._watches.append(subprocess.Popen(command, stdout=output))

    def end(self) -> None:
        for watch in self._watches:
            watch.terminate()
            watch.wait()

    def seen(self) -> Iterator[Object]:
        decoder = json.JSONDecoder()
        for file in self._files:
            text = file.read_text().strip()
            while text:
                try:
                    found, length = decoder.raw_decode(text)
                except ValueError:  # the last one, half written
                    break
                yield found
                text = text[length:].lstrip()

    def of(self, kind: str, name: str = "qwen") -> str:
        """The kstatus of an object, and Argo CD of the same opinion."""
        obj = self.namespace.get(kind, name)
        assert obj is not None
        return self.judged(obj)[0]

    def judged(self, obj: Object) -> tuple[str, str]:
        status = self._engines.kstatus(obj)
        group, _, _ = obj["apiVersion"].rpartition("/")
        ours = group == "embedding-operator.io"
        script = HEALTH[f"resource.customizations.health.{group}_{obj['kind']}"] if ours else ""
        health, message = self._engines.argo_health(obj, script)
        if ours or health:  # some other kinds have none
            assert health == ARGO[status], obj
        return status, message

    def until(self, status: str, kind: str = "emb", name: str = "qwen") -> None:
        until(lambda: self.of(kind, name) == status)

    @property
    def cache(self) -> str:
        until(lambda: len(self.namespace.items("mcache")) == 1)
        return str(self.namespace.items("mcache")[0]["metadata"]["name"])

    def change(self, **spec: Any) -> None:
        self.namespace.kubectl("patch", "emb", "qwen", "--type=merge", "-p", json.dumps({"spec": spec}))


@pytest.fixture(scope="module")
def engines(control_plane: ControlPlane) -> Iterator[Engines]:
    with Engines(control_plane.kubeconfig) as running:
        yield running


@pytest.fixture
def life(control_plane: ControlPlane, operator: OperatorProcess, engines: Engines, tmp_path: Path) -> Iterator[Life]:
    """A life, whose every moment was right by the rule that all tools share."""
    life = Life(control_plane, engines, tmp_path)
    life.namespace.claim()
    try:
        yield life
    finally:
        life.end()
    moments = list(life.seen())
    for obj in moments:
        status, _ = life.judged(obj)
        conditions = {one["type"]: one["status"] for one in obj["status"]["conditions"]}
        assert "Ready" in conditions, "it is always there"
        observed = obj["status"]["observedGeneration"] == obj["metadata"]["generation"]
        if obj["metadata"].get("deletionTimestamp"):
            assert status == "Terminating"
        elif not observed:
            assert status == "InProgress"
        else:
            assert (status == "Current") == (conditions["Ready"] == "True"), obj["status"]
            assert (status == "Failed") == (conditions.get("Stalled") == "True"), obj["status"]
    assert moments


def wait(namespace: Namespace, kind: str, name: str, seconds: int) -> str:
    return namespace.kubectl("wait", f"{kind}/{name}", "--for=condition=Ready", f"--timeout={seconds}s")


def test_a_service_is_current_when_it_serves_what_is_asked_for_and_not_before(
    operator: OperatorProcess, life: Life
) -> None:
    namespace = life.namespace
    operator.kill()
    namespace.service()
    assert life.of("emb") == "InProgress", "nobody has looked at it yet"
    assert namespace.condition("emb", "qwen")["reason"] == "Pending"
    with pytest.raises(ClusterError, match="timed out"):
        wait(namespace, "emb", "qwen", 1)
    operator.start()
    cache = life.cache
    until(lambda: namespace.condition("emb", "qwen")["reason"] == "WaitingForWeights")
    assert (life.of("emb"), life.of("mcache", cache)) == ("InProgress", "InProgress")
    namespace.stage()
    life.until("Current", "mcache", cache)
    wait(namespace, "mcache", cache, 30)
    until(lambda: namespace.condition("emb", "qwen")["reason"] == "Starting")
    assert life.of("emb") == "InProgress"
    assert life.of("deployment") == "InProgress", "children say the same"
    settle(namespace, "qwen")
    life.until("Current")
    wait(namespace, "emb", "qwen", 30)
    assert {life.judged(child)[0] for child in namespace.children()} == {"Current"}

    operator.kill()
    life.change(serving={"maxModelLen": 256})
    assert namespace.condition("emb", "qwen")["status"] == "True", "of what was asked for before"
    assert life.of("emb") == "InProgress", "the change is not looked at yet"
    operator.start()
    until(lambda: namespace.condition("emb", "qwen")["reason"] in ("RollingOut", "Starting"))
    assert life.of("emb") == "InProgress"
    settle(namespace, "qwen")
    life.until("Current")

    life.change(runtime={"image": "example.com/server:main"})  # of which nobody knows the version
    life.until("Failed")
    life.change(runtime={"image": None})
    life.until("Current")

    life.change(suspend=True)
    life.until("Current")
    assert namespace.condition("emb", "qwen")["reason"] == "Suspended"
    assert life.judged(namespace.get("emb", "qwen") or {})[1] == "spec.suspend is true: no pods run"
    life.change(suspend=False, replicas=0)
    until(lambda: namespace.condition("emb", "qwen")["reason"] == "ScaledToZero")
    assert life.of("emb") == "Current"
    life.change(replicas=1)
    life.until("InProgress")
    settle(namespace, "qwen")
    life.until("Current")
    namespace.kubectl("delete", "emb", "qwen", "--timeout=60s")


def test_weights_that_cannot_be_had_are_failed_and_those_being_deleted_are_terminating(life: Life) -> None:
    namespace = life.namespace
    namespace.service(cache={"claimName": "model-weights", "deletionPolicy": "Delete"})
    cache = life.cache
    end(namespace, "model-staging", {"result": "Failed", "reason": "NotFound", "message": "no such model"}, code=3)
    life.until("Failed", "mcache", cache)
    life.until("Failed")
    assert namespace.condition("emb", "qwen")["reason"] == "CacheStalled"
    namespace.kubectl("delete", "job", "--all")
    life.until("InProgress", "mcache", cache)
    life.until("InProgress")
    namespace.stage()
    life.until("Current", "mcache", cache)
    until(lambda: namespace.get("deployment", "qwen") is not None)
    settle(namespace, "qwen")
    namespace.kubectl("delete", "mcache", cache, "--wait=false")
    until(lambda: namespace.condition("mcache", cache)["reason"] == "InUse")
    assert life.of("mcache", cache) == "Terminating"
    namespace.kubectl("delete", "emb", "qwen")
    end(namespace, "model-cleanup", {"result": "Removed", "message": "gone"})
    until(lambda: namespace.get("mcache", cache) is None)


def test_a_service_that_comes_before_what_it_refers_to_never_fails(life: Life) -> None:
    namespace = life.namespace
    profile = f"site-{namespace.name}"
    namespace.service(model={"cacheRef": {"name": "shared"}}, cache=None, runtime={"profile": profile})
    until(lambda: namespace.condition("emb", "qwen")["reason"] in ("ProfileNotFound", "CacheNotFound"))
    cache = kinds.cache()
    cache["metadata"]["name"] = "shared"
    namespace.apply(cache)
    assert own_profile(namespace) == profile
    until(lambda: namespace.condition("emb", "qwen")["reason"] == "WaitingForWeights")
    namespace.stage()
    until(lambda: namespace.get("deployment", "qwen") is not None)
    settle(namespace, "qwen")
    assert not [one for one in life.seen() if life.judged(one)[0] == "Failed"]


def test_a_job_is_current_once_it_is_done_and_not_while_it_is_suspended(life: Life) -> None:
    namespace = life.namespace
    namespace.apply(wiki())
    assert life.of("embjob", "wiki") == "InProgress"
    namespace.stage()
    is_at(namespace, "Splitting")
    namespace.kubectl("patch", "embjob", "wiki", "--type=merge", "-p", '{"spec": {"suspend": true}}')
    is_at(namespace, "Suspended")
    assert life.of("embjob", "wiki") == "InProgress"
    namespace.kubectl("patch", "embjob", "wiki", "--type=merge", "-p", '{"spec": {"suspend": false}}')
    end_phase(namespace, "split", SPLIT | {"finished": 2})
    is_at(namespace, "Finishing")
    assert life.of("embjob", "wiki") == "InProgress"
    end_phase(namespace, "finish", FINISH | {"reused": 2})
    life.until("Current", "embjob", "wiki")


def test_a_job_that_no_other_try_mends_is_failed(life: Life) -> None:
    life.namespace.apply(wiki())
    life.namespace.stage()
    end_phase(life.namespace, "split", {"reason": "NoFiles", "message": "no file is meant by *.jsonl"}, 3)
    life.until("Failed", "embjob", "wiki")


def test_a_benchmark_is_current_once_it_is_done(control_plane: ControlPlane, life: Life) -> None:
    bench = Bench(control_plane.kubectl, life.namespace.name)
    bench.serve()
    bench.measure("curve")
    bench.pod("curve")
    assert life.of("embbench", "curve") == "InProgress"
    bench.end("curve", {"repeats": [NUMBERS]})
    life.until("Current", "embbench", "curve")


def test_flux_waits_until_a_service_serves_and_not_once_it_stalls_and_prunes_it_without_its_weights(
    life: Life, engines: Engines
) -> None:
    namespace = life.namespace
    service = kinds.service(runtime__profile="cpu") | {"metadata": {"name": "qwen", "namespace": namespace.name}}
    assert list(engines.flux_apply([service]).values()) == ["created"]
    assert "timeout waiting for" in engines.flux_wait([service], 2)
    cache = life.cache
    namespace.stage()
    until(lambda: namespace.get("deployment", "qwen") is not None)
    settle(namespace, "qwen")
    assert engines.flux_wait([service], 30) == ""

    unknown = kinds.changed(service, {"runtime__image": "example.com/server:main"})
    assert list(engines.flux_apply([unknown]).values()) == ["configured"]
    began = time.monotonic()
    assert "status: 'Failed'" in engines.flux_wait([unknown], 60)
    assert time.monotonic() - began < 30

    assert list(engines.flux_prune([unknown]).values()) == ["deleted"]
    until(lambda: namespace.get("deployment", "qwen") is None)
    assert namespace.get("mcache", cache) is not None
    assert namespace.get("pvc", "model-weights") is not None


def test_a_profile_has_nothing_to_wait_for(engines: Engines, life: Life) -> None:
    life.namespace.service()  # a life has a service
    until(lambda: life.namespace.get("rp", "cpu") is not None)
    profile = life.namespace.get("rp", "cpu") or {}
    assert "status" not in profile
    assert engines.kstatus(profile) == "Current"
    assert engines.argo_health(profile) == ("", ""), "what has no health counts as healthy"
    until(lambda: life.namespace.condition("emb", "qwen")["reason"] == "WaitingForWeights")
