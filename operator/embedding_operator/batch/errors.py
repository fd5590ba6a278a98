"""Why a process of a job failed, in the words that reach the user.

A message is one line: what is wrong, where, and what to do. It must never hold a credential or a signed URL.
"""

from __future__ import annotations

from embedding_operator.staging.errors import EXIT_PERMANENT, EXIT_RETRY, StageError

WORTH_ANOTHER_TRY = frozenset({"Unavailable", "Internal", "Unfinished"})


class BatchError(Exception):
    """A reason (CamelCase) for programs, and a message for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    @property
    def exit_code(self) -> int:
        """1 where another attempt of the same pod may do better, 3 where it cannot."""
        return EXIT_RETRY if self.reason in WORTH_ANOTHER_TRY else EXIT_PERMANENT


def from_stager(error: StageError) -> BatchError:
    """What the stager's clients of S3 and HTTP say, as a job's."""
    return BatchError("Unavailable" if error.reason == "HubUnavailable" else error.reason, error.message)


def changed(file: str) -> BatchError:
    """A file that is another one than the one that was cut into shards."""
    return BatchError(
        "FileChanged",
        f"{file} was changed or replaced after the job had listed it: let whatever writes it end, then make the job "
        "again; shards of files that are as they were are kept",
    )
