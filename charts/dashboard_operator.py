"""The dashboard of the operator: services and weights first, then how the operator itself is."""

from typing import Any

from charts.dashboards import Panel, Query, Row, dashboard, variable

_P = "embedding_operator"
_IN = 'namespace=~"$namespace"'  # of services and weights
_OF = 'namespace=~"$namespace",service=~"$service"'
_RATE = "[$__rate_interval]"


def _quantiles(metric: str, by: str = "") -> tuple[Query, ...]:
    """The median and what one of a hundred exceeds."""
    groups = f"{by}, le" if by else "le"
    legend = f"{{{{{by}}}}} " if by else ""
    return tuple(
        Query(f"histogram_quantile({q}, sum by ({groups}) (rate({_P}_{metric}_bucket{_RATE})))", f"{legend}{name}")
        for q, name in ((0.5, "p50"), (0.99, "p99"))
    )


def _one_of_each(metric: str, labels: str, by: str = "namespace, service") -> str:
    """Every replica tells of all services: one of each."""
    return f"max by ({by}) ({_P}_{metric}{{{labels}}})"


_CONDITION = f'{_P}_service_condition{{{_OF},condition="'

OVERVIEW = Row(
    "Overview",
    (
        Panel(
            "Services",
            "EmbeddingServices.",
            "none",
            (Query(f"count({_one_of_each('service_replicas', _OF)})"),),
            "stat",
            4,
        ),
        Panel(
            "Not ready",
            "Services whose condition Ready is not True.",
            "none",
            (Query(f'count(max by (namespace, service) ({_CONDITION}Ready",status!="True"}})) or vector(0)'),),
            "stat",
            4,
            thresholds=(1, 5),
        ),
        Panel(
            "Stalled",
            "Services that wait for a person.",
            "none",
            (Query(f'count(max by (namespace, service) ({_CONDITION}Stalled"}})) or vector(0)'),),
            "stat",
            4,
            thresholds=(1,),
        ),
        Panel(
            "Ready replicas",
            "Of all that are asked for.",
            "percentunit",
            (
                Query(
                    f"sum({_one_of_each('service_ready_replicas', _OF)}) / sum({_one_of_each('service_replicas', _OF)})"
                ),
            ),
            "stat",
            4,
            thresholds=(0.5, 1),
            good=True,
            most=1,
        ),
        Panel(
            "Weights",
            "Bytes that are staged and verified.",
            "bytes",
            (Query(f"sum({_one_of_each('cache_bytes', _IN, 'namespace, cache')})"),),
            "stat",
            4,
        ),
        Panel("Leader", "The replica that works.", "none", (Query(f"{_P}_leader == 1", "{{pod}}"),), "stat", 4),
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
                Query(f"sum({_one_of_each('service_replicas', _OF)})", "asked for"),
                Query(f"sum({_one_of_each('service_ready_replicas', _OF)})", "ready"),
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
                    f"{_one_of_each('service_replicas', _OF)} - {_one_of_each('service_ready_replicas', _OF)}",
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
                    f"{_one_of_each('cache_staging_bytes', _IN, 'namespace, cache')}"
                    f" / {_one_of_each('cache_staging_size_bytes', _IN, 'namespace, cache')}",
                    "{{namespace}}/{{cache}}",
                ),
            ),
            most=1,
        ),
        Panel(
            "Staging speed",
            "How fast weights come.",
            "Bps",
            (
                Query(
                    _one_of_each("cache_staging_bytes_per_second", _IN, "namespace, cache"), "{{namespace}}/{{cache}}"
                ),
            ),
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
                    f"time() - {_one_of_each('cache_verified_timestamp_seconds', _IN, 'namespace, cache')}",
                    "{{namespace}}/{{cache}}",
                ),
            ),
        ),
    ),
)
WORK = Row(
    "Work",
    (
        Panel(
            "Reconciles",
            "A second, by kind and result.",
            "ops",
            (Query(f"sum by (kind, result) (rate({_P}_reconciles_total{_RATE})) > 0", "{{kind}} {{result}}"),),
            stacked=True,
        ),
        Panel("Duration of reconciles", "By kind.", "s", _quantiles("reconcile_seconds", "kind")),
        Panel(
            "Queue",
            "Keys that wait for a worker, those that workers are at, and those for later.",
            "none",
            (
                Query(f"{_P}_queue_depth and on (pod, instance) {_P}_leader == 1", "waiting"),
                Query(f"{_P}_queue_processing and on (pod, instance) {_P}_leader == 1", "worked on"),
                Query(f"{_P}_queue_delayed and on (pod, instance) {_P}_leader == 1", "later"),
            ),
        ),
        Panel(
            "Longest wait and longest work",
            "Of the leader.",
            "s",
            (
                Query(f"{_P}_queue_oldest_seconds and on (pod, instance) {_P}_leader == 1", "first in the queue"),
                Query(f"{_P}_queue_longest_processing_seconds", "at one key {{pod}}"),
            ),
            thresholds=(60, 300),
        ),
        Panel("Wait in the queue", "Before a worker takes a key.", "s", _quantiles("queue_wait_seconds")),
        Panel(
            "Retries and writes",
            "A second. Skipped is what was in force already.",
            "ops",
            (
                Query(f"sum(rate({_P}_queue_retries_total{_RATE}))", "retries"),
                Query(f"sum by (result) (rate({_P}_applies_total{_RATE}))", "{{result}}"),
            ),
        ),
    ),
)
API = Row(
    "API server",
    (
        Panel(
            "Requests",
            "A second, by verb and answer.",
            "reqps",
            (Query(f"sum by (verb, code) (rate({_P}_api_requests_total{_RATE})) > 0", "{{verb}} {{code}}"),),
            stacked=True,
        ),
        Panel(
            "Share that failed",
            "No answer, 5xx, 401 or 429.",
            "percentunit",
            (
                Query(
                    f'(sum(rate({_P}_api_requests_total{{code=~"5..|401|429|none"}}{_RATE})) or vector(0))'
                    f" / sum(rate({_P}_api_requests_total{_RATE}))",
                    "failed",
                ),
            ),
            thresholds=(0.01, 0.05),
            most=1,
        ),
        Panel(
            "Duration of requests", "Until the answer begins, by verb.", "s", _quantiles("api_request_seconds", "verb")
        ),
        Panel(
            "Since watches were heard",
            "Bookmarks come each minute; of own kinds, only news and new beginnings, after 5 minutes, count.",
            "s",
            (Query(f"max by (resource) (time() - {_P}_watch_heard_timestamp_seconds)", "{{resource}}"),),
            thresholds=(300, 600),
        ),
        Panel(
            "News by watches",
            "A second, by kind.",
            "ops",
            (Query(f"sum by (resource) (rate({_P}_watch_events_total{_RATE}))", "{{resource}}"),),
            stacked=True,
        ),
        Panel(
            "Watches that failed, and lists",
            "Within an hour, by kind.",
            "none",
            (
                Query(f"sum by (resource) (increase({_P}_watch_failures_total[1h]))", "failed {{resource}}"),
                Query(f"sum by (resource) (increase({_P}_lists_total[1h]))", "listed {{resource}}"),
            ),
        ),
    ),
)
PROCESS = Row(
    "Process",
    (
        Panel(
            "CPU",
            "Cores, by replica.",
            "none",
            (Query(f"rate(process_cpu_seconds_total{_RATE}) and on (pod, instance) {_P}_build_info", "{{pod}}"),),
        ),
        Panel(
            "Memory",
            "Resident, by replica.",
            "bytes",
            (Query(f"process_resident_memory_bytes and on (pod, instance) {_P}_build_info", "{{pod}}"),),
        ),
        Panel(
            "Objects in the cache",
            "By kind.",
            "none",
            (Query(f"max by (kind) ({_P}_known_objects)", "{{kind}}"),),
        ),
        Panel(
            "Lag of the event loop",
            "How late it is, looked at every second.",
            "s",
            _quantiles("event_loop_lag_seconds"),
            thresholds=(0.5, 1),
        ),
        Panel(
            "Open files",
            "By replica.",
            "none",
            (Query(f"process_open_fds and on (pod, instance) {_P}_build_info", "{{pod}}"),),
        ),
        Panel(
            "Changes of the leader",
            "Within an hour.",
            "none",
            (Query(f"max(increase({_P}_lease_transitions_total[1h]))", "changes"),),
            thresholds=(1, 4),
        ),
    ),
)


def operator() -> dict[str, Any]:
    """The dashboard."""
    return dashboard(
        "embedding-operator",
        "Embeddings / operator",
        "EmbeddingServices and ModelCaches, and the operator that looks after them.",
        [
            variable("namespace", "Namespace", f"label_values({_P}_service_replicas, namespace)"),
            variable("service", "Service", f"label_values({_P}_service_replicas{{{_IN}}}, service)"),
        ],
        (OVERVIEW, SERVICES, WEIGHTS, WORK, API, PROCESS),
    )
