"""Which pods have waited for longer than is usual. The planner has no clock; it is told their names."""

from collections.abc import Iterable, Mapping
from typing import Any

from embedding_operator.controllers.status import seconds_since
from embedding_operator.planning.pods import waiting_since

USUAL = 60
"""Seconds in which a scheduler looks at a pod, and a kubelet mounts its volumes, where all is well."""


def stuck(pods: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The names of those that have waited too long."""
    return frozenset(pod["metadata"]["name"] for pod in pods if (_waited(pod) or 0) >= USUAL)


def until_stuck(pods: Iterable[Mapping[str, Any]]) -> float | None:
    """In how many seconds another pod will have waited too long, if it goes on waiting."""
    left = [USUAL - waited for pod in pods if (waited := _waited(pod)) is not None and waited < USUAL]
    return float(min(left)) if left else None


def _waited(pod: Mapping[str, Any]) -> int | None:
    since = waiting_since(dict(pod))
    return None if since is None else seconds_since(since)
