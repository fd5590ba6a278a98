"""How jobs stand, as lines of `status`: a table, and below each row a bar while it runs, or the sentence that says why
it does not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from embedding_operator.commands.ages import age
from embedding_operator.commands.shown import condition, model_of, notes, reason, status_of
from embedding_operator.commands.terminal import Screen, cut, duration
from embedding_operator.kube.resources import Object


def jobs_table(jobs: Sequence[Object], screen: Screen, now: datetime, *, namespaces: bool, wide: bool) -> list[str]:
    """A row for each, with what stands below it."""
    header = [*(["NAMESPACE"] if namespaces else []), "JOB", "STATUS", "ROWS", "ERRORS", "WORKERS", "AGE", "BY"]
    header += ["SHARDS", "MANIFEST"] if wide else []
    place = [[str(one["metadata"].get("namespace"))] if namespaces else [] for one in jobs]
    rows = [at + _row(one, screen, now, wide) for at, one in zip(place, jobs, strict=True)]
    lines = screen.table(header, rows)
    shown = [lines[0]]
    for line, one in zip(lines[1:], jobs, strict=True):
        at = bar(one, screen)
        shown += [line, *([cut(f"  {at}", screen.width)] if at else notes(one, screen))]
    return shown


def bar(obj: Object, screen: Screen) -> str:
    """How far it is, with how fast and how long; empty for one that does not embed."""
    status = status_of(obj)
    at = status.get("progress") or {}
    if condition(obj, "Ready").get("reason") not in ("Embedding", "Finishing") or at.get("percent") is None:
        return ""
    text = f"{screen.bar(at['percent'])}  {status.get('rows') or 0:,} rows"
    if at.get("rowsPerSecond"):
        text += f"  {at['rowsPerSecond']:,} rows/s"
    return text + (f"  {duration(at['secondsLeft'])} left" if "secondsLeft" in at else "")


def _row(obj: Object, screen: Screen, now: datetime, wide: bool) -> list[str]:
    status, spec = status_of(obj), obj.get("spec") or {}
    workers, shards = status.get("workers") or {}, status.get("shards") or {}
    cells = [
        obj["metadata"]["name"],
        reason(obj, screen),
        f"{status['rows']:,}" if "rows" in status else "",
        f"{status['errors']:,}" if "errors" in status else "",
        f"{workers.get('active') or 0}/{spec.get('parallelism') or 1}",
        age(obj["metadata"].get("creationTimestamp") or "", now),
        _by(spec),
    ]
    if not wide:
        return cells
    done = f"{shards.get('done') or 0}/{shards['total']}" if "total" in shards else ""
    return [*cells, done, str(status.get("manifest") or "")]


def _by(spec: Object) -> str:
    """What embeds."""
    if service := (spec.get("serviceRef") or {}).get("name"):
        return f"service {service}"
    return model_of(spec)
