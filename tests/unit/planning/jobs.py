"""Things that plan tests of EmbeddingJobs are given: a job, and a cluster that takes in what a plan says."""

import copy
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from embedding_operator.api.conditions import merge_conditions
from embedding_operator.api.job import EmbeddingJob
from embedding_operator.api.service import EmbeddingService
from embedding_operator.kube.compact import compact
from embedding_operator.planning.jobplan import plan_job
from embedding_operator.planning.jobreport import Page
from embedding_operator.planning.jobstate import JobPlan, ObservedJob
from embedding_operator.planning.stagejob import StagingSite
from tests.unit.planning import given

JsonObject = dict[str, Any]
SITE = StagingSite("example.com/operator:1")
NOW = "2026-11-01T10:00:00Z"
SPLIT = {"shards": 100, "finished": 0, "files": 3, "bytes": 1_000_000, "rows": None}
FINISH = {
    "shards": 100,
    "reused": 0,
    "rows": 5000,
    "errors": 2,
    "tokens": 90_000,
    "bytes": 4096,
    "manifest": "manifest.json",
    "errorsFile": "errors.jsonl",
}


def job(**spec: Any) -> JsonObject:
    """The job of docs/offline.md, with parts of its spec replaced."""
    base: JsonObject = {
        "model": {"source": {"modelScope": {"repo": "Qwen/Qwen3-VL-Embedding-8B"}}},
        "cache": {"claimName": "model-weights"},
        "runtime": {"profile": "ascend-910b"},
        "input": {
            "claimName": "corpus",
            "files": ["wiki/*.parquet"],
            "format": "Parquet",
            "idField": "id",
            "textField": "text",
        },
        "output": {"claimName": "vectors", "path": "wiki"},
        "parallelism": 4,
    }
    return {
        "apiVersion": "embedding-operator.io/v1alpha1",
        "kind": "EmbeddingJob",
        "metadata": {"name": "wiki", "namespace": "search", "uid": "u-9", "generation": 1},
        "spec": {key: value for key, value in (base | spec).items() if value is not None},
    }


def by_service(**spec: Any) -> JsonObject:
    """The same by a running service."""
    return job(model=None, cache=None, runtime=None, serviceRef={"name": "qwen"}, **spec)


def service(*, available: bool = True, digest: str = given.DIGEST, **spec: Any) -> EmbeddingService:
    """That service."""
    conditions = [{"type": "Available", "status": str(available), "reason": "X"}]
    status = {
        "conditions": conditions,
        "model": {"cache": "modelscope-qwen", "digest": digest, "revision": "9c3d"},
        "embeddingSpace": {"id": "sha256:5"},
        "resolved": {"image": "example.com/vllm:v0.23.0", "vllm": "0.23.0", "dtype": "bfloat16"},
    }
    return EmbeddingService.from_dict(given.service(**spec) | {"status": status})


class Cluster:
    """What there is of one job: `step` plans, and takes in what is planned, as the controller and the API server do."""

    def __init__(self, obj: JsonObject, **seen: Any) -> None:
        self.obj = copy.deepcopy(obj)
        self.jobs: dict[str, JsonObject] = {}
        self.pods: list[JsonObject] = []
        usual: JsonObject = {"profiles": given.profiles(), "script_sources": given.SCRIPTS, "now": NOW}
        if "serviceRef" not in obj["spec"]:
            usual["cache"] = given.cache()
        self.seen: JsonObject = usual | seen
        self.made: list[JsonObject] = []

    @property
    def job(self) -> EmbeddingJob:
        return EmbeddingJob.from_dict(self.obj)

    @property
    def status(self) -> JsonObject:
        written: JsonObject = self.obj.get("status") or {}
        return written

    def look(self, **seen: Any) -> JobPlan:
        """Plan by what the operator keeps of Jobs, and take nothing in."""
        kept = [compact(one, None, {}) for one in self.jobs.values()]
        observed = ObservedJob(jobs=kept, pods=self.pods, **(self.seen | seen))
        return plan_job(self.job, observed, SITE)

    def step(self, **seen: Any) -> JobPlan:
        before, plan = self.job.status, self.look(**seen)
        for name in plan.delete:
            del self.jobs[name]
            self.pods = [pod for pod in self.pods if pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] != name]
        for made in plan.create:
            self.made.append(made)
            self.jobs[made["metadata"]["name"]] = copy.deepcopy(made)
        for name, changes in plan.patch:
            self.jobs[name]["spec"] |= changes["spec"]
        status = replace(plan.status, conditions=merge_conditions(before.conditions, plan.status.conditions, NOW))
        self.obj["status"] = json.loads(json.dumps(status.to_dict()))
        return plan

    def of(self, phase: str) -> JsonObject:
        """The Job of a phase: split, embed or finish."""
        (found,) = [one for name, one in self.jobs.items() if name.startswith(f"{phase}-")]
        return found

    def phases(self) -> list[str]:
        return [name.partition("-")[0] for name in self.jobs]

    def end(self, phase: str, message: Mapping[str, Any] | None, *, failed: str = "", **status: Any) -> None:
        """A Job of one pod ends, with its pod's last words."""
        kind = "Failed" if failed else "Complete"
        condition = {"type": kind, "status": "True", "reason": failed, "message": "it has ended"}
        self.of(phase)["status"] = {"conditions": [condition], "completionTime": "2026-11-01T12:00:00Z"} | status
        if message is not None:
            self.pod(phase, phase="Failed" if failed else "Succeeded", message=message)

    def pod(
        self,
        phase_of_job: str,
        *,
        phase: str = "Running",
        index: int | None = None,
        message: Mapping[str, Any] | None = None,
        **status: Any,
    ) -> str:
        """A pod of a Job. Returns its name."""
        name = self.of(phase_of_job)["metadata"]["name"]
        number = len(self.pods)
        metadata: JsonObject = {
            "name": f"{name}-{number}",
            "labels": {"batch.kubernetes.io/job-name": name},
            "creationTimestamp": f"2026-11-01T10:{number // 60:02}:{number % 60:02}Z",
        }
        if index is not None:
            metadata["annotations"] = {"batch.kubernetes.io/job-completion-index": str(index)}
        state = {"terminated": {"exitCode": 0, "message": json.dumps(message)}} if message is not None else {}
        containers = [{"name": "driver", "state": state}]
        self.pods.append({"metadata": metadata, "status": {"phase": phase, "containerStatuses": containers} | status})
        return str(metadata["name"])

    def embed(self, **work: Any) -> None:
        """Up to where the workers run."""
        self.step()
        self.end("split", SPLIT | work)
        self.step()

    def conditions(self) -> dict[str, tuple[str, str]]:
        return {one["type"]: (one["status"], one["reason"]) for one in self.status["conditions"]}

    def message(self) -> str:
        return str(next(one["message"] for one in self.status["conditions"] if one["type"] == "Ready"))


def page(**shown: Any) -> Page:
    """What a worker shows."""
    return Page.from_dict(shown)


def driver(made: JsonObject) -> JsonObject:
    """The container that does the work in a Job's pods."""
    (container,) = made["spec"]["template"]["spec"]["containers"]
    return dict(container)


def document(made: JsonObject) -> JsonObject:
    """The job document that a Job's pods are given."""
    args = driver(made)["args"]
    told: JsonObject = json.loads(args[args.index("--job") + 1].replace("$$", "$"))
    return told
