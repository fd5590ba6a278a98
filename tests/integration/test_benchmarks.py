"""EmbeddingBenchmarks against a real API server, whose Jobs and pods end as the test says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from embedding_operator.api import names
from tests.cluster.controlplane import ControlPlane
from tests.integration.kinds import benchmark
from tests.integration.operating import DIGEST, Namespace, Object, settle, until, versions
from tests.operator_process import OperatorProcess

NUMBERS = [1000, 0, 200000, 20.0, 50.0, 10000.0, 900.0, 850.0, 1500.0, 1900.0]


class Bench(Namespace):
    """A namespace with a service that serves."""

    def serve(self) -> None:
        self.claim()
        self.service()
        self.stage()
        until(lambda: self.get("deployment", "qwen") is not None)
        settle(self, "qwen")

    def measure(self, name: str, service: str = "qwen", **spec: Any) -> None:
        made = benchmark(serviceRef={"name": service}, **spec)
        self.apply(made | {"metadata": {"name": name}})

    def reason(self, name: str) -> str:
        return str(self.condition("embbench", name)["reason"])

    def result(self, name: str, run: int = 1) -> Object:
        results: list[Object] = ((self.get("embbench", name) or {}).get("status") or {}).get("results") or []
        return next((one for one in results if one["run"] == run), {})

    def jobs(self, name: str) -> list[Object]:
        return self.items("job", f"embedding-operator.io/benchmark={name}")

    def pod(self, name: str, run: int = 1) -> Object:
        """The pod of a run, once there is one."""
        found: list[Object] = []

        def is_there() -> bool:
            jobs = [one for one in self.jobs(name) if one["metadata"]["name"].endswith(f"-{run}")]
            selector = f"batch.kubernetes.io/job-name={jobs[0]['metadata']['name']}" if jobs else "none=none"
            found[:] = self.items("pod", selector)
            return len(found) == 1

        until(is_there)
        return found[0]

    def end(self, name: str, message: Object, run: int = 1, code: int = 0) -> None:
        """The pod of a run ends with these last words, as a kubelet would tell."""
        pod = self.pod(name, run)["metadata"]["name"]
        ended = {"exitCode": code, "message": json.dumps(message), "startedAt": None, "finishedAt": None}
        status = {"name": "bench", "image": "x", "imageID": "x", "ready": False, "restartCount": 0}
        containers = [status | {"state": {"terminated": ended}}]
        self.write_status("pod", pod, {"phase": "Failed" if code else "Succeeded", "containerStatuses": containers})


@pytest.fixture(scope="module")
def shared(control_plane: ControlPlane, operator: OperatorProcess) -> Bench:
    """One service for all tests that leave it as it was."""
    namespace = Bench(control_plane.kubectl)
    namespace.serve()
    return namespace


def test_runs_go_one_after_the_other_and_their_figures_say_what_they_belong_to(shared: Bench) -> None:
    shared.measure("curve", sweep={"maxConcurrency": [1, 8]}, repeats=2)
    until(lambda: shared.reason("curve") == "Measuring")
    shared.kubectl("delete", "configmap", "-l", f"{names.BENCHMARK_LABEL}=curve")
    until(lambda: shared.items("configmap", f"{names.BENCHMARK_LABEL}=curve") != [])  # for its next pod
    shared.end("curve", {"repeats": [NUMBERS, NUMBERS]})
    until(lambda: shared.result("curve").get("requestsPerSecond") == "50.00")
    assert shared.condition("embbench", "curve")["status"] == "False"
    shared.end("curve", {"repeats": [NUMBERS, NUMBERS]}, run=2)
    until(lambda: shared.condition("embbench", "curve")["status"] == "True")
    assert shared.condition("embbench", "curve", "Valid")["status"] == "True"
    first, second = shared.result("curve"), shared.result("curve", 2)
    assert (first["load"]["maxConcurrency"], second["load"]["maxConcurrency"]) == (1, 8)
    assert first["load"]["seed"] != second["load"]["seed"]
    assert (first["requests"], first["failed"], len(first["repeats"])) == (2000, 0, 2)
    measured, service = first["service"], shared.get("emb", "qwen") or {}
    assert measured["digest"] == DIGEST
    assert measured["generation"] == service["metadata"]["generation"]
    assert (measured["image"], measured["replicas"]) == (service["status"]["resolved"]["image"], 2)
    shown = shared.kubectl("get", "embbench", "curve").splitlines()
    assert shown[0].split() == ["NAME", "READY", "REASON", "SERVICE", "RUNS", "VALID", "REQ/S", "TOK/S", "P99", "AGE"]
    assert shown[1].split()[:9] == ["curve", "True", "Measured", "qwen", "2/2", "True", "50.00", "10000.0", "1900.0"]


def test_one_benchmark_at_a_time_and_nothing_is_written_while_they_wait(shared: Bench) -> None:
    shared.measure("first")
    shared.pod("first")
    shared.measure("second")
    until(lambda: shared.reason("second") == "WaitingForTurn")
    assert shared.condition("embbench", "second")["message"] == "EmbeddingBenchmark first has its turn at qwen"
    until(lambda: "its pod has not started yet" in shared.condition("embbench", "first")["message"])
    before = versions(shared.items("embbench"))
    shared.kubectl("annotate", "emb", "qwen", "somebody=looks", "--overwrite")  # all is looked at once more
    shared.measure("third")
    until(lambda: shared.reason("third") == "WaitingForTurn")
    assert before.items() <= versions(shared.items("embbench")).items()
    shared.kubectl("delete", "embbench", "third", "first")  # whose turn it is comes when the one before is deleted
    shared.pod("second")
    shared.end("second", {"repeats": [NUMBERS]})
    until(lambda: shared.reason("second") == "Measured")


def test_a_pod_that_restarts_while_it_is_measured_makes_the_figures_worthless(shared: Bench) -> None:
    shared.measure("restarted")
    shared.pod("restarted")
    server = shared.items("pod", "embedding-operator.io/service=qwen")[0]["metadata"]["name"]
    container = {"name": "vllm", "image": "x", "imageID": "x", "ready": True, "started": True, "restartCount": 1}
    shared.write_status("pod", server, {"containerStatuses": [container | {"state": {"running": {}}}]})
    shared.end("restarted", {"repeats": [NUMBERS]})
    until(lambda: shared.reason("restarted") == "Measured")
    assert shared.result("restarted")["disturbed"] == "servers restarted 1 times"
    assert shared.condition("embbench", "restarted", "Valid")["reason"] == "Disturbed"


def test_a_service_that_is_scaled_while_it_is_measured_makes_the_figures_worthless(shared: Bench) -> None:
    shared.measure("scaled")
    shared.pod("scaled")
    shared.service(replicas=3)
    until(lambda: len(shared.items("pod", "embedding-operator.io/service=qwen")) == 3)
    settle(shared, "qwen")
    shared.end("scaled", {"repeats": [NUMBERS]})
    until(lambda: shared.reason("scaled") == "Measured")
    told = shared.result("scaled")["disturbed"]
    assert "the service was changed (generation " in told
    assert "2 replicas served, then 3" in told


def test_a_run_that_cannot_be_done_needs_a_person_and_goes_on_when_its_job_is_deleted(shared: Bench) -> None:
    shared.measure("failing")
    shared.end("failing", {"reason": "OutputRefused", "message": "cannot be kept"}, code=3)
    until(lambda: shared.reason("failing") == "BenchmarkFailed")
    told = shared.condition("embbench", "failing", "Stalled")["message"]
    assert "cannot be kept; when mended, try again with `kubectl delete job bench-failing-" in told
    shared.kubectl("delete", "job", shared.jobs("failing")[0]["metadata"]["name"])
    until(lambda: shared.reason("failing") == "Measuring")
    shared.end("failing", {"repeats": [NUMBERS]})
    until(lambda: shared.reason("failing") == "Measured")


def test_who_is_tried_again_waits_while_another_measures_and_is_next(shared: Bench) -> None:
    """Two loads at a time would be worth nothing, and neither would know of the other."""
    shared.measure("again", sweep={"maxConcurrency": [1, 2]})
    shared.end("again", {"repeats": [NUMBERS]})
    shared.end("again", {"reason": "OutputRefused", "message": "cannot be kept"}, run=2, code=3)
    until(lambda: shared.reason("again") == "BenchmarkFailed")
    failed = next(job for job in shared.jobs("again") if job["metadata"]["name"].endswith("-2"))
    assert "ttlSecondsAfterFinished" not in failed["spec"]  # it stays, or the run would begin again by itself
    shared.measure("between", sweep={"maxConcurrency": [1, 2]})
    shared.pod("between")
    shared.kubectl("delete", "job", failed["metadata"]["name"])
    until(lambda: shared.reason("again") == "WaitingForTurn")
    assert shared.condition("embbench", "again")["message"] == "EmbeddingBenchmark between has its turn at qwen"
    shared.end("between", {"repeats": [NUMBERS]})
    shared.end("again", {"repeats": [NUMBERS]}, run=2)
    shared.end("between", {"repeats": [NUMBERS]}, run=2)
    until(lambda: shared.reason("again") == shared.reason("between") == "Measured")


def test_a_benchmark_waits_for_its_service_and_everything_goes_with_it(
    control_plane: ControlPlane, operator: OperatorProcess
) -> None:
    namespace = Bench(control_plane.kubectl)
    namespace.measure("early")
    until(lambda: namespace.reason("early") == "ServiceNotFound")
    namespace.claim()
    namespace.service()
    until(lambda: "WaitingForWeights" in namespace.condition("embbench", "early")["message"])
    assert namespace.reason("early") == "WaitingForService"
    namespace.stage()
    until(lambda: namespace.get("deployment", "qwen") is not None)
    settle(namespace, "qwen")
    pod = namespace.pod("early")
    assert pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] is False
    namespace.kubectl("delete", "embbench", "early")
    selector = "embedding-operator.io/benchmark=early"
    until(lambda: not [*namespace.items("job", selector), *namespace.items("configmap", selector)])


def test_what_is_measured_outlives_the_operator(operator: OperatorProcess, shared: Bench) -> None:
    """Figures are in the status, and the Job remembers what it began to measure: nobody else has to."""
    shared.measure("kept", sweep={"maxConcurrency": [1, 2]})
    shared.end("kept", {"repeats": [NUMBERS]})
    shared.pod("kept", run=2)
    first = shared.result("kept")
    job = next(job for job in shared.jobs("kept") if job["metadata"]["name"].endswith("-1"))
    assert job["spec"]["ttlSecondsAfterFinished"] == 86400
    operator.kill()
    shared.kubectl("delete", "job", job["metadata"]["name"])  # as its time to live does
    shared.end("kept", {"repeats": [NUMBERS]}, run=2)
    operator.start()
    until(lambda: shared.reason("kept") == "Measured")
    assert shared.result("kept") == first
