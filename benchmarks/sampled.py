"""`python -m benchmarks.sampled FILE run ...`: the operator, with its stack looked at while it computes.

A signal asks for the stack each time that so much CPU was used, so what waits is not seen, and what runs is slowed down
by little. At the end FILE has a line per stack: its functions from the outermost on, and how often it was seen.
"""

from __future__ import annotations

import signal
import sys
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

from benchmarks.profiling import part_of
from embedding_operator.cli import main

INTERVAL: Final = 0.004  # seconds of CPU; a kernel's clock often ticks no faster

_seen: Counter[tuple[CodeType, ...]] = Counter()


def _look(_: int, frame: FrameType | None) -> None:
    stack: list[CodeType] = []
    while frame is not None:
        stack.append(frame.f_code)
        frame = frame.f_back
    _seen[tuple(stack)] += 1


def _told(stack: tuple[CodeType, ...]) -> str:
    return ";".join(f"{part_of(code.co_filename, code.co_name)}:{code.co_name}" for code in reversed(stack))


if __name__ == "__main__":
    signal.signal(signal.SIGPROF, _look)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)
    try:
        code = main(sys.argv[2:])
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        Path(sys.argv[1]).write_text("".join(f"{_told(stack)} {n}\n" for stack, n in _seen.items()))
    sys.exit(code)
