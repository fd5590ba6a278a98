"""Counts stagings as they end, by what the status of a ModelCache said before and says now."""

from embedding_operator.api.conditions import Reason, Type, find_condition, is_true
from embedding_operator.api.modelcache import ModelCacheStatus
from embedding_operator.controllers.meters import Meters
from embedding_operator.controllers.status import seconds_since

_FAILURES = frozenset({Reason.RETRYING, Reason.DAMAGED})  # that need nobody


def count_staging(meters: Meters, before: ModelCacheStatus, after: ModelCacheStatus) -> None:
    """`before` was known, `after` was written."""
    if after.digest and not before.digest:
        meters.stagings[Reason.VERIFIED] += 1
        meters.staged_bytes += after.bytes or 0
        if after.started_at:
            meters.staging_seconds.observe(seconds_since(after.started_at))
        return
    old, new = find_condition(before.conditions, Type.READY), find_condition(after.conditions, Type.READY)
    if new is None or (old is not None and old.reason == new.reason):
        return
    if is_true(after.conditions, Type.STALLED) or new.reason in _FAILURES:
        meters.stagings[new.reason] += 1
