"""What `embedding-operator status` prints: a line for each ModelCache and service, with a bar while weights are staged.

It reads and never writes, with the rights of whoever calls it.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from embedding_operator.kube.client import KubeClient
from embedding_operator.kube.connection import connect
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import EMBEDDING_SERVICES, MODEL_CACHES, Object
from embedding_operator.planning.cacheplan import human_bytes

EVERY = 2.0  # seconds between two looks
_BAR = 24
_AWAY = "as of a while ago: "


def lines(caches: Iterable[Object], services: Iterable[Object], width: int | None = None) -> list[str]:
    """The whole picture: whose, how it stands, and in words; cut to the width of a terminal, if one is given."""
    rows = [_row("mcache", obj, _progress(obj)) for obj in caches] + [_row("emb", obj, "") for obj in services]
    if not rows:
        return ["no ModelCaches and no EmbeddingServices here"]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return [f"{name:{widths[0]}}  {reason:{widths[1]}}  {told}"[:width] for name, reason, told in rows]


def bar(percent: int) -> str:
    """How much of it is done, to be seen at a glance."""
    done = max(0, min(100, percent)) * _BAR // 100
    return f"[{'#' * done}{'.' * (_BAR - done)}] {percent:3d} %"


def _row(kind: str, obj: Object, progress: str) -> tuple[str, str, str]:
    metadata = obj["metadata"]
    ready: Object = next((c for c in _status(obj).get("conditions") or () if c.get("type") == "Ready"), {})
    reason = str(ready.get("reason") or "Pending")
    told = progress or " ".join(str(ready.get("message") or "not yet looked at").split())
    if metadata.get("deletionTimestamp"):
        told = f"is being deleted; {told}"
    return f"{metadata.get('namespace')}/{kind}/{metadata['name']}", reason, told


def _progress(obj: Object) -> str:
    at = _status(obj).get("progress") or {}
    if not at.get("totalBytes"):
        return ""
    done, total = human_bytes(at.get("bytes") or 0), human_bytes(at["totalBytes"])
    text = f"{bar(at.get('percent') or 0)}  {done} of {total}"
    if at.get("bytesPerSecond"):
        text += f"  {human_bytes(at['bytesPerSecond'])}/s"
    return text + (f"  {duration(at['secondsLeft'])} left" if "secondsLeft" in at else "")


def duration(seconds: int) -> str:
    """As people say it: 40 s, 12 min, 3 h 20 min."""
    if seconds < 100:
        return f"{seconds} s"
    minutes = -(-seconds // 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


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
            now = await _look(client, namespace, before if watch else [], out)
            if now != before:
                redraw(now, before, out)
            if not watch:
                return 0
            before = now
            await asyncio.sleep(EVERY)
    except ApiError as error:
        print(f"embedding-operator status: {_in_words(error)}", file=sys.stderr)
        return 1
    finally:
        await connection.close()


async def _look(client: KubeClient, namespace: str | None, before: Sequence[str], out: TextIO) -> list[str]:
    """How things stand; while the API server is away, what was seen last, and that it is."""
    size = shutil.get_terminal_size() if out.isatty() else None
    try:
        caches = await client.list(MODEL_CACHES, namespace)
        services = await client.list(EMBEDDING_SERVICES, namespace)
    except ApiError as error:
        if not (before and error.is_temporary):
            raise
        return [
            *(line for line in before if not line.startswith(_AWAY)),
            f"{_AWAY}{error.message}"[: size and size.columns],
        ]
    picture = lines(caches.items, services.items, size and size.columns)
    return picture if size is None else fitted(picture, size.lines)


def fitted(picture: Sequence[str], height: int) -> list[str]:
    """As much as can be drawn over again: what scrolled out of a terminal, or wraps, cannot."""
    room = max(2, height - 2)  # for the cursor, and for a word on an API server that is away
    if len(picture) <= room:
        return list(picture)
    return [*picture[: room - 1], f"… and {len(picture) - room + 1} more: name a --namespace"]


def _in_words(error: ApiError) -> str:
    if error.is_not_found:
        return "the API server knows no ModelCaches and EmbeddingServices: is embedding-operator installed there?"
    return error.message


def redraw(now: Sequence[str], before: Sequence[str], out: TextIO) -> None:
    """In the place of what was there, on a terminal; below it, in a file."""
    if before and out.isatty():
        out.write(f"\x1b[{len(before)}F\x1b[J")
    out.write("\n".join(now) + "\n")
    out.flush()
