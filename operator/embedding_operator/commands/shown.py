"""What pictures of all kinds read of an object's status."""

from __future__ import annotations

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
