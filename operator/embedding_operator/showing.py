"""What `embedding-operator status` prints: a line for each ModelCache and service, with a bar while weights are staged.

It reads and never writes, with the rights of whoever calls it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from embedding_operator.kube.client import KubeClient
from embedding_operator.kube.connection import connect
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import EMBEDDING_SERVICES, MODEL_CACHES, Object

EVERY = 2.0  # seconds between two looks
_BAR = 24


def lines(caches: Iterable[Object], services: Iterable[Object], width: int = 120) -> list[str]:
    """The whole picture, cut to the width of the terminal."""
    rows = [_line("mcache", obj, _progress(obj)) for obj in caches] + [_line("emb", obj, "") for obj in services]
    return [row[:width] for row in rows] or ["no ModelCaches and no EmbeddingServices here"]


def bar(percent: int) -> str:
    """How much of it is done, to be seen at a glance."""
    done = max(0, min(100, percent)) * _BAR // 100
    return f"[{'#' * done}{'.' * (_BAR - done)}] {percent:3d} %"


def _line(kind: str, obj: Object, progress: str) -> str:
    metadata = obj["metadata"]
    ready: Object = next((c for c in _status(obj).get("conditions") or () if c.get("type") == "Ready"), {})
    told = progress or " ".join(str(ready.get("message") or "not yet looked at").split())
    return f"{metadata.get('namespace')}/{kind}/{metadata['name']}  {ready.get('reason') or 'Pending'}  {told}"


def _progress(obj: Object) -> str:
    at = _status(obj).get("progress") or {}
    if not at.get("totalBytes"):
        return ""
    text = f"{bar(at.get('percent') or 0)}  {_gigabytes(at.get('bytes'))} of {_gigabytes(at['totalBytes'])} GB"
    if at.get("bytesPerSecond"):
        text += f"  {at['bytesPerSecond'] / 1e6:.0f} MB/s"
    return text + (f"  {at['secondsLeft']} s left" if "secondsLeft" in at else "")


def _gigabytes(count: Any) -> str:
    return f"{(count or 0) / 1e9:.2f}"


def _status(obj: Object) -> Object:
    status: Object = obj.get("status") or {}
    return status


async def show(kubeconfig: Path | None, namespace: str | None, *, watch: bool, out: TextIO | None = None) -> int:
    """Print it once, or over and over in the same place until interrupted; gives the exit code."""
    out = out or sys.stdout
    connection = await connect(kubeconfig)
    try:
        client = KubeClient(connection)
        before: list[str] = []
        while True:
            now = await _look(client, namespace)
            if now != before:
                redraw(now, before, out)
            if not watch:
                return 0
            before = now
            await asyncio.sleep(EVERY)
    except ApiError as error:
        print(f"embedding-operator status: {error.message}", file=sys.stderr)
        return 1
    finally:
        await connection.close()


async def _look(client: KubeClient, namespace: str | None) -> list[str]:
    caches = await client.list(MODEL_CACHES, namespace)
    services = await client.list(EMBEDDING_SERVICES, namespace)
    return lines(caches.items, services.items)


def redraw(now: Sequence[str], before: Sequence[str], out: TextIO) -> None:
    """In the place of what was there, on a terminal; below it, in a file."""
    if before and out.isatty():
        out.write(f"\x1b[{len(before)}F\x1b[J")
    out.write("\n".join(now) + "\n")
    out.flush()
