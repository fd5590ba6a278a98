"""What a run leaves behind for the operator: one JSON document as the container's termination message.

It must fit into 4096 bytes (the kubelet cuts longer ones, and half a JSON document is none) and never holds
a secret, whatever an error's text contained.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .errors import StageError

LIMIT = 4096
DEFAULT_TERMINATION_LOG = Path("/dev/termination-log")


@dataclass(frozen=True)
class Excluded:
    files: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class StageResult:
    """A directory that is complete and verified."""

    revision: str
    digest: str
    path: str
    files: int
    bytes: int
    excluded: Excluded
    adopted: bool
    mended: int = 0
    """Files of a directory that was there already which had to be fetched again."""
    context: int | None = None
    """The longest input in tokens that the model's own files allow."""


def success_document(result: StageResult) -> str:
    return _dump({"result": "Staged", **asdict(result)})


def clean_document(*, removed: bool, message: str) -> str:
    return _dump({"result": "Removed" if removed else "Kept", "message": message[:1024]})


def failure_document(error: StageError, secrets: Iterable[str] = ()) -> str:
    """The failure as JSON."""
    return reason_document({"result": "Failed", "reason": error.reason}, error.message, secrets)


def reason_document(told: Mapping[str, str], message: str, secrets: Iterable[str] = ()) -> str:
    """What is told, with a message; a long one loses its middle, because both ends tell something."""
    message = redact(" ".join(message.split()), secrets).encode(errors="replace").decode()
    document = {**told, "message": message}
    text = _dump(document)
    keep = len(message)
    while len(text.encode()) > LIMIT:
        keep = keep * 3 // 4
        document["message"] = f"{message[: keep * 2 // 3]} … {message[len(message) - keep // 3 :]}"
        text = _dump(document)
    return text


def redact(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return text


def termination_log(environ: Mapping[str, str]) -> Path | None:
    """Where the message goes. Outside a pod there is no such file, and none is made."""
    if named := environ.get("TERMINATION_LOG"):
        return Path(named)
    return DEFAULT_TERMINATION_LOG if DEFAULT_TERMINATION_LOG.exists() else None


def write_termination_message(path: Path, text: str) -> None:
    if len(text.encode()) > LIMIT:
        raise ValueError("a termination message is longer than the kubelet keeps")
    with path.open("w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        if path.is_file():
            os.fsync(handle.fileno())


def _dump(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
