"""Whatever spec is written: the API server refuses it and says where and what to write, or a plan is made of it whose
objects the API server takes. Specs are drawn from the CRDs' own schemas; the same ones in each run."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, seed, settings

from embedding_operator.api.benchmark import EmbeddingBenchmark
from embedding_operator.api.job import EmbeddingJob
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.api.profile import RuntimeProfile
from embedding_operator.api.service import EmbeddingService
from embedding_operator.planning.benchplan import plan_benchmark
from embedding_operator.planning.cacheplan import plan_cache
from embedding_operator.planning.cachestate import ObservedCache
from embedding_operator.planning.cleanjob import cleanup_job
from embedding_operator.planning.jobservice import as_service
from embedding_operator.planning.plan import plan_service
from embedding_operator.planning.stagejob import StagingSite
from embedding_operator.planning.weights import model_cache
from tests.cluster.controlplane import ControlPlane
from tests.fuzzing.refusals import faults, names
from tests.fuzzing.server import Answer, Server
from tests.fuzzing.specs import specs
from tests.fuzzing.spoiling import spoilt
from tests.integration.kinds import install_kinds
from tests.unit.planning import benchmarks, jobs
from tests.unit.planning import given as facts

KINDS = ("EmbeddingService", "EmbeddingJob", "ModelCache", "RuntimeProfile", "EmbeddingBenchmark")
SITE = StagingSite("example.com/operator:1", (("HTTPS_PROXY", "http://p:1"),), ("registry",))
SEEDS = range(4)
QUICK, LONG = 60, 1000  # specs of each kind, good ones and spoilt ones
STAGED = {
    "revision": "9c3d",
    "digest": facts.DIGEST,
    "path": "modelscope/a--b/9c3d",
    "startedAt": "2026-01-02T03:04:05Z",
}


@pytest.fixture(scope="module")
def server(control_plane: ControlPlane, gateway_api: None, pod_monitors: None) -> Iterator[Server]:
    install_kinds(control_plane.kubectl)
    asked = Server(control_plane)
    yield asked
    asked.close()


def written(kind: str, spec: Any, name: str = "qwen") -> dict[str, Any]:
    metadata = {"name": name} if kind == "RuntimeProfile" else {"name": name, "namespace": "default"}
    return {"apiVersion": "embedding-operator.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def assert_taken(answer: Answer, obj: Any, spec: Any) -> None:
    assert answer.accepted, f"{answer}\n{yaml.safe_dump(obj)}\nplanned from\n{yaml.safe_dump(spec)}"


def check_service(server: Server, obj: Any, profile: Any) -> bool:
    """All that is made of a service that the API server took: its cache, its Jobs, its children once they are done.
    Returns whether there were any; or else it is told why there are none."""
    obj = copy.deepcopy(obj)
    profiles = facts.profiles() | {"site": RuntimeProfile.from_dict(profile)}
    service = EmbeddingService.from_dict(obj)
    staged = facts.cache()
    if service.spec.model.source is not None:
        pod = (profiles.get(service.spec.runtime.profile or "") or profiles["cpu"]).spec.pod
        wanted = model_cache(service, pod)
        answer = server.apply(wanted)
        assert_taken(answer, wanted, obj["spec"])
        check_cache(server, answer.body)
        staged = ModelCache.from_dict(answer.body | {"status": STAGED})
    before = plan_service(service, obj["spec"], facts.seen(profiles=profiles))
    assert before.status.conditions[0].message
    plan = plan_service(service, obj["spec"], facts.seen(profiles=profiles, cache=staged))
    for child in (*before.create, *plan.create):
        assert_taken(server.create(child), child, obj["spec"])
    for child in plan.apply:
        assert_taken(server.apply(child), child, obj["spec"])
    assert plan.status.conditions[0].message
    return bool(plan.apply)


def check_job(server: Server, obj: Any, profile: Any) -> bool:
    """All Jobs of a job that the API server took, and what its workers have scripts from."""
    obj = copy.deepcopy(obj)
    obj["spec"].pop("suspend", None)
    obj.pop("status", None)
    profiles = facts.profiles() | {"site": RuntimeProfile.from_dict(profile)}
    job = EmbeddingJob.from_dict(obj)
    staged = facts.cache()
    if job.spec.model is not None and job.spec.model.source is not None:
        service = as_service(job)
        pod = (profiles.get(service.spec.runtime.profile or "") or profiles["cpu"]).spec.pod
        wanted = model_cache(service, pod)
        answer = server.apply(wanted)
        assert_taken(answer, wanted, obj["spec"])
        staged = ModelCache.from_dict(answer.body | {"status": STAGED})
    its = jobs.service(task=job.spec.task or "Embed")
    by = {"service": its, "cache": None} if job.spec.service_ref else {"cache": staged}
    cluster = jobs.Cluster(obj, profiles=profiles, **by)
    plans = [cluster.step()]
    assert cluster.message()
    if not cluster.jobs:
        return False
    cluster.end("split", jobs.SPLIT)
    plans.append(cluster.step())
    cluster.end("embed", None, completedIndexes="0-99")
    plans.append(cluster.step())
    for plan in plans:
        for child in plan.apply:
            assert_taken(server.apply(child), child, obj["spec"])
        for child in plan.create:
            assert_taken(server.create(child), child, obj["spec"])
    assert cluster.phases() == ["split", "embed", "finish"]
    return True


def check_cache(server: Server, obj: Any) -> bool:
    """All Jobs that a ModelCache has in its life."""
    cache = ModelCache.from_dict(obj)
    plans = [plan_cache(cache, ObservedCache(claim_exists=True, cluster="c"), SITE)]
    done = ModelCache.from_dict(obj | {"status": STAGED | {"verifiedAt": "2026-01-02T03:04:05Z"}})
    plans.append(plan_cache(done, ObservedCache(claim_exists=True, cluster="c", verified_for=10**9), SITE))
    jobs = [job for plan in plans for job in plan.create] + [cleanup_job(done, SITE, "c")]
    assert plans[0].create
    for job in jobs:
        assert_taken(server.create(job), job, obj["spec"])
    return True


def check_benchmark(server: Server, obj: Any) -> bool:
    """The script and the Job of the first run, of a service that can be given that load; or else it is told why not."""
    benchmark = EmbeddingBenchmark.from_dict(obj)
    ranks = benchmark.spec.runs[0].dataset == "random-rerank"
    seen = benchmarks.seen(service=benchmarks.service(task="Rerank" if ranks else "Embed"))
    plan = plan_benchmark(benchmark, seen)
    assert plan.status.conditions[0].message
    for child in plan.create:
        assert_taken(server.create(child), child, obj["spec"])
    return bool(plan.create)


def check_profile(server: Server, obj: Any) -> bool:
    """A service of that profile, with weights that are there."""
    service = written("EmbeddingService", {"model": {"cacheRef": {"name": "c"}}, "runtime": {"profile": "site"}})
    answer = server.create(service)
    assert_taken(answer, service, obj["spec"])
    return check_service(server, answer.body, obj)


def check(server: Server, kind: str, spec: Any, answer: Answer) -> bool:
    """The whole promise, of one spec and of what is said to it. Returns whether it came as far as pods."""
    if not answer.accepted:
        assert faults(answer) == [], f"{answer}\n{yaml.safe_dump(spec)}"
        return False
    match kind:
        case "EmbeddingService":
            return check_service(server, answer.body, SITE_PROFILE)
        case "EmbeddingJob":
            return check_job(server, answer.body, SITE_PROFILE)
        case "ModelCache":
            return check_cache(server, answer.body)
        case "EmbeddingBenchmark":
            return check_benchmark(server, answer.body)
        case _:
            return check_profile(server, answer.body)


SITE_PROFILE = written(
    "RuntimeProfile",
    {
        "accelerator": {"type": "Ascend", "resourceName": "huawei.com/Ascend910"},
        "runtime": {"name": "vllm-ascend", "version": "0.23.0", "image": "quay.io/ascend/vllm-ascend:v0.23.0"},
    },
    "site",
)


def check_spoilt(server: Server, kind: str, before: Any, spec: Any, place: tuple[str | int, ...]) -> None:
    """The same, and where it was good before, the refusal names what was spoilt."""
    answer = server.create(written(kind, spec))
    check(server, kind, spec, answer)
    if not answer.accepted and server.create(written(kind, before)).accepted:
        assert names(answer, place), f"{place} is spoilt, and named is {answer}\n{yaml.safe_dump(spec)}"


def try_good(server: Server, kind: str, number: int, count: int) -> None:
    """So many good specs, of which a share must come as far as pods: where all were refused, nothing would be tried."""
    came: list[bool] = []

    @seed(number)
    @settings(max_examples=count, **CALM)
    @given(specs(kind))
    def one(spec: Any) -> None:
        came.append(check(server, kind, spec, server.create(written(kind, spec))))

    one()
    assert sum(came) > count / 3


def try_spoilt(server: Server, kind: str, number: int, count: int) -> None:
    @seed(number)
    @settings(max_examples=count, **CALM)
    @given(spoilt(kind, specs(kind)))
    def one(drawn: Any) -> None:
        check_spoilt(server, kind, *drawn)

    one()


CALM: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}


@pytest.mark.parametrize("kind", KINDS)
def test_good_specs_are_planned_into_objects_that_are_taken(server: Server, kind: str) -> None:
    try_good(server, kind, 0, QUICK)


@pytest.mark.parametrize("kind", KINDS)
def test_spoilt_specs_are_refused_with_what_to_do_or_planned(server: Server, kind: str) -> None:
    try_spoilt(server, kind, 0, QUICK)


@pytest.mark.long
@pytest.mark.parametrize("number", SEEDS)
@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_good_specs_are_planned(server: Server, kind: str, number: int) -> None:
    try_good(server, kind, number, LONG)


@pytest.mark.long
@pytest.mark.parametrize("number", SEEDS)
@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_spoilt_specs_are_refused_or_planned(server: Server, kind: str, number: int) -> None:
    try_spoilt(server, kind, number, LONG)
