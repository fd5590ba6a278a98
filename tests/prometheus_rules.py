"""The alert rules, and situations in which each of them fires or must not, in the form of promtool's tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from charts.manifests import CHART

Object = dict[str, Any]
RULES = CHART / "monitoring" / "alerts.yaml"

_OPERATOR = '{namespace="system",job="operator",pod="operator-0"}'
_STANDBY = '{namespace="system",job="operator",pod="operator-1"}'


def series(metric: str, values: str, labels: str = _OPERATOR) -> Object:
    """Of a metric of the operator, a value a minute as promtool writes them: 5x9 is ten times 5, 0+1x9 counts."""
    return {"series": f"embedding_operator_{metric}{labels}", "values": values}


def among(labels: str, more: str) -> str:
    return f"{labels[:-1]},{more}}}"


@dataclass(frozen=True)
class Situation:
    """What is seen, and from which minute on the alert fires. Before it, it must not."""

    alert: str
    minute: int | None  # None: it never fires
    seen: tuple[Object, ...]
    until: int = 100


HEALTHY = (
    series("build_info", "1x1000"),
    series("build_info", "1x1000", _STANDBY),
    series("leader", "1x1000"),
    series("leader", "0x1000", _STANDBY),
    series("synced", "1x1000"),
    series("lease_transitions_total", "3x1000"),
    series("queue_oldest_seconds", "0 1 0 2 0x1000"),
    series("queue_oldest_seconds", "0+60x1000", _STANDBY),  # it has no workers
    series("queue_longest_processing_seconds", "0 1 30 0x1000"),
    series("event_loop_lag_seconds_bucket", "0+59x1000", among(_OPERATOR, 'le="0.1"')),
    series("event_loop_lag_seconds_bucket", "0+60x1000", among(_OPERATOR, 'le="2.5"')),
    series("event_loop_lag_seconds_bucket", "0+60x1000", among(_OPERATOR, 'le="+Inf"')),
    series("watch_heard_timestamp_seconds", "0+60x1000", among(_OPERATOR, 'resource="pods"')),
    series(  # of what Kopf watches and nobody changes, each beginning is heard
        "watch_heard_timestamp_seconds",
        " ".join(f"{300 * beginning}x4" for beginning in range(200)),
        among(_OPERATOR, 'resource="runtimeprofiles"'),
    ),
    series("api_requests_total", "0+100x1000", among(_OPERATOR, 'code="200"')),
    series("api_requests_total", "0+9x1000", among(_OPERATOR, 'code="409"')),
    series("api_requests_total", "0+1x1000", among(_OPERATOR, 'code="503"')),
    series("reconciles_total", "0+30x1000", among(_OPERATOR, 'kind="ModelCache",result="done"')),
    series("reconciles_total", "0x1000", among(_OPERATOR, 'kind="ModelCache",result="defect"')),
)
_A = '{namespace="search",service="a"}'
_M = '{namespace="search",cache="m"}'
_J = '{namespace="search",embedding_job="j"}'


def condition(kind: str, status: str, reason: str, values: str, labels: str) -> Object:
    metric = next(f"{one}_condition" for one in ("service", "cache", "job") if f"{one}=" in labels)
    return series(metric, values, among(labels, f'condition="{kind}",status="{status}",reason="{reason}"'))


SITUATIONS = (
    Situation("EmbeddingOperatorDown", 10, ()),
    Situation("EmbeddingOperatorDown", 26, (series("build_info", "1x15 stale"),), until=120),
    Situation("EmbeddingOperatorReplicaMissing", 15, (series("build_info", "1x200"),)),
    Situation(
        "EmbeddingOperatorReplicaMissing",
        None,
        (series("build_info", "1x200"), series("build_info", "1x200", _STANDBY)),
    ),
    Situation("EmbeddingOperatorNoLeader", 5, (series("leader", "0x200"), series("leader", "0x200", _STANDBY))),
    Situation("EmbeddingOperatorNoLeader", None, (series("leader", "0x200"), series("leader", "1x200", _STANDBY))),
    Situation("EmbeddingOperatorNotSynced", 15, (series("synced", "0x200"),)),
    Situation("EmbeddingOperatorLeaderChanges", 5, (series("lease_transitions_total", "0+1x200"),)),
    Situation("EmbeddingOperatorLeaderChanges", None, (series("lease_transitions_total", "0x20 1x20 2x20 3x200"),)),
    # its container began anew, and was asked before it had read the Lease
    Situation("EmbeddingOperatorLeaderChanges", None, (series("lease_transitions_total", "57x20 0 57x200"),), until=30),
    Situation(
        "EmbeddingOperatorQueueStuck", 11, (series("leader", "1x200"), series("queue_oldest_seconds", "0+60x200"))
    ),
    Situation(
        "EmbeddingOperatorQueueStuck", None, (series("leader", "1x200"), series("queue_oldest_seconds", "299x200"))
    ),
    Situation("EmbeddingOperatorWorkerStuck", 6, (series("queue_longest_processing_seconds", "0+60x200"),)),
    Situation(
        "EmbeddingOperatorLoopSlow",
        11,
        (
            series("event_loop_lag_seconds_bucket", "0+1x200", among(_OPERATOR, 'le="0.1"')),
            series("event_loop_lag_seconds_bucket", "0+60x200", among(_OPERATOR, 'le="2.5"')),
            series("event_loop_lag_seconds_bucket", "0+60x200", among(_OPERATOR, 'le="+Inf"')),
        ),
    ),
    Situation(
        "EmbeddingOperatorWatchSilent",
        16,
        (series("watch_heard_timestamp_seconds", "0x200", among(_OPERATOR, 'resource="pods"')),),
    ),
    Situation(
        "EmbeddingOperatorApiErrors",
        16,
        (
            series("api_requests_total", "0+100x200", among(_OPERATOR, 'code="200"')),
            series("api_requests_total", "0+10x200", among(_OPERATOR, 'code="none"')),
        ),
    ),
    # one disruption budget, or two of them, are against an eviction that is tried every 15 s
    Situation(
        "EmbeddingOperatorApiErrors",
        None,
        (
            series("api_requests_total", "0+20x200", among(_OPERATOR, 'verb="update",code="200"')),
            series("api_requests_total", "0+4x200", among(_OPERATOR, 'verb="evict",code="429"')),
            series("api_requests_total", "0+4x200", among(_OPERATOR, 'verb="evict",code="500"')),
        ),
    ),
    Situation(
        "EmbeddingOperatorDefect",
        3,
        (series("reconciles_total", "0 0 0 1x200", among(_OPERATOR, 'kind="ModelCache",result="defect"')),),
        until=15,
    ),
    Situation(
        "EmbeddingServiceDown",
        20,
        (
            series("service_replicas", "2x200", _A),
            series("service_ready_replicas", "0x200", _A),
            condition("Ready", "False", "CrashLooping", "1x200", _A),
        ),
    ),
    Situation(
        "EmbeddingServiceDown",
        None,
        (
            series("service_replicas", "2x200", _A),
            series("service_ready_replicas", "0x200", _A),
            condition("Ready", "False", "WaitingForWeights", "1x200", _A),
        ),
    ),
    Situation(  # other weights come for a service whose pods are gone meanwhile
        "EmbeddingServiceDown",
        20,
        (
            series("service_replicas", "2x200", _A),
            series("service_ready_replicas", "0x200", _A),
            condition("Ready", "False", "WaitingForWeights", "1x200", _A),
            condition("Available", "False", "NoReplicaAvailable", "1x200", _A),
        ),
    ),
    Situation(  # EmbeddingStagingFailed says so
        "EmbeddingServiceDown",
        None,
        (
            series("service_replicas", "2x200", _A),
            series("service_ready_replicas", "0x200", _A),
            condition("Ready", "False", "CacheStalled", "1x200", _A),
        ),
    ),
    Situation(
        "EmbeddingServiceDown",
        None,
        (series("service_replicas", "0x200", _A), series("service_ready_replicas", "0x200", _A)),
    ),
    Situation(
        "EmbeddingServiceReplicasMissing",
        30,
        (series("service_replicas", "2x200", _A), series("service_ready_replicas", "1x200", _A)),
    ),
    Situation(
        "EmbeddingServiceReplicasMissing",
        None,
        (series("service_replicas", "2x200", _A), series("service_ready_replicas", "1x20 2x5 1x20 2x200", _A)),
    ),
    Situation(
        "EmbeddingServiceNotReady",
        60,
        (
            condition("Ready", "False", "Starting", "1x30 stale", _A),
            condition("Ready", "False", "CrashLooping", "_x30 1x200", _A),
        ),
    ),
    Situation("EmbeddingServiceNotReady", None, (condition("Ready", "False", "WaitingForWeights", "1x200", _A),)),
    Situation("EmbeddingServiceStalled", 10, (condition("Stalled", "True", "PodSecurity", "1x200", _A),)),
    Situation("EmbeddingServiceDegraded", 10, (condition("Degraded", "True", "DeviceUnhealthy", "1x200", _A),)),
    Situation("EmbeddingWeightsDamaged", 0, (condition("Ready", "False", "Damaged", "1x200", _M),)),
    Situation("EmbeddingStagingFailed", 5, (condition("Stalled", "True", "NotFound", "1x200", _M),)),
    Situation("EmbeddingStagingFailed", None, (condition("Stalled", "True", "Damaged", "1x200", _M),)),
    Situation(
        "EmbeddingStagingRetrying", 6, (series("stagings_total", "0+1x200", among(_OPERATOR, 'result="Retrying"')),)
    ),
    Situation(
        "EmbeddingStagingStuck",
        15,
        (series("cache_staging_bytes", "5x200", _M), series("cache_staging_size_bytes", "9x200", _M)),
    ),
    Situation(
        "EmbeddingStagingStuck",
        None,
        (series("cache_staging_bytes", "9x200", _M), series("cache_staging_size_bytes", "9x200", _M)),  # it verifies
    ),
    Situation(
        "EmbeddingStagingSlow",
        30,
        (
            series("cache_staging_bytes", "0+60x200", _M),
            series("cache_staging_size_bytes", "1000000x200", _M),
            series("cache_staging_bytes_per_second", "1x200", _M),
        ),
    ),
    Situation(
        "EmbeddingStagingWaits",
        30,
        (
            condition("Ready", "False", "ClaimNotFound", "1x20 stale", _M),
            condition("Ready", "False", "Unschedulable", "_x20 1x200", _M),
        ),
    ),
    Situation(
        "EmbeddingStagingWaits",
        None,
        (
            condition("Ready", "False", "Unschedulable", "1x20 stale", _M),
            condition("Ready", "False", "Downloading", "_x20 1x200", _M),
        ),
    ),
    Situation("EmbeddingJobStalled", 5, (condition("Stalled", "True", "TooManyErrors", "1x200", _J),)),
    Situation("EmbeddingJobStalled", None, (condition("Ready", "False", "Embedding", "1x200", _J),)),
    Situation("EmbeddingWeightsNotReady", 720, (condition("Ready", "False", "Pending", "1x900", _M),), until=800),
    Situation(
        "EmbeddingWeightsNotReady",
        None,
        (
            condition("Ready", "False", "Downloading", "1x300 stale", _M),
            condition("Ready", "True", "Verified", "_x300 1x900", _M),
        ),
        until=800,
    ),
)
WELL = (
    series("service_replicas", "2x1000", _A),
    series("service_ready_replicas", "2x1000", _A),
    condition("Ready", "True", "Serving", "1x1000", _A),
    condition("Ready", "True", "Verified", "1x1000", _M),
)


def alerts() -> list[Object]:
    """All rules."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def as_promtool_reads_them() -> Object:
    """The file for promtool: what fires in each situation, just before, at and long after its minute; and that nothing
    fires while all is well."""
    return {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [_test(situation) for situation in SITUATIONS] + [_well()],
    }


def _test(situation: Situation) -> Object:
    minutes = [situation.until] if situation.minute is None else [situation.minute, situation.until]
    expected = dict.fromkeys(minutes, situation.minute is not None)
    if situation.minute:
        expected[situation.minute - 1] = False
    return {
        "name": f"{situation.alert} from minute {situation.minute}",
        "interval": "1m",
        "input_series": list(situation.seen),
        "promql_expr_test": [
            {"expr": f'count(ALERTS{{alertname="{situation.alert}",alertstate="firing"}})', "eval_time": f"{minute}m"}
            | ({"exp_samples": [{"labels": "{}", "value": 1}]} if fires else {"exp_samples": []})
            for minute, fires in expected.items()
        ],
    }


def _well() -> Object:
    return {
        "name": "all is well",
        "interval": "1m",
        "input_series": [*HEALTHY, *WELL],
        "promql_expr_test": [
            {"expr": "count(ALERTS)", "eval_time": f"{minute}m", "exp_samples": []} for minute in (16, 61, 800)
        ],
    }
