"""A line that shows a long step is alive: rewritten in place on a terminal, repeated in a log."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TICK_ON_TERMINAL = 1.0
TICK_IN_LOG = 15.0


@contextmanager
def ticking(label: str, detail: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Show ``label``, the seconds gone and ``detail()`` until the block ends."""
    started = time.monotonic()
    terminal = sys.stdout.isatty()
    done = threading.Event()

    def line(state: str) -> str:
        extra = detail()
        return f"  {label}: {state} {time.monotonic() - started:.0f} s" + (f", {extra}" if extra else "")

    def tick() -> None:
        while not done.wait(TICK_ON_TERMINAL if terminal else TICK_IN_LOG):
            print(f"\r\033[K{line('')}" if terminal else line("..."), end="" if terminal else "\n", flush=True)

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    outcome = "failed after"
    try:
        yield
        outcome = "done in"
    finally:
        done.set()
        ticker.join()
        print(("\r\033[K" if terminal else "") + line(outcome), flush=True)
