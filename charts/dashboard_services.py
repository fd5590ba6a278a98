"""The rows of the operator's dashboard about what it looks after: services, their weights, jobs and benchmarks."""

from typing import Any

from charts.dashboards import CHOSEN, Panel, Query, Row, one_of_each

_P = "embedding_operator"
_IN = 'namespace=~"$namespace"'


def _of_services(metric: str) -> str:
    return one_of_each(metric, CHOSEN)


def _of_weights(metric: str) -> str:
    return one_of_each(metric, _IN, "namespace, cache")


def _number(title: str, told: str, unit: str, query: str, legend: str = "", **more: Any) -> Panel:
    return Panel(title, told, unit, (Query(query, legend),), "stat", 4, **more)


_CONDITION = f'{_P}_service_condition{{{CHOSEN},condition="'

OVERVIEW = Row(
    "Overview",
    (
        _number("Services", "EmbeddingServices.", "none", f"count({_of_services('service_replicas')})"),
        _number(
            "Not ready",
            "Services whose condition Ready is not True.",
            "none",
            f'count(max by (namespace, service) ({_CONDITION}Ready",status!="True"}})) or vector(0)',
            thresholds=(1, 5),
        ),
        _number(
            "Stalled",
            "Services that wait for a person.",
            "none",
            f'count(max by (namespace, service) ({_CONDITION}Stalled"}})) or vector(0)',
            thresholds=(1,),
        ),
        _number(
            "Ready replicas",
            "Of all that are asked for.",
            "percentunit",
            f"sum({_of_services('service_ready_replicas')}) / sum({_of_services('service_replicas')})",
            thresholds=(0.5, 1),
            good=True,
            most=1,
        ),
        _number("Weights", "Bytes that are staged and verified.", "bytes", f"sum({_of_weights('cache_bytes')})"),
        _number("Leader", "The replica that works.", "none", f"{_P}_leader == 1", "{{pod}}"),
    ),
)
SERVICES = Row(
    "Services",
    (
        Panel(
            "By reason",
            "Why services are ready, or not.",
            "none",
            (
                Query(
                    f'sum by (reason) (max by (namespace, service, reason) ({_CONDITION}Ready"}}))',
                    "{{reason}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Replicas",
            "Asked for, and ready.",
            "none",
            (
                Query(f"sum({_of_services('service_replicas')})", "asked for"),
                Query(f"sum({_of_services('service_ready_replicas')})", "ready"),
            ),
        ),
        Panel(
            "Not as they should be",
            "Services that are not ready, stalled or degraded, with the reason.",
            "none",
            (
                Query(
                    "max by (namespace, service, condition, reason)"
                    f' ({_CONDITION}Ready",status!="True"}} or {_CONDITION}Stalled"}} or {_CONDITION}Degraded"}})'
                ),
            ),
            "table",
        ),
        Panel(
            "Rollouts",
            "New revisions within an hour.",
            "none",
            (Query(f"sum(increase({_P}_rollouts_total[1h]))", "revisions"),),
        ),
        Panel(
            "Replicas that are missing",
            "Asked for and not ready, by service.",
            "none",
            (
                Query(
                    f"{_of_services('service_replicas')} - {_of_services('service_ready_replicas')}",
                    "{{namespace}}/{{service}}",
                ),
            ),
            width=16,
        ),
    ),
)
WEIGHTS = Row(
    "Weights",
    (
        Panel(
            "By reason",
            "Why weights are ready, or not.",
            "none",
            (
                Query(
                    "sum by (reason) (max by (namespace, cache, reason)"
                    f' ({_P}_cache_condition{{{_IN},condition="Ready"}}))',
                    "{{reason}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Staging",
            "How far what is being staged is.",
            "percentunit",
            (
                Query(
                    f"{_of_weights('cache_staging_bytes')} / {_of_weights('cache_staging_size_bytes')}",
                    "{{namespace}}/{{cache}}",
                ),
            ),
            most=1,
        ),
        Panel(
            "Staging speed",
            "How fast weights come.",
            "Bps",
            (Query(_of_weights("cache_staging_bytes_per_second"), "{{namespace}}/{{cache}}"),),
            stacked=True,
        ),
        Panel(
            "Stagings that ended",
            "Within an hour, by how they ended.",
            "none",
            (Query(f"sum by (result) (increase({_P}_stagings_total[1h]))", "{{result}}"),),
            stacked=True,
        ),
        Panel(
            "Staged",
            "Bytes that were staged and verified within an hour.",
            "bytes",
            (Query(f"sum(increase({_P}_staged_bytes_total[1h]))", "staged"),),
        ),
        Panel(
            "Since the last check of every byte",
            "By weights.",
            "s",
            (
                Query(
                    f"time() - {_of_weights('cache_verified_timestamp_seconds')}",
                    "{{namespace}}/{{cache}}",
                ),
            ),
        ),
    ),
)
_UNFINISHED = f'{{{_IN},condition="Ready"}}'
JOBS = Row(
    "Jobs and benchmarks",
    (
        Panel(
            "Jobs by reason",
            "Those of all namespaces: done, at work, or why not.",
            "none",
            (Query(f'max by (reason) ({_P}_jobs{{condition="Ready"}})', "{{reason}}"),),
            stacked=True,
        ),
        Panel(
            "Not done",
            "Jobs and benchmarks that run, wait or failed, with the reason.",
            "none",
            (
                Query(f"max by (namespace, embedding_job, reason) ({_P}_job_condition{_UNFINISHED})"),
                Query(f"max by (namespace, benchmark, reason) ({_P}_benchmark_condition{_UNFINISHED})"),
            ),
            "table",
            width=16,
        ),
    ),
)
ROWS = (OVERVIEW, SERVICES, WEIGHTS, JOBS)
