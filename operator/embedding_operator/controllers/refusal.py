"""What stands against a plan: the API server's words, a stranger's object, a manifest that cannot be read.

Each becomes a status that a person can act on. Nothing here decides what is desired.
"""

from embedding_operator.api.codec import ApiValueError
from embedding_operator.api.conditions import Condition, Reason, Type
from embedding_operator.controllers.context import Context
from embedding_operator.controllers.status import write_status
from embedding_operator.kube.errors import ApiError, NameTaken
from embedding_operator.kube.resources import Object
from embedding_operator.planning.causes import shortened
from embedding_operator.planning.errors import PlanError

_MOST = 4000  # characters of an API server's words: it may name a hundred fields, and a status has room for 32 KiB
LOOK_AGAIN = 15.0  # seconds until a name that a stranger has is tried again: nobody tells us when it is free


def problem_of(error: NameTaken | ApiError) -> PlanError | None:
    """What only a person can mend, or None where another try may do without anybody being told."""
    if isinstance(error, NameTaken):
        return PlanError(Reason.NAME_TAKEN, f"{error}: delete or rename it, or rename this object")
    passes = error.is_namespace_ending or error.is_kind_new or error.is_unauthorized
    if error.is_invalid or (error.is_forbidden and not passes):
        return PlanError(Reason.APPLY_REFUSED, f"the API server refused: {shortened(error.message, _MOST)}")
    return None


def try_again(error: NameTaken | ApiError) -> float | None:
    """After the problem was told: when to look again. What an administrator may lift (a quota) is raised again."""
    if isinstance(error, NameTaken):
        return LOOK_AGAIN
    if error.is_forbidden:
        raise error  # the queue tries again, less and less often
    return None


async def refuse(context: Context, obj: Object, problem: str) -> None:
    """A stored object that this version cannot read: say which field, and wait for a person."""
    generation = obj["metadata"].get("generation")
    conditions = (
        Condition(Type.READY, "False", Reason.INVALID_SPEC, problem, generation),
        Condition(Type.STALLED, "True", Reason.INVALID_SPEC, problem, generation),
    )
    await write_status(context, obj, _conditions_of(obj), conditions, {"observedGeneration": generation})


def _conditions_of(obj: Object) -> tuple[Condition, ...]:
    try:
        return tuple(Condition.from_dict(one) for one in (obj.get("status") or {}).get("conditions") or ())
    except ApiValueError:
        return ()  # the status may be what cannot be read
