"""Metrics of the operator itself: its work, its queue, its calls, its watches."""

import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from embedding_operator import __version__
from embedding_operator.controllers.context import Context
from embedding_operator.kube.resources import ALL
from embedding_operator.metrics.text import Family, Metric

_P: Final = "embedding_operator"

BUILD: Final = Metric(f"{_P}_build_info", "gauge", "1, with the versions in its labels.", ("version", "python"))
LEADER: Final = Metric(f"{_P}_leader", "gauge", "1 for the replica that holds the Lease and works, else 0.")
TRANSITIONS: Final = Metric(
    f"{_P}_lease_transitions_total", "counter", "How often another replica took the Lease, as the Lease itself says."
)
SYNCED: Final = Metric(f"{_P}_synced", "gauge", "1 once everything was listed and the cache is full.")
RECONCILES: Final = Metric(
    f"{_P}_reconciles_total", "counter", "Reconciles that ended, by kind and result.", ("kind", "result")
)
SECONDS: Final = Metric(f"{_P}_reconcile_seconds", "histogram", "How long reconciles took.", ("kind",))
DEPTH: Final = Metric(f"{_P}_queue_depth", "gauge", "Keys that wait for a worker.")
DELAYED: Final = Metric(f"{_P}_queue_delayed", "gauge", "Keys to look at later: retries, polls, the resync.")
OLDEST: Final = Metric(f"{_P}_queue_oldest_seconds", "gauge", "How long the first key has waited for a worker.")
WORKING: Final = Metric(f"{_P}_queue_processing", "gauge", "Keys that workers are at.")
LONGEST: Final = Metric(f"{_P}_queue_longest_processing_seconds", "gauge", "How long a worker has been at its key.")
ADDED: Final = Metric(f"{_P}_queue_adds_total", "counter", "Keys that were put into the queue.")
RETRIED: Final = Metric(f"{_P}_queue_retries_total", "counter", "Keys that were put back after a failure.")
WAITED: Final = Metric(f"{_P}_queue_wait_seconds", "histogram", "How long keys waited for a worker.")
CALLS: Final = Metric(
    f"{_P}_api_requests_total",
    "counter",
    "Calls of the API server but for the watches of ModelCaches and RuntimeProfiles, by HTTP status; none if there was "
    "no answer.",
    ("verb", "resource", "code"),
)
CALL_SECONDS: Final = Metric(
    f"{_P}_api_request_seconds", "histogram", "How long calls of the API server took to answer.", ("verb",)
)
WRITES: Final = Metric(
    f"{_P}_applies_total", "counter", "What was done with desired objects; skipped is what was in force.", ("result",)
)
HEARD: Final = Metric(
    f"{_P}_watch_heard_timestamp_seconds",
    "gauge",
    "When a watch was last heard, bookmarks included; of ModelCaches and RuntimeProfiles, news only, and each new "
    "beginning.",
    ("resource",),
)
STARTS: Final = Metric(f"{_P}_watch_starts_total", "counter", "How often a watch was asked for.", ("resource",))
FAILURES: Final = Metric(
    f"{_P}_watch_failures_total", "counter", "Watches that broke, were refused or had expired.", ("resource",)
)
EVENTS: Final = Metric(f"{_P}_watch_events_total", "counter", "News that watches brought.", ("resource",))
LISTS: Final = Metric(f"{_P}_lists_total", "counter", "How often a kind was listed as a whole.", ("resource",))
CACHED: Final = Metric(f"{_P}_known_objects", "gauge", "Objects that the operator remembers.", ("kind",))
REVISIONS: Final = Metric(f"{_P}_rollouts_total", "counter", "New revisions of services that were given to pods.")
STAGINGS: Final = Metric(
    f"{_P}_stagings_total", "counter", "Stagings of weights that ended: Verified, or why they failed.", ("result",)
)
STAGED: Final = Metric(f"{_P}_staged_bytes_total", "counter", "Bytes of weights that were staged and verified.")
STAGING: Final = Metric(
    f"{_P}_staging_seconds", "histogram", "From a stager's first pod until the weights were verified."
)
UNTOLD: Final = Metric(f"{_P}_events_dropped_total", "counter", "Kubernetes Events that were not sent.")
LAG: Final = Metric(f"{_P}_event_loop_lag_seconds", "histogram", "How late the event loop was, looked at every second.")

METRICS: Final = (
    BUILD,
    LEADER,
    TRANSITIONS,
    SYNCED,
    RECONCILES,
    SECONDS,
    DEPTH,
    DELAYED,
    OLDEST,
    WORKING,
    LONGEST,
    ADDED,
    RETRIED,
    WAITED,
    CALLS,
    CALL_SECONDS,
    WRITES,
    HEARD,
    STARTS,
    FAILURES,
    EVENTS,
    LISTS,
    CACHED,
    REVISIONS,
    STAGINGS,
    STAGED,
    STAGING,
    UNTOLD,
    LAG,
)


@dataclass(frozen=True, slots=True)
class Standing:
    """How this replica stands, as the app knows it."""

    leads: bool
    transitions: int
    synced: bool


def families(context: Context, standing: Standing) -> Iterator[Family]:
    """All of METRICS, in that order."""
    meters, queue, calls, watches = context.meters, context.queue, context.client.calls, context.watches
    yield Family(BUILD, [((__version__, platform.python_version()), 1)])
    yield _one(LEADER, standing.leads)
    yield _one(TRANSITIONS, standing.transitions)
    yield _one(SYNCED, standing.synced)
    yield Family(RECONCILES, sorted(meters.reconciles.items()))
    yield Family(SECONDS, [((kind,), seconds) for kind, seconds in sorted(meters.seconds.items())])
    yield _one(DEPTH, len(queue))
    yield _one(DELAYED, queue.delayed)
    yield _one(OLDEST, queue.oldest)
    yield _one(WORKING, queue.processing)
    longest = queue.longest()
    yield _one(LONGEST, longest[1] if longest else 0)
    yield _one(ADDED, queue.added)
    yield _one(RETRIED, queue.retried)
    yield Family(WAITED, [((), queue.waited)])
    yield Family(CALLS, sorted(calls.counts.items()))
    yield Family(CALL_SECONDS, [((verb,), seconds) for verb, seconds in sorted(calls.seconds.items())])
    yield Family(WRITES, [((result,), count) for result, count in sorted(context.applier.counts.items())])
    kinds = list(watches.by_kind())
    expected = [(kind, [one for one in known if one.expected]) for kind, known in kinds]
    since = time.time() - watches.clock()  # the clock of the watches is not the time of day
    yield Family(HEARD, [((kind,), since + min(one.heard for one in known)) for kind, known in expected if known])
    yield Family(STARTS, [((kind,), sum(one.starts for one in known)) for kind, known in kinds])
    yield Family(FAILURES, [((kind,), sum(one.errors for one in known)) for kind, known in kinds])
    yield Family(EVENTS, [((kind,), sum(one.events for one in known)) for kind, known in kinds])
    yield Family(LISTS, [((kind,), count) for kind, count in sorted(meters.lists.items())])
    counted = ((one.kind, context.cache.count(one.kind)) for one in ALL)
    yield Family(CACHED, [((kind,), count) for kind, count in counted if count])
    yield _one(REVISIONS, meters.revisions)
    yield Family(STAGINGS, [((result,), count) for result, count in sorted(meters.stagings.items())])
    yield _one(STAGED, meters.staged_bytes)
    yield Family(STAGING, [((), meters.staging_seconds)])
    yield _one(UNTOLD, context.recorder.dropped)
    yield Family(LAG, [((), meters.lag)])


def _one(metric: Metric, value: float) -> Family:
    return Family(metric, [((), int(value) if isinstance(value, bool) else value)])
