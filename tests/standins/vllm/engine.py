"""The double's engine: a bounded number of inputs at a time, each as long as it was told; and vLLM's way to stop.

It must never finish what is in flight once stopped: that vLLM loses those requests is what the drain is for.
"""

import asyncio
import math
import time
from collections import Counter

from tests.standins.vllm.measured import Measured


class EngineStoppedError(Exception):
    """What clients get with --shutdown-timeout: the pool for post-processing is gone before the engine is."""


class Engine:
    def __init__(
        self,
        *,
        latency: float,
        max_num_seqs: int,
        shutdown_timeout: float,
        latency_per_token: float = 0.0,
        hangs_after: float = math.inf,
    ) -> None:
        self.latency = latency
        self.latency_per_token = latency_per_token
        self.hangs_after = hangs_after  # so many inputs
        self.shutdown_timeout = shutdown_timeout
        self.running = 0
        self.waiting = 0
        self.counts: Counter[str] = Counter()
        self.latencies = {name: Measured() for name in ("e2e_request_latency", "request_queue_time")}
        self.latencies |= {name: Measured() for name in ("request_inference_time", "request_prefill_time")}
        self.step_tokens = Measured((1.0, 8.0, 64.0, 512.0, 4096.0))
        self._slots = asyncio.Semaphore(max_num_seqs)
        self._stopped = False

    async def run(self, inputs: list[list[int]]) -> None:
        """One engine request per input, so a request of many inputs moves the gauges by many."""
        await asyncio.gather(*(self._one(tokens) for tokens in inputs))

    async def _one(self, tokens: list[int]) -> None:
        self.waiting += 1
        arrived = time.monotonic()
        try:
            await self._slots.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        began = time.monotonic()
        try:
            await asyncio.sleep(self.latency + len(tokens) * self.latency_per_token)
            if self._stopped:
                await self._lose()
            if self.counts["success"] >= self.hangs_after:
                await asyncio.Event().wait()  # as a device that hangs: nothing comes back, and nobody is told
            self.counts["prompt_tokens"] += len(tokens)
            self.counts["success"] += 1
            self._measure(arrived, began, len(tokens))
        finally:
            self.running -= 1
            self._slots.release()

    def _measure(self, arrived: float, began: float, tokens: int) -> None:
        now = time.monotonic()
        self.latencies["e2e_request_latency"].observe(now - arrived)
        self.latencies["request_queue_time"].observe(began - arrived)
        self.latencies["request_inference_time"].observe(now - began)
        self.latencies["request_prefill_time"].observe(now - began)
        self.step_tokens.observe(tokens)  # one input a step

    async def _lose(self) -> None:
        if self.shutdown_timeout:
            raise EngineStoppedError("cannot schedule new futures after shutdown")
        await asyncio.Event().wait()  # hangs until the client gives up or the process is killed

    def stop(self) -> None:
        self._stopped = True
