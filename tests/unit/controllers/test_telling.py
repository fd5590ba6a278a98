"""What Prometheus is told, and that no series is told of what nobody can be expected to count."""

from typing import Any, cast

import pytest

from embedding_operator.api import names
from embedding_operator.api.conditions import Condition, Reason, Type
from embedding_operator.api.modelcache import ModelCacheStatus
from embedding_operator.controllers.context import Context
from embedding_operator.controllers.meters import Meters
from embedding_operator.controllers.staged import count_staging
from embedding_operator.controllers.telling import METRICS, families
from embedding_operator.controllers.telling.operator import Standing
from embedding_operator.kube.resources import DEPLOYMENTS, PODS, ObjectKey
from embedding_operator.metrics.calls import Calls
from embedding_operator.metrics.text import render
from tests.unit.controllers.given import context

LEADER = Standing(leads=True, transitions=3, synced=True)


def parts() -> Context:
    base = context(cast(Any, type("Client", (), {"calls": Calls()})))
    nobody = type("Nobody", (), {"counts": {"applied": 2}, "dropped": 1})
    return Context(base.settings, base.client, cast(Any, nobody), cast(Any, nobody), base.http)


def obj(kind: str, name: str, *conditions: tuple[str, str, str], **status: Any) -> dict[str, Any]:
    said = [{"type": kind, "status": value, "reason": reason} for kind, value, reason in conditions]
    return {
        "apiVersion": names.API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "namespace": "search", "uid": name, "resourceVersion": "1"},
        "spec": {"replicas": 4},
        "status": {"conditions": said, **status},
    }


def told(context: Context, standing: Standing = LEADER) -> list[str]:
    return b"".join(render(families(context, standing))).decode().splitlines()


def of(lines: list[str], name: str) -> list[str]:
    """The samples of one metric, without its name."""
    whole = f"embedding_operator_{name}"
    return [line.removeprefix(whole) for line in lines if line.startswith((f"{whole} ", f"{whole}{{"))]


def test_services_are_counted_by_condition_and_told_one_by_one() -> None:
    context = parts()
    well = (("Ready", "True", "Serving"), ("Available", "True", "MinimumAvailable"))
    context.cache.upsert(obj("EmbeddingService", "a", *well, readyReplicas=4))
    ill = (
        ("Ready", "False", "PodSecurity"),
        ("Stalled", "True", "PodSecurity"),
        ("Available", "False", "ScaledToZero"),
    )
    suspended = obj("EmbeddingService", "b", *ill)
    suspended["spec"]["suspend"] = True
    context.cache.upsert(suspended)
    new = obj("EmbeddingService", "c")
    del new["status"], new["spec"]["replicas"]
    context.cache.upsert(new)
    lines = told(context)
    assert of(lines, "services") == [
        '{condition="Available",status="False",reason="ScaledToZero"} 1',
        '{condition="Available",status="True",reason="MinimumAvailable"} 1',
        '{condition="Ready",status="False",reason="PodSecurity"} 1',
        '{condition="Ready",status="True",reason="Serving"} 1',
        '{condition="Stalled",status="True",reason="PodSecurity"} 1',
    ]
    name = 'namespace="search",service='
    assert of(lines, "service_condition") == [
        f'{{{name}"a",condition="Ready",status="True",reason="Serving"}} 1',
        f'{{{name}"b",condition="Ready",status="False",reason="PodSecurity"}} 1',
        f'{{{name}"b",condition="Stalled",status="True",reason="PodSecurity"}} 1',
        f'{{{name}"b",condition="Available",status="False",reason="ScaledToZero"}} 1',
    ]
    assert of(lines, "service_replicas") == [f'{{{name}"a"}} 4', f'{{{name}"b"}} 0', f'{{{name}"c"}} 1']
    assert of(lines, "service_ready_replicas") == [f'{{{name}"a"}} 4', f'{{{name}"b"}} 0', f'{{{name}"c"}} 0']


def test_services_are_read_as_they_are_told_and_one_that_goes_meanwhile_is_told_of_nowhere() -> None:
    context = parts()
    for number in range(2000):
        context.cache.upsert(obj("EmbeddingService", f"s-{number:04}", ("Ready", "True", "Serving"), readyReplicas=4))
    pieces = render(families(context, LEADER))
    begun = next(piece for piece in pieces if b"service_condition{" in piece)
    context.cache.discard(ObjectKey("EmbeddingService", "search", "s-1999"))
    lines = (begun + b"".join(pieces)).decode().splitlines()
    for name in ("service_condition", "service_replicas", "service_ready_replicas"):
        assert len(of(lines, name)) == 1999
    assert of(lines, "services") == ['{condition="Ready",status="True",reason="Serving"} 1999']


def test_weights_are_told_with_their_size_age_users_and_how_far_they_are() -> None:
    context = parts()
    status: dict[str, Any] = {"digest": "sha256:1", "bytes": 17, "verifiedAt": "2026-01-02T00:00:00Z"}
    status["usedBy"] = [{"kind": "EmbeddingService", "name": "a"}]
    context.cache.upsert(obj("ModelCache", "done", ("Ready", "True", "Verified"), **status))
    progress = {"phase": "Downloading", "bytes": 5, "totalBytes": 9, "bytesPerSecond": 2}
    context.cache.upsert(obj("ModelCache", "under-way", ("Ready", "False", "Downloading"), progress=progress))
    lines = told(context)
    done, under_way = '{namespace="search",cache="done"}', '{namespace="search",cache="under-way"}'
    assert of(lines, "cache_bytes") == [f"{done} 17"]
    assert of(lines, "cache_verified_timestamp_seconds") == [f"{done} 1767312000.0"]
    assert of(lines, "cache_users") == [f"{done} 1", f"{under_way} 0"]
    assert of(lines, "cache_staging_bytes") == [f"{under_way} 5"]
    assert of(lines, "cache_staging_size_bytes") == [f"{under_way} 9"]
    assert of(lines, "cache_staging_bytes_per_second") == [f"{under_way} 2"]


@pytest.mark.parametrize(
    ("kind", "all_of_them", "each", "label"),
    [
        ("EmbeddingJob", "jobs", "job_condition", "embedding_job"),
        ("EmbeddingBenchmark", "benchmarks", "benchmark_condition", "benchmark"),
    ],
)
def test_what_runs_once_is_counted_and_told_one_by_one_until_it_is_done(
    kind: str, all_of_them: str, each: str, label: str
) -> None:
    context = parts()
    context.cache.upsert(obj(kind, "done", ("Ready", "True", "Completed")))
    context.cache.upsert(obj(kind, "running", ("Ready", "False", "Embedding"), ("Reconciling", "True", "Embedding")))
    failed = (("Ready", "False", "TooManyErrors"), ("Stalled", "True", "TooManyErrors"))
    context.cache.upsert(obj(kind, "failed", *failed))
    lines = told(context)
    assert of(lines, all_of_them) == [
        '{condition="Ready",status="False",reason="Embedding"} 1',
        '{condition="Ready",status="False",reason="TooManyErrors"} 1',
        '{condition="Ready",status="True",reason="Completed"} 1',
        '{condition="Reconciling",status="True",reason="Embedding"} 1',
        '{condition="Stalled",status="True",reason="TooManyErrors"} 1',
    ]
    assert sorted(of(lines, each)) == [
        f'{{namespace="search",{label}="failed",condition="Ready",status="False",reason="TooManyErrors"}} 1',
        f'{{namespace="search",{label}="failed",condition="Stalled",status="True",reason="TooManyErrors"}} 1',
        f'{{namespace="search",{label}="running",condition="Ready",status="False",reason="Embedding"}} 1',
    ]


def test_the_operator_tells_of_itself() -> None:
    context = parts()
    context.meters.reconciles["ModelCache", "done"] += 2
    context.watches.begun(PODS, "a")
    context.watches.heard(PODS, "b", 3)
    context.watches.failed(DEPLOYMENTS)
    context.watches.absent(DEPLOYMENTS)
    lines = told(context)
    assert of(lines, "leader") == [" 1"]
    assert of(told(context, Standing(False, 3, True)), "leader") == [" 0"]
    assert of(lines, "lease_transitions_total") == [" 3"]
    assert of(lines, "reconciles_total") == [
        '{kind="EmbeddingBenchmark",result="defect"} 0',
        '{kind="EmbeddingJob",result="defect"} 0',
        '{kind="EmbeddingService",result="defect"} 0',
        '{kind="ModelCache",result="defect"} 0',
        '{kind="ModelCache",result="done"} 2',
        '{kind="RuntimeProfile",result="defect"} 0',
    ]
    assert of(lines, "watch_starts_total") == ['{resource="deployments"} 0', '{resource="pods"} 1']
    assert of(lines, "watch_failures_total") == ['{resource="deployments"} 1', '{resource="pods"} 0']
    assert of(lines, "watch_events_total") == ['{resource="deployments"} 0', '{resource="pods"} 3']
    (heard,) = of(lines, "watch_heard_timestamp_seconds")  # nothing is to be heard of deployments
    assert heard.startswith('{resource="pods"} 1')
    assert of(lines, "events_dropped_total") == [" 1"]


def test_all_metrics_are_told_once_in_the_order_of_the_table() -> None:
    shown = [line.split()[2] for line in told(parts()) if line.startswith("# TYPE")]
    assert shown == [metric.name for metric in METRICS]


def test_words_that_anybody_may_choose_are_no_labels_but_names_are() -> None:
    allowed = {
        "namespace",
        "service",
        "cache",
        "embedding_job",
        "benchmark",
        "condition",
        "status",
        "reason",
        "kind",
        "result",
        "resource",
    }
    assert {label for metric in METRICS for label in metric.labels} - allowed == {"verb", "code", "version", "python"}


def status(reason: str, *, stalled: bool = False, **more: Any) -> ModelCacheStatus:
    conditions = [Condition(Type.READY, "False", reason)]
    if stalled:
        conditions.append(Condition(Type.STALLED, "True", reason))
    return ModelCacheStatus(conditions=tuple(conditions), **more)


def test_a_staging_is_counted_once_it_has_ended() -> None:
    meters, running = Meters(), status(Reason.DOWNLOADING, started_at="2026-01-02T00:00:00Z")
    failed = status(Reason.NOT_FOUND, stalled=True)
    done = ModelCacheStatus(digest="sha256:1", bytes=17, started_at="2026-01-02T00:00:00Z")
    for before, after in (
        (ModelCacheStatus(), running),
        (running, status(Reason.RETRYING)),
        (status(Reason.RETRYING), status(Reason.RETRYING)),
        (running, failed),
        (failed, failed),
        (running, done),
        (done, done),
        (done, status(Reason.DAMAGED, digest="sha256:1")),
    ):
        count_staging(meters, before, after)
    assert meters.stagings == {"Retrying": 1, "NotFound": 1, "Verified": 1, "Damaged": 1}
    assert (meters.staged_bytes, meters.staging_seconds.count) == (17, 1)
