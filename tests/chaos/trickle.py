"""A steady trickle of requests through a Service, from keep-alive clients that never retry.

They run on this machine, so neither a lost node nor an API server that is away takes them along.
"""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Any

from tests.standins.load import Load, Result


class Trickle:
    """`with Trickle(url, model) as trickle: ...`; `failed` counts while it runs."""

    def __init__(self, url: str, model: str) -> None:
        self._load = Load(f"{url}/embeddings", model, clients=4, seconds=3600, timeout=10, pause=0.25)
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def result(self) -> Result:
        return self._load.result

    @property
    def failed(self) -> int:
        return self._load.result.failed

    def told(self) -> dict[str, Any]:
        """What came of it, for the report."""
        summary = self._load.result.summary()
        return {name: summary[name] for name in ("requests", "failed", "errors", "connections")}

    def __enter__(self) -> Trickle:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._load.stop()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        asyncio.run(self._load.run())
