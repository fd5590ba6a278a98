"""A plugin of vLLM (`vllm.general_plugins`, which launch.py announces): why its engine does not start.

Engine and workers are processes of their own. When one does not start it logs why; then the server that waits for it
ends with a traceback that is longer than the 2 KiB of log that a kubelet keeps. So the first of these errors is put
into the termination message here. vLLM loads plugins in each of its processes.

It must never keep a server from starting, and says nothing of errors that a server survives.
"""

from __future__ import annotations

import logging
import os

TERMINATION_LOG = "/dev/termination-log"
FATAL = ("failed to start", "encountered a fatal error")  # "EngineCore failed to start.", "WorkerProc failed to start."
LIMIT = 1500  # characters; a kubelet keeps 4 KiB, and what comes first tells


class FirstCause(logging.Handler):
    """Writes down the exception of the first fatal error of this container."""

    def __init__(self, path: str) -> None:
        super().__init__(logging.ERROR)
        self.path = path

    def emit(self, record: logging.LogRecord) -> None:
        try:
            error = record.exc_info[1] if record.exc_info else None
            if error is not None and any(words in record.getMessage() for words in FATAL) and self.is_first():
                with open(self.path, "a", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
                    file.write(f"{type(error).__name__}: {error}"[:LIMIT])
        except Exception:  # whatever it is, logging goes on
            return

    def is_first(self) -> bool:
        """A worker's error comes before its engine's, which only says that there was one."""
        return os.stat(self.path).st_size == 0  # noqa: PTH116  (and no file is no container)


def register() -> None:
    """Called by vLLM, in each process."""
    logger = logging.getLogger("vllm")
    if not any(isinstance(handler, FirstCause) for handler in logger.handlers):
        logger.addHandler(FirstCause(os.environ.get("EMBEDDING_OPERATOR_TERMINATION_LOG", TERMINATION_LOG)))
