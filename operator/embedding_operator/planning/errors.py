"""The one error that planning raises: something only a person can mend."""

from embedding_operator.api.conditions import Reason


class PlanError(Exception):
    """A wish that cannot be planned. It becomes `Stalled` with this reason and message, and an Event.

    The message says in one line what is wrong, where, and what to do.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
