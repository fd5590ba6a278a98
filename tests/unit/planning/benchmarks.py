"""What tests of benchmarks are given, as short as it can be said."""

import json
from dataclasses import replace
from typing import Any

from embedding_operator.api.benchmark import EmbeddingBenchmark
from embedding_operator.api.conditions import Condition
from embedding_operator.api.service import EmbeddingService
from embedding_operator.planning.benchplan import BenchmarkPlan, ObservedBenchmark, plan_benchmark
from embedding_operator.planning.revision import Revision
from tests.unit.planning import given

JsonObject = dict[str, Any]
RUN: JsonObject = {"dataset": "random", "inputTokens": 200, "prompts": 1000}
SERVING = {"type": "Ready", "status": "True", "reason": "Serving", "message": "4 of 4 replicas serving on 2 nodes"}
UNREADY = {"type": "Ready", "status": "False", "reason": "RollingOut", "message": "1 of 4 replicas are new"}
NUMBERS = [1000, 0, 200000, 20.0, 50.0, 10000.0, 900.0, 850.0, 1500.0, 1900.0]
"""What the script in the pod says of one repeat."""


def benchmark(*, status: JsonObject | None = None, **spec: Any) -> EmbeddingBenchmark:
    """A benchmark of the README's service, with parts of its spec replaced."""
    written = {"serviceRef": {"name": "qwen"}, "runs": [RUN]} | spec
    metadata = {"name": "table", "namespace": "search", "uid": "b-1", "generation": 1}
    return EmbeddingBenchmark.from_dict({"metadata": metadata, "spec": written, "status": status or {}})


def service(*conditions: JsonObject, generation: int = 3, **spec: Any) -> EmbeddingService:
    """That service, with all replicas serving."""
    obj = given.service(**spec)
    status = {
        "observedGeneration": generation,
        "replicas": 4,
        "readyReplicas": 4,
        "conditions": conditions or [SERVING],
    }
    return EmbeddingService.from_dict(obj | {"status": status})


def revisions(**spec: Any) -> list[Revision]:
    """What its pods are made of."""
    return given.stored(given.plan(given.service(**spec), given.seen(cache=given.cache())))


def servers(revision: Revision, count: int = 4, restarts: int = 0) -> list[JsonObject]:
    """Its pods."""
    made = []
    for number in range(count):
        pod = given.pod(f"qwen-{number}", containerStatuses=[{"name": "vllm", "restartCount": restarts}])
        pod["metadata"] |= {"uid": f"p-{number}", "annotations": {"embedding-operator.io/revision": revision.name}}
        made.append(pod)
    return made


def seen(**observed: Any) -> ObservedBenchmark:
    """The service as it should be, and nothing begun."""
    made = revisions()
    usual: JsonObject = {"script": "print()", "service": service(), "revisions": made, "servers": servers(made[0])}
    return ObservedBenchmark(**(usual | observed))


def guarded() -> ObservedBenchmark:
    """A service with keys and a certificate, which serves."""
    exposure = {"apiKeySecretRef": {"name": "embedding-keys"}, "tls": {"secretRef": {"name": "embedding-tls"}}}
    made = revisions(exposure=exposure)
    return seen(service=service(exposure=exposure), revisions=made, servers=servers(made[0]))


def everything() -> EmbeddingBenchmark:
    """A benchmark that says all that there is to be said."""
    run = RUN | {"name": "short", "inputsPerRequest": 8, "seed": 7}
    custom = {"dataset": "custom", "prompts": 10, "file": "queries.jsonl"}
    return benchmark(
        runs=[run, custom],
        sweep={"maxConcurrency": [8, 64]},
        repeats=2,
        warmupPrompts=10,
        input={"claimName": "corpus"},
        output={"claimName": "results", "path": "benchmarks"},
    )


def job_of(planned: BenchmarkPlan) -> JsonObject:
    (found,) = [one for one in planned.create if one["kind"] == "Job"]
    return found


def ended(job: JsonObject, message: JsonObject | None, *, failed: bool = False) -> tuple[JsonObject, JsonObject]:
    """The Job and its pod once they have ended, with these last words."""
    condition = {"type": "Failed" if failed else "Complete", "status": "True", "message": "it has failed"}
    status = {"conditions": [condition], "completionTime": "2026-03-04T12:00:00Z"}
    done = job | {"metadata": job["metadata"] | {"uid": "j-1"}, "status": status}
    last = {"terminated": {"exitCode": 1 if failed else 0, "message": json.dumps(message) if message else None}}
    pod = {
        "kind": "Pod",
        "metadata": {"name": "bench-x", "namespace": "search", "ownerReferences": [{"uid": "j-1"}]},
        "status": {
            "phase": "Failed" if failed else "Succeeded",
            "containerStatuses": [{"name": "bench", "state": last}],
        },
    }
    return done, pod


def measured(before: EmbeddingBenchmark, *repeats: list[float], **observed: Any) -> BenchmarkPlan:
    """What is planned once the run that comes next has ended with these figures."""
    began = plan_benchmark(before, seen())
    job, pod = ended(job_of(began), {"repeats": list(repeats) or [NUMBERS]})
    return plan_benchmark(before, seen(jobs=[job], pods=[pod], **observed))


def after(before: EmbeddingBenchmark, planned: BenchmarkPlan) -> EmbeddingBenchmark:
    """The benchmark with the status that was planned."""
    return replace(before, status=planned.status)


def ready(planned: BenchmarkPlan) -> tuple[str, str, str]:
    """Its condition Ready: status, reason and message."""
    one = planned.status.conditions[0]
    return one.status, one.reason, one.message


def condition(planned: BenchmarkPlan, kind: str) -> Condition | None:
    """A condition that was planned, if there is one of that type."""
    return next((one for one in planned.status.conditions if one.type == kind), None)


def arguments(planned: BenchmarkPlan) -> list[str]:
    """The words of the Job's pod."""
    words: list[str] = job_of(planned)["spec"]["template"]["spec"]["containers"][0]["args"]
    return words


def after_flag(words: list[str], flag: str) -> str:
    """What stands behind a flag."""
    return words[words.index(flag) + 1]
