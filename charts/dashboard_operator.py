"""The dashboard of the operator: services and weights first, then how the operator itself is."""

from typing import Any

from charts.dashboard_services import ROWS
from charts.dashboards import RATE, Panel, Query, Row, dashboard, quantiles, variable

_P = "embedding_operator"


def _quantiles(metric: str, by: str = "") -> tuple[Query, ...]:
    """The median and what one of a hundred exceeds."""
    groups = f"{by}, le" if by else "le"
    legend = f"{{{{{by}}}}} " if by else ""
    return quantiles(f"sum by ({groups}) (rate({_P}_{metric}_bucket{RATE}))", legend, 50, 99)


def _of_leader(metric: str) -> str:
    """The standby has a queue, and no workers."""
    return f"{_P}_{metric} and on (pod, instance) {_P}_leader == 1"


def _of_replicas(process: str) -> str:
    """What every process tells, of the operator's."""
    return f"{process} and on (pod, instance) {_P}_build_info"


WORK = Row(
    "Work",
    (
        Panel(
            "Reconciles",
            "A second, by kind and result.",
            "ops",
            (Query(f"sum by (kind, result) (rate({_P}_reconciles_total{RATE})) > 0", "{{kind}} {{result}}"),),
            stacked=True,
        ),
        Panel("Duration of reconciles", "By kind.", "s", _quantiles("reconcile_seconds", "kind")),
        Panel(
            "Queue",
            "Keys that wait for a worker, those that workers are at, and those for later.",
            "none",
            (
                Query(_of_leader("queue_depth"), "waiting"),
                Query(_of_leader("queue_processing"), "worked on"),
                Query(_of_leader("queue_delayed"), "later"),
            ),
        ),
        Panel(
            "Longest wait and longest work",
            "Of the leader.",
            "s",
            (
                Query(_of_leader("queue_oldest_seconds"), "first in the queue"),
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
                Query(f"sum(rate({_P}_queue_retries_total{RATE}))", "retries"),
                Query(f"sum by (result) (rate({_P}_applies_total{RATE}))", "{{result}}"),
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
            (Query(f"sum by (verb, code) (rate({_P}_api_requests_total{RATE})) > 0", "{{verb}} {{code}}"),),
            stacked=True,
        ),
        Panel(
            "Share that failed",
            "No answer, 5xx, 401 or 429, but for evictions, to which budgets say no.",
            "percentunit",
            (
                Query(
                    f'(sum(rate({_P}_api_requests_total{{code=~"5..|401|429|none",verb!="evict"}}{RATE}))'
                    " or vector(0))"
                    f" / sum(rate({_P}_api_requests_total{RATE}))",
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
            "Bookmarks come each minute; of ModelCaches and RuntimeProfiles, only news and new beginnings, after 5 "
            "minutes, count.",
            "s",
            (Query(f"max by (resource) (time() - {_P}_watch_heard_timestamp_seconds)", "{{resource}}"),),
            thresholds=(300, 600),
        ),
        Panel(
            "News by watches",
            "A second, by kind.",
            "ops",
            (Query(f"sum by (resource) (rate({_P}_watch_events_total{RATE}))", "{{resource}}"),),
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
            (Query(_of_replicas(f"rate(process_cpu_seconds_total{RATE})"), "{{pod}}"),),
        ),
        Panel(
            "Memory",
            "Resident, by replica.",
            "bytes",
            (Query(_of_replicas("process_resident_memory_bytes"), "{{pod}}"),),
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
            (Query(_of_replicas("process_open_fds"), "{{pod}}"),),
        ),
        Panel(
            "Changes of the leader",
            "Within an hour.",
            "none",
            (Query(f"max(changes({_P}_lease_transitions_total[1h]))", "changes"),),
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
            variable("service", "Service", f'label_values({_P}_service_replicas{{namespace=~"$namespace"}}, service)'),
        ],
        (*ROWS, WORK, API, PROCESS),
    )
