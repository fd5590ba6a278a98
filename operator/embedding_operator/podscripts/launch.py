"""Starts the server in a serving pod: `python3 embedding_operator_launch.py vllm serve ...`.

It prepares what only the running container can know, then becomes the command (exec, so that the server gets
the signals and the exit code is the server's own). It must never add a flag or a setting of its own: what the
server runs with is in the pod's manifest, where people look for it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

DRAIN_FLAG = "/var/run/embedding-operator/draining"
VECTORS = "/var/run/embedding-operator/vectors.json"


def forget(left: Path) -> None:
    """Forget an earlier life: an emptyDir outlives a container that was drained and restarted."""
    left.unlink(missing_ok=True)


def extend_python_path(environment: dict[str, str], directory: str) -> None:
    """Let vLLM import the middleware beside this file.

    Appended, because the CANN images need their own entries of PYTHONPATH first.
    """
    before = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = f"{before}{os.pathsep}{directory}" if before else directory


def fail(status: int, message: str) -> NoReturn:
    print(f"embedding-operator launch: {message}", file=sys.stderr, flush=True)
    sys.exit(status)


def main(arguments: list[str]) -> NoReturn:
    if not arguments:
        fail(2, "no command given; write it after the script, as in: launch.py vllm serve /models/name")
    flag = Path(os.environ.get("EMBEDDING_OPERATOR_DRAIN_FLAG", DRAIN_FLAG))
    try:
        forget(flag)
    except OSError as error:
        # With the flag in place the server would start and never be ready, with nothing to show why.
        fail(1, f"cannot remove the drain flag {flag} of an earlier start: {error.strerror}")
    vectors = Path(os.environ.get("EMBEDDING_OPERATOR_VECTORS", VECTORS))
    try:
        forget(vectors)
    except OSError as error:
        # The vectors of this start may be others, and nobody would embed the probe texts again.
        fail(1, f"cannot remove the vectors {vectors} of an earlier start: {error.strerror}")
    environment = dict(os.environ)
    extend_python_path(environment, str(Path(__file__).resolve().parent))
    command = arguments[0]
    try:
        os.execvpe(command, arguments, environment)  # noqa: S606  (no shell is the point)
    except FileNotFoundError:
        fail(127, f"{command}: not found on PATH {os.environ.get('PATH', '')!r}; is this a serving image?")
    except OSError as error:
        fail(126, f"{command}: cannot be run: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
