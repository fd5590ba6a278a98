"""Creates EmbeddingServices as fast as the API server takes them, and watches what becomes of them.

The same for the operator and its peer. What it sees are watches of its own: metadata of the children, and of the
services the columns that `kubectl get` shows. When all is done it lists everything once and checks it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.api import JSON, METADATA, METADATA_LIST, TABLE, Api, Lines
from benchmarks.manifests import CACHES, SERVICES, namespace_of, namespaces, service, service_name
from embedding_operator.kube.resources import EMBEDDING_SERVICES

_CONNECTIONS: Final = 16
SELECTOR: Final = "?labelSelector=app.kubernetes.io/managed-by=embedding-operator"
CHILDREN: Final = {
    "Deployment": "/apis/apps/v1/deployments",
    "Service": "/api/v1/services",
    "ControllerRevision": "/apis/apps/v1/controllerrevisions",
    "PodDisruptionBudget": "/apis/policy/v1/poddisruptionbudgets",
    "ConfigMap": "/api/v1/configmaps",
}


@dataclass(frozen=True)
class Times:
    """Seconds since the first request that created a service."""

    created: float
    children: float
    ready: float


def expected_children(services: int, replicas: int) -> dict[str, int]:
    """How many of each kind must be there in the end; the scripts' ConfigMap is shared by a namespace."""
    counts = dict.fromkeys(CHILDREN, services) | {"ConfigMap": len(namespaces(services))}
    if replicas < 2:
        counts["PodDisruptionBudget"] = 0
    return counts


async def create_and_wait(
    api: Api, indexes: Sequence[int], *, existing: int, replicas: int, seconds: float, check: Callable[[], None]
) -> Times:
    """Create them and wait until every child exists and every status is true; `check` raises if the arm has died.

    `existing` services are there already, and ready.
    """
    everything = existing + len(indexes)
    wanted = {kind: number for kind, number in expected_children(everything, replicas).items() if number}
    children = {kind: asyncio.Event() for kind in wanted}
    ready = asyncio.Event()
    stamps: dict[str, float] = {}
    async with asyncio.TaskGroup() as group:
        rows = Lines(api, f"{SERVICES}?includeObject=None", TABLE)
        watching = [group.create_task(all_ready(rows, everything, replicas, ready))]
        begun = [rows.begun]
        for kind, number in wanted.items():
            lines = Lines(api, CHILDREN[kind] + SELECTOR, METADATA)
            watching.append(group.create_task(_count(lines, number, children[kind])))
            begun.append(lines.begun)
        for event in begun:
            await event.wait()
        began = time.monotonic()

        async def stamp(name: str, *events: asyncio.Event) -> None:
            for event in events:
                await event.wait()
            stamps[name] = time.monotonic() - began

        waiting = [asyncio.create_task(stamp("children", *children.values()))]
        waiting.append(asyncio.create_task(stamp("ready", ready)))
        bodies = [(namespace_of(index), json.dumps(service(index, replicas))) for index in indexes]
        await at_once([("POST", EMBEDDING_SERVICES.path(namespace), body) for namespace, body in bodies], api)
        stamps["created"] = time.monotonic() - began
        await _until_done(waiting, began + seconds, check)
        for task in watching:
            task.cancel()
    return Times(**stamps)


async def _until_done(waiting: list[asyncio.Task[None]], deadline: float, check: Callable[[], None]) -> None:
    pending = set(waiting)
    while pending:
        check()
        if time.monotonic() > deadline:
            raise TimeoutError("the services did not become ready in time")
        _, pending = await asyncio.wait(pending, timeout=1.0)


async def at_once(requests: Iterable[tuple[str, str, str]], api: Api, content_type: str = JSON) -> None:
    """Send them (method, path and body) through some connections."""
    waiting = iter(list(requests))

    async def worker() -> None:
        for method, path, body in waiting:
            await api.send(method, path, body, content_type)

    await asyncio.gather(*(worker() for _ in range(_CONNECTIONS)))


async def _count(lines: Lines, number: int, done: asyncio.Event) -> None:
    seen: set[tuple[str, str]] = set()
    async for line in lines:
        if line.startswith(b'{"type":"ADDED"'):
            metadata = json.loads(line)["object"]["metadata"]
            seen.add((metadata["namespace"], metadata["name"]))
        if len(seen) >= number:
            done.set()


async def all_ready(lines: Lines, services: int, replicas: int, done: asyncio.Event) -> None:
    """Say when so many services are ready with so many replicas, and each time that one becomes so again."""
    ready: set[str] = set()
    columns: dict[str, int] = {}
    async for line in lines:
        table = json.loads(line)["object"]
        if table.get("columnDefinitions"):  # comes with the first event only
            columns = {column["name"]: place for place, column in enumerate(table["columnDefinitions"])}
        for row in table["rows"]:
            cells = row["cells"]
            is_ready = cells[columns["Ready"]] == "True" and cells[columns["Available"]] == replicas
            (ready.add if is_ready else ready.discard)(cells[columns["Name"]])
        if len(ready) == services:
            done.set()


async def verify(api: Api, *, services: int, replicas: int) -> None:
    """List everything once: each child is there, each status is true. Raises with what is not."""
    services_now = await listed(api, SERVICES)
    names = {service_name(index) for index in range(services)}
    wrong = names - {item["metadata"]["name"] for item in services_now if _is_true(item, replicas)}
    if wrong:
        raise RuntimeError(f"the statuses of {len(wrong)} services are not true, of {min(wrong)} for one")
    for kind, number in expected_children(services, replicas).items():
        found = len(await listed(api, CHILDREN[kind] + SELECTOR, METADATA_LIST))
        if found != number:
            raise RuntimeError(f"{found} {kind}s are there instead of {number}")


async def caches_are_ready(api: Api) -> bool:
    """Whether the operator has looked at every staged ModelCache."""
    return all(_condition(item, "Ready") == "True" for item in await listed(api, CACHES))


def _is_true(item: dict[str, Any], replicas: int) -> bool:
    status = item.get("status") or {}
    current = status.get("observedGeneration") == item["metadata"]["generation"]
    return bool(current and status.get("readyReplicas") == replicas and _condition(item, "Ready") == "True")


def _condition(item: dict[str, Any], kind: str) -> str:
    conditions = (item.get("status") or {}).get("conditions") or ()
    return next((str(condition["status"]) for condition in conditions if condition["type"] == kind), "")


async def listed(api: Api, path: str, accept: str = JSON) -> list[dict[str, Any]]:
    """The items of a collection."""
    items: list[dict[str, Any]] = json.loads(await api.send("GET", path, accept=accept))["items"]
    return items
