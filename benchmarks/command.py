"""What the commands that measure on control planes of their own have in common."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cluster.errors import ClusterError


def run(measure: Callable[[Path], None], logs: Path | None) -> int:
    """Measure, with a directory for what the processes log. Returns the exit code; what went wrong is told."""
    try:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
            directory = (logs or Path(scratch)).absolute()
            directory.mkdir(parents=True, exist_ok=True)
            measure(directory)
    except (ClusterError, RuntimeError, TimeoutError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    return 0


def sizes(text: str) -> list[int]:
    """Numbers of services, each once; 0 is none."""
    parts = text.split(",")
    if not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text} is not what it takes: numbers of services, like 100,500")
    return [size for size in dict.fromkeys(map(int, parts)) if size]


def say(text: str) -> None:
    """How far it is."""
    print(text, file=sys.stderr, flush=True)


def keep(path: Path | None, figures: dict[str, Any]) -> None:
    """As JSON, where that was asked for."""
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures, indent=1) + "\n")
