"""What the demo shows: headings, notes, commands and their output, and a line that moves while something runs."""

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from embedding_operator.commands.status import redraw
from embedding_operator.commands.terminal import Screen

_COLOUR = sys.stdout.isatty()
_INDENT = " " * 5  # as of what a command printed


def heading(text: str) -> None:
    print(f"\n{_bold('== ' + text)}", flush=True)


def note(text: str) -> None:
    print(f"   {text}", flush=True)


def shell(command: str, output: str) -> None:
    """A command as a person would type it, and what it printed."""
    print(f"   {_bold('$ ' + command)}")
    for line in output.rstrip().splitlines():
        print(f"{_INDENT}{line}")
    sys.stdout.flush()


def is_terminal() -> bool:
    return sys.stdout.isatty()


class Moving:
    """Lines that stay in their place while what they say changes."""

    def __init__(self, out: TextIO | None = None) -> None:
        self.screen = Screen(out or sys.stdout, margin=len(_INDENT))
        self._shown: list[str] = []

    def show(self, lines: Sequence[str]) -> None:
        now = [_INDENT + line for line in lines]
        if now != self._shown:
            redraw(now, self._shown, self.screen)
            self._shown = now


@contextmanager
def ticking(text: str, every: float = 10.0) -> Iterator[None]:
    """Say that something goes on, and for how long, while the block runs."""
    began, stop = time.monotonic(), threading.Event()

    def tick() -> None:
        while not stop.wait(every):
            note(f"… {text}, {time.monotonic() - began:.0f} s")

    thread = threading.Thread(target=tick, daemon=True)
    note(f"{text} …")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    note(f"done: {text}, {time.monotonic() - began:.0f} s")


def _bold(text: str) -> str:
    return f"\033[1m{text}\033[0m" if _COLOUR else text
