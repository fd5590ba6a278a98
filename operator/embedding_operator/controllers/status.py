"""Writes the status of our own kinds, and tells a transition as an Event."""

from datetime import UTC, datetime

from embedding_operator.api import names
from embedding_operator.api.conditions import Condition, Reason, Type, find_condition, is_true, merge_conditions
from embedding_operator.controllers.context import Context
from embedding_operator.kube.resources import Object

_WARNINGS = frozenset(
    {
        Reason.UNSCHEDULABLE,
        Reason.IMAGE_PULL_FAILED,
        Reason.CRASH_LOOPING,
        Reason.PROBE_FAILED,
        Reason.PODS_REFUSED,
        Reason.VOLUMES_NOT_MOUNTED,
        Reason.CLAIM_NOT_FOUND,
        Reason.SECRET_NOT_FOUND,
        Reason.RETRYING,
        Reason.DAMAGED,
    }
)


def clock() -> datetime:
    """What time it is."""
    return datetime.now(UTC)


def seconds_since(time: str | None) -> int:
    """How long ago a time of the API was; 0 where there is none that can be read."""
    try:
        then = datetime.fromisoformat(time or "")
    except ValueError:
        return 0
    if then.tzinfo is None:
        return 0
    return max(0, int((clock() - then).total_seconds()))


def now() -> str:
    """The time as conditions write it."""
    return clock().strftime("%Y-%m-%dT%H:%M:%SZ")


async def write_status(
    context: Context, obj: Object, old: tuple[Condition, ...], new: tuple[Condition, ...], status: Object
) -> None:
    """Apply `status` with its conditions `new`, if that says anything that `obj` does not say yet."""
    conditions = merge_conditions(old, new, now())
    metadata = obj["metadata"]
    await context.applier.apply_status(
        {
            "apiVersion": names.API_VERSION,
            "kind": obj["kind"],
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]},
            "status": status | {"conditions": [condition.to_dict() for condition in conditions]},
        }
    )
    _tell(context, obj, find_condition(old, Type.READY), conditions)
    degraded = find_condition(conditions, Type.DEGRADED)
    if degraded is not None and is_true(conditions, Type.DEGRADED) and not is_true(old, Type.DEGRADED):
        context.recorder.emit(obj, "Warning", degraded.reason, "Reconcile", degraded.message)


def _tell(context: Context, obj: Object, before: Condition | None, after: tuple[Condition, ...]) -> None:
    ready = find_condition(after, Type.READY)
    if ready is None or (before and (before.status, before.reason) == (ready.status, ready.reason)):
        return
    warning = is_true(after, Type.STALLED) or ready.reason in _WARNINGS
    context.recorder.emit(obj, "Warning" if warning else "Normal", ready.reason, "Reconcile", ready.message)
