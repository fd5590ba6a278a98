"""How late the event loop is, and where it hangs when it does.

Everything runs in one loop: while that is blocked nothing is reconciled, the Lease runs out and /healthz does not
answer, which is how the kubelet finds out. Before that, a thread writes down where the loop is.
"""

import asyncio
import logging
import sys
import threading
import time
import traceback

from embedding_operator.metrics.histogram import Histogram

logger = logging.getLogger(__name__)

_BEAT = 1.0  # seconds
BLOCKED = 5.0  # seconds without a beat, after which it is told


class Heartbeat:
    """`await run(lag)` in the loop that is to be watched."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._over = threading.Event()
        self._loop_thread = threading.get_ident()

    async def run(self, lag: Histogram) -> None:
        """Beat until cancelled, and observe how late each beat was."""
        self._loop_thread, self._last = threading.get_ident(), time.monotonic()
        watcher = threading.Thread(target=self._watch, name="heartbeat", daemon=True)
        watcher.start()
        try:
            while True:
                due = time.monotonic() + _BEAT
                await asyncio.sleep(_BEAT)
                self._last = time.monotonic()
                lag.observe(max(0.0, self._last - due))
        finally:
            self._over.set()

    def _watch(self) -> None:
        told = 0.0
        while not self._over.wait(_BEAT):
            seconds = time.monotonic() - self._last
            if seconds > BLOCKED and told != self._last:
                told = self._last
                logger.error("the event loop has been blocked for %.0f s; it is here:\n%s", seconds, self._place())

    def _place(self) -> str:
        frame = sys._current_frames().get(self._loop_thread)
        return "".join(traceback.format_stack(frame)).rstrip() if frame else "unknown"
