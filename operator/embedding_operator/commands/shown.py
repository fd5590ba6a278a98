"""What pictures of all kinds read of an object's status."""

from __future__ import annotations

from collections.abc import Iterator

from embedding_operator.commands.terminal import GREEN, RED, YELLOW, Screen
from embedding_operator.kube.resources import Object

READY, AT_WORK, STALLED = "ready", "at work", "stalled"
COLOURS = {READY: GREEN, AT_WORK: YELLOW, STALLED: RED}


def standing(obj: Object) -> str:
    """One word for it."""
    if condition(obj, "Stalled").get("status") == "True":
        return STALLED
    return READY if condition(obj, "Ready").get("status") == "True" else AT_WORK


def condition(obj: Object, kind: str) -> Object:
    """One of its conditions, empty where it has none of that type."""
    found: Object = next((c for c in status_of(obj).get("conditions") or () if c.get("type") == kind), {})
    return found


def status_of(obj: Object) -> Object:
    """Its status, if anybody wrote one."""
    status: Object = obj.get("status") or {}
    return status


def reason(obj: Object, screen: Screen) -> str:
    """Why it is as it is, in one word."""
    stands = standing(obj)
    colour = YELLOW if condition(obj, "Degraded").get("status") == "True" and stands == READY else COLOURS[stands]
    return screen.paint(colour, str(condition(obj, "Ready").get("reason") or "Pending"))


def model_of(spec: Object) -> str:
    """The model that a service or a job has servers for, as people call it."""
    model = spec.get("model") or {}
    if served := model.get("servedName"):
        return str(served)
    for source in (model.get("source") or {}).values():
        return str(source.get("repo") or source.get("bucket") or source.get("url") or source.get("path") or "")
    return f"cache {(model.get('cacheRef') or {}).get('name')}"


def notes(obj: Object, screen: Screen) -> Iterator[str]:
    """What stands below the row of a service or a job: nothing where all is well."""
    stands = standing(obj)
    if obj["metadata"].get("deletionTimestamp"):
        yield from screen.told("is being deleted", YELLOW)
    if stands != READY:
        told = condition(obj, "Ready").get("message") or "the operator has not looked at it yet: does it run?"
        yield from screen.told(told, COLOURS[stands] if stands == STALLED else "")
