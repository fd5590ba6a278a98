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
PLUGIN = "[vllm.general_plugins]\nembedding_operator = embedding_operator_lastwords:register\n"


def forget(what: str, left: Path) -> None:
    """Forget an earlier life: an emptyDir outlives a container that was drained and restarted.

    With its drain flag the server would start and never be ready, with nothing to show why; beside its vectors, which
    may be others than those of this start, nobody would embed the probe texts again.
    """
    try:
        left.unlink(missing_ok=True)
    except OSError as error:
        fail(1, f"cannot remove the {what} {left} of an earlier start: {error.strerror}")


def announce_plugin(directory: Path) -> str:
    """Let vLLM find lastwords.py, as it finds all plugins: by a package's metadata on its path. Returns that path.

    A ConfigMap has no directories, so it is written here; a server starts without it as well.
    """
    package = directory / "embedding_operator_plugin-0.dist-info"
    try:
        package.mkdir(parents=True, exist_ok=True)
        (package / "METADATA").write_text("Metadata-Version: 2.1\nName: embedding-operator-plugin\nVersion: 0\n")
        (package / "entry_points.txt").write_text(PLUGIN)
    except OSError as error:
        print(f"embedding-operator launch: without last words: {error}", file=sys.stderr, flush=True)
    return str(directory)


def extend_python_path(environment: dict[str, str], directory: str) -> None:
    """Let vLLM import what lies in this directory.

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
    forget("drain flag", flag)
    forget("vectors", Path(os.environ.get("EMBEDDING_OPERATOR_VECTORS", VECTORS)))
    environment = dict(os.environ)
    extend_python_path(environment, str(Path(__file__).resolve().parent))
    extend_python_path(environment, announce_plugin(flag.parent / "plugins"))
    command = arguments[0]
    try:
        os.execvpe(command, arguments, environment)  # noqa: S606  (no shell is the point)
    except FileNotFoundError:
        fail(127, f"{command}: not found on PATH {os.environ.get('PATH', '')!r}; is this a serving image?")
    except OSError as error:
        fail(126, f"{command}: cannot be run: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
