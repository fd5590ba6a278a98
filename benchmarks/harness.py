"""Creates EmbeddingServices as fast as the API server takes them, and watches what becomes of them.

The same for the operator and its peer. What it sees are watches of its own: metadata of the children, and of the
services the columns that `kubectl get` shows. When all is done it lists everything once and checks it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.api import METADATA, METADATA_LIST, TABLE, Api, Lines
from benchmarks.manifests import NAMESPACE, service, service_name

_CREATING: Final = 16
_SELECTOR: Final = "?labelSelector=app.kubernetes.io/managed-by=embedding-operator"
SERVICES: Final = f"/apis/embedding-operator.io/v1alpha1/namespaces/{NAMESPACE}/embeddingservices"
CACHES: Final = f"/apis/embedding-operator.io/v1alpha1/namespaces/{NAMESPACE}/modelcaches"
_CHILDREN: Final = {
    "Deployment": f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments",
    "Service": f"/api/v1/namespaces/{NAMESPACE}/services",
    "ControllerRevision": f"/apis/apps/v1/namespaces/{NAMESPACE}/controllerrevisions",
    "PodDisruptionBudget": f"/apis/policy/v1/namespaces/{NAMESPACE}/poddisruptionbudgets",
    "ConfigMap": f"/api/v1/namespaces/{NAMESPACE}/configmaps",
}


@dataclass(frozen=True)
class Times:
    """Seconds since the first request that created a service."""

    created: float
    children: float
    ready: float


def expected_children(services: int, replicas: int) -> dict[str, int]:
    """How many of each kind must be there in the end; the scripts' ConfigMap is shared by all."""
    counts = dict.fromkeys(_CHILDREN, services) | {"ConfigMap": 1}
    if replicas < 2:
        counts["PodDisruptionBudget"] = 0
    return counts


async def create_and_wait(
    api: Api, *, existing: int, services: int, replicas: int, seconds: float, check: Callable[[], None]
) -> Times:
    """Create them and wait until every child exists and every status is true; `check` raises if the arm has died.

    `existing` services are there already, numbered from 0, and ready.
    """
    wanted = {kind: number for kind, number in expected_children(existing + services, replicas).items() if number}
    children = {kind: asyncio.Event() for kind in wanted}
    ready = asyncio.Event()
    stamps: dict[str, float] = {}
    async with asyncio.TaskGroup() as group:
        rows = Lines(api, f"{SERVICES}?includeObject=None", TABLE)
        watching = [group.create_task(_all_ready(rows, existing + services, replicas, ready))]
        begun = [rows.begun]
        for kind, number in wanted.items():
            lines = Lines(api, _CHILDREN[kind] + _SELECTOR, METADATA)
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
        await _create(api, existing, services, replicas)
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


async def _create(api: Api, first: int, services: int, replicas: int) -> None:
    bodies = iter([json.dumps(service(index, replicas)) for index in range(first, first + services)])

    async def worker() -> None:
        for body in bodies:
            await api.send("POST", SERVICES, body)

    await asyncio.gather(*(worker() for _ in range(_CREATING)))


async def _count(lines: Lines, number: int, done: asyncio.Event) -> None:
    seen: set[str] = set()
    async for line in lines:
        if line.startswith(b'{"type":"ADDED"'):
            seen.add(json.loads(line)["object"]["metadata"]["name"])
        if len(seen) >= number:
            done.set()


async def _all_ready(lines: Lines, services: int, replicas: int, done: asyncio.Event) -> None:
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
    listed = await _list(api, SERVICES)
    names = {service_name(index) for index in range(services)}
    wrong = names - {item["metadata"]["name"] for item in listed if _is_true(item, replicas)}
    if wrong:
        raise RuntimeError(f"the statuses of {len(wrong)} services are not true, of {min(wrong)} for one")
    for kind, number in expected_children(services, replicas).items():
        found = len(await _list(api, _CHILDREN[kind] + _SELECTOR, METADATA_LIST))
        if found != number:
            raise RuntimeError(f"{found} {kind}s are there instead of {number}")


async def caches_are_ready(api: Api) -> bool:
    """Whether the operator has looked at every staged ModelCache."""
    return all(_condition(item, "Ready") == "True" for item in await _list(api, CACHES))


def _is_true(item: dict[str, Any], replicas: int) -> bool:
    status = item.get("status") or {}
    current = status.get("observedGeneration") == item["metadata"]["generation"]
    return bool(current and status.get("readyReplicas") == replicas and _condition(item, "Ready") == "True")


def _condition(item: dict[str, Any], kind: str) -> str:
    conditions = (item.get("status") or {}).get("conditions") or ()
    return next((str(condition["status"]) for condition in conditions if condition["type"] == kind), "")


async def _list(api: Api, path: str, accept: str = "application/json") -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(await api.send("GET", path, accept=accept))["items"]
    return items
