"""What `embedding-operator history` and `rollback` do, with the rights of whoever calls them.

`history` reads. `rollback` writes the spec of a stored revision into its EmbeddingService, and nothing else: what it
does is seen there, can be undone there, and needs no right that editing the service does not.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import yaml

from embedding_operator.api import names
from embedding_operator.api.codec import ApiValueError
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.kube.access import AccessError
from embedding_operator.kube.client import KubeClient
from embedding_operator.kube.connection import connect
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import PODS, REVISIONS, Object, ObjectKey
from embedding_operator.planning import rollback as planned
from embedding_operator.planning.history import Entry, history, short
from embedding_operator.planning.revision import Revision
from embedding_operator.planning.rollback import RollbackError

FIELD_MANAGER = "embedding-operator-rollback"
_COLUMNS = ("CURRENT", "REVISION", "CREATED", "AGE", "PODS", "IMAGE", "VLLM", "WEIGHTS", "CHANGE")
_CHANGES = 3  # in a table


def show_history(kubeconfig: Path | None, namespace: str | None, name: str, output: str) -> int:
    """Print the revisions of a service as a table or as JSON; gives the exit code."""

    async def show(client: KubeClient, key: ObjectKey) -> int:
        await _service(client, key)
        entries = await _entries(client, key)
        if output == "json":
            print(json.dumps([described(entry) for entry in entries], indent=2, ensure_ascii=False))
        else:
            print("\n".join(table(entries, datetime.now(UTC))))
        return 0

    return asyncio.run(_asked("history", kubeconfig, namespace, name, show))


def roll_back(kubeconfig: Path | None, namespace: str | None, name: str, number: int | None, *, dry_run: bool) -> int:
    """Go back to a revision, or show what that would change; gives the exit code."""

    async def go(client: KubeClient, key: ObjectKey) -> int:
        service = await _service(client, key)
        entries = await _entries(client, key)
        chosen = planned.target(entries, service["spec"], number)
        change = planned.patch(service, chosen)
        if "spec" not in change and chosen is entries[-1].revision:
            print(f"emb/{name} is at revision {chosen.number} already")
            return 0
        for line in await _warnings(client, key, service, chosen, change):
            print(f"warning: {line}", file=sys.stderr)
        after = await client.merge_patch(key, change, manager=FIELD_MANAGER, dry_run=dry_run)
        if dry_run:
            print("\n".join(difference(service, after)))
        print(f"emb/{name} rolled back to revision {chosen.number}" + (" (dry run)" if dry_run else ""))
        return 0

    return asyncio.run(_asked("rollback", kubeconfig, namespace, name, go))


async def _asked(
    command: str,
    kubeconfig: Path | None,
    namespace: str | None,
    name: str,
    do: Callable[[KubeClient, ObjectKey], Awaitable[int]],
) -> int:
    """Do it with a client, and say in one line why it cannot be done."""
    try:
        connection = await connect(kubeconfig)
    except AccessError as error:
        print(f"embedding-operator {command}: no way to an API server: {error}", file=sys.stderr)
        return 2
    key = ObjectKey(names.EMBEDDING_SERVICE, namespace or connection.namespace, name)
    try:
        return await do(KubeClient(connection), key)
    except RollbackError as error:
        print(f"embedding-operator {command}: emb/{name}: {error}", file=sys.stderr)
    except ApiError as error:
        told = "it was changed meanwhile, look again" if error.is_conflict else error.message
        print(f"embedding-operator {command}: {told}", file=sys.stderr)
    finally:
        await connection.close()
    return 1


async def _service(client: KubeClient, key: ObjectKey) -> Object:
    service = await client.get(key)
    if service is None:
        raise RollbackError(f"there is no such EmbeddingService in namespace {key.namespace} (-n names another)")
    return service


async def _entries(client: KubeClient, key: ObjectKey) -> list[Entry]:
    selector = f"{names.SERVICE_LABEL}={key.name}"
    stored = await client.list(REVISIONS, key.namespace, selector)
    return history(stored.items, (await client.list(PODS, key.namespace, selector)).items)


async def _warnings(client: KubeClient, key: ObjectKey, service: Object, chosen: Revision, change: Object) -> list[str]:
    cache = await client.get(ObjectKey(names.MODEL_CACHE, key.namespace, str(chosen.weights.get("cache"))))
    try:
        lost = planned.weights_lost(chosen, ModelCache.from_dict(cache) if cache else None)
    except ApiValueError as error:
        lost = f"its ModelCache cannot be read: {error}"
    return [
        *([lost] if lost else []),
        *(
            f"{', '.join(fields)} {'is' if len(fields) == 1 else 'are'} written by {manager}, which may do it again: "
            "change its source, too"
            for manager, fields in planned.writers(
                service["metadata"].get("managedFields") or (), change.get("spec") or {}
            ).items()
        ),
    ]


def table(entries: Iterable[Entry], now: datetime) -> list[str]:
    """As kubectl writes tables."""
    rows = [_COLUMNS, *(_row(entry, now) for entry in entries)]
    if len(rows) == 1:
        return ["no revisions yet: the first is made once the weights are staged"]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return ["   ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _row(entry: Entry, now: datetime) -> tuple[str, ...]:
    resolved, weights = entry.revision.resolved, entry.revision.weights
    more = len(entry.changes) - _CHANGES
    changes = [*entry.changes[:_CHANGES], *([f"and {more} more"] if more > 0 else [])]
    return (
        "*" if entry.current else "",
        str(entry.revision.number),
        entry.created,
        age(entry.created, now),
        f"{entry.ready}/{len(entry.pods)}",
        str(resolved.get("image") or ""),
        str(resolved.get("vllm") or ""),
        short(str(weights.get("revision") or entry.revision.digest)),
        "; ".join(changes),
    )


def described(entry: Entry) -> Object:
    """One revision as JSON."""
    one = entry.revision
    return {
        "revision": one.number,
        "name": one.name,
        "current": entry.current,
        "created": entry.created,
        "image": one.resolved.get("image"),
        "vllm": one.resolved.get("vllm"),
        "weights": one.weights | {"digest": one.digest},
        "changes": list(entry.changes),
        "pods": list(entry.pods),
        "readyPods": entry.ready,
        "spec": one.spec,
    }


def age(created: str, now: datetime) -> str:
    """How long ago, as kubectl tells it in its columns."""
    try:
        seconds = int((now - datetime.fromisoformat(created)).total_seconds())
    except ValueError:
        return "<unknown>"
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{max(0, seconds)}s"


def difference(before: Object, after: Object) -> Iterator[str]:
    """The spec and our annotations before and after, line by line."""
    old, new = (yaml.safe_dump(_compared(obj), width=110).splitlines() for obj in (before, after))
    return difflib.unified_diff(old, new, "now", "after", lineterm="")


def _compared(obj: Object) -> Object:
    annotations = obj["metadata"].get("annotations") or {}
    ours = {
        name: annotations[name] for name in (names.ROLLBACK_ANNOTATION, names.REFRESH_ANNOTATION) if name in annotations
    }
    return {"metadata": {"annotations": ours}, "spec": obj["spec"]}
