"""Why a staging run failed, in the words that reach the user.

Each reason is part of the Job's contract with the operator: it decides whether another attempt makes sense.
A message is one line: what is wrong, where, and what to do. It must never hold a credential or a signed URL.
"""

from __future__ import annotations

import errno
import os
from typing import Literal

Reason = Literal[
    "ChecksumMismatch",
    "NotFound",
    "Unauthorized",
    "DiskFull",
    "QuotaExceeded",
    "HubUnavailable",
    "DigestMismatch",
    "BadSource",
    "ReadOnly",
    "PermissionDenied",
    "Internal",
]

EXIT_OK = 0
EXIT_RETRY = 1
EXIT_PERMANENT = 3

WORTH_ANOTHER_TRY: frozenset[Reason] = frozenset({"HubUnavailable", "Internal"})


class StageError(Exception):
    """A failed staging run: a reason for programs and a message for people."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message

    @property
    def exit_code(self) -> int:
        return EXIT_RETRY if self.reason in WORTH_ANOTHER_TRY else EXIT_PERMANENT


def from_os_error(error: OSError, root: str) -> StageError:
    """The volume said no: tell full, read-only and forbidden apart, because each has another remedy."""
    where = error.filename or root
    if error.errno == errno.EDQUOT:
        return StageError(
            "QuotaExceeded",
            f"the quota on the volume at {root} was used up while writing {where}: raise it for user {os.getuid()}, "
            "or remove models that are no longer used; what was fetched is kept",
        )
    if error.errno == errno.ENOSPC:
        return StageError(
            "DiskFull", f"the volume at {root} ran full while writing {where}: enlarge it or free space on it"
        )
    if error.errno == errno.EROFS:
        return StageError("ReadOnly", f"the volume at {root} is mounted read-only: the stager needs a writable claim")
    if error.errno in (errno.EACCES, errno.EPERM):
        return StageError(
            "PermissionDenied",
            f"user {os.getuid()} has no permission to write {where}: set cache.securityContext (runAsUser, runAsGroup, "
            "supplementalGroups or fsGroup) to a user who may; an export that squashes root lets user 0 write nothing",
        )
    if error.errno == errno.EXDEV:
        return StageError(
            "Internal",
            f"{where} is another file system than {root}: what is staged is renamed into place as a whole, so mount "
            "the volume as one",
        )
    return StageError("Internal", f"{where}: {error.strerror or error}")
