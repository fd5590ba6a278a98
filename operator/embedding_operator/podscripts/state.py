"""What the processes of a serving pod tell each other by files on a volume of the pod's."""

from __future__ import annotations

import contextlib
import os

TERMINATION_LOG = "/dev/termination-log"
DRAIN_FLAG = "/var/run/embedding-operator/draining"
VECTORS = "/var/run/embedding-operator/vectors.json"  # of the probe texts, as the startup probe measured them


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


class LastWords:
    """What the kubelet puts into the pod's status once the container has ended; without any it takes the log's tail."""

    def __init__(self) -> None:
        self.path = os.environ.get("EMBEDDING_OPERATOR_TERMINATION_LOG", TERMINATION_LOG)
        self.said = False

    def say(self, words: str) -> None:
        self.said = True
        self._write(words)

    def take_back(self) -> None:
        if self.said:
            self.said = False
            self._write("")

    def _write(self, words: str) -> None:
        with contextlib.suppress(OSError), open(self.path, "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(words)
