"""What the processes of a serving pod tell each other by files on a volume of the pod's."""

from __future__ import annotations

import os

DRAIN_FLAG = "/var/run/embedding-operator/draining"


class DrainFlag:
    """Raised by preStop, which is another process."""

    def __init__(self) -> None:
        self.path = os.environ.get("EMBEDDING_OPERATOR_DRAIN_FLAG", DRAIN_FLAG)

    def is_up(self) -> bool:
        """One stat, cheap enough for each response."""
        try:
            os.stat(self.path)  # noqa: PTH116  (the cheap form)
        except OSError:
            return False
        return True
