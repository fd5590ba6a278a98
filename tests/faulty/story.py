"""What users do in a namespace, step by step; each waits for what must come of the one before.

The same for every seed, so that all namespaces end alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.faulty.direct import Direct, Object

Happens = Callable[[], Awaitable[bool]]


async def tell(users: Direct, *, seconds: float) -> None:
    """All of it, each step within so many seconds."""

    async def until(what: str, happens: Happens) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not await happens():  # noqa: ASYNC110 - what is waited for is not in this process
                    await asyncio.sleep(0.3)
        except TimeoutError:
            told = [(one["metadata"]["name"], ready_of(one)) for one in await users.items("emb")]
            raise AssertionError(f"{users.namespace}: not within {seconds} s: {what}; services: {told}") from None

    await users.create("pvc", claim())
    await users.create("emb", service("a", "Qwen/Qwen3-Embedding-0.6B", replicas=2))
    await users.create("emb", service("b", "Qwen/Qwen3-Embedding-0.6B"))
    await users.create("emb", service("c", "Qwen/Qwen3-Embedding-4B"))
    await until("a, b and c serve", lambda: serving(users, a=2, b=1, c=1))

    await users.patch("emb", "a", {"spec": {"replicas": 3}})
    await users.patch("emb", "b", {"spec": {"runtime": {"env": [{"name": "A", "value": "1"}]}}})
    await users.delete("emb", "c")
    await users.create("emb", service("d", "Qwen/Qwen3-Embedding-4B", replicas=2))
    await until("a has three, b is of the new making, c is gone, d serves", lambda: second(users))

    await users.delete("service", "b")
    await users.patch("deployment", "d", {"spec": {"replicas": 7}})
    await users.patch("emb", "a", {"spec": {"suspend": True}})
    await users.create("emb", service("c", "Qwen/Qwen3-Embedding-0.6B"))
    await until("b has its Service, d its two, a rests, c serves again", lambda: third(users))

    await users.patch("emb", "a", {"spec": {"suspend": False, "replicas": 1}})
    await users.delete("emb", "d")
    await until("a serves one, d is gone", lambda: fourth(users))


async def second(users: Direct) -> bool:
    """Also whether what is left of `c` has been collected, and both revisions of `b` are kept."""
    revisions = await users.items("revision", "embedding-operator.io/service=b")
    return len(revisions) == 2 and await gone(users, "c") and await serving(users, a=3, b=1, d=2)


async def third(users: Direct) -> bool:
    found, deployment = await users.get("service", "b"), await users.get("deployment", "d")
    resting = ready_of(await users.get("emb", "a")).startswith("Suspended")
    back = bool(found) and deployment["spec"]["replicas"] == 2
    return back and resting and await serving(users, b=1, c=1, d=2)


async def fourth(users: Direct) -> bool:
    return await gone(users, "d") and await serving(users, a=1, b=1, c=1)


async def serving(users: Direct, **replicas: int) -> bool:
    """Whether each of these serves with so many replicas, and says so of its present spec."""
    found = {one["metadata"]["name"]: one for one in await users.items("emb")}
    return all(name in found and _serves(found[name], number) for name, number in replicas.items())


async def gone(users: Direct, name: str) -> bool:
    return not await users.get("deployment", name) and not await users.get("service", name)


def ready_of(obj: Object) -> str:
    """Why it is ready or not, in its own words; empty as long as they are not of its present spec."""
    status = obj.get("status") or {}
    if status.get("observedGeneration") != obj["metadata"]["generation"]:
        return ""
    (ready,) = [one for one in status["conditions"] if one["type"] == "Ready"]
    return f"{ready['reason']}: {ready['message']}"


def _serves(obj: Object, replicas: int) -> bool:
    return ready_of(obj).startswith(f"Serving: {replicas} of {replicas} ")


def claim() -> Object:
    """Where all weights go."""
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": ""}
    metadata = {"name": "model-weights"}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def service(name: str, repository: str, *, replicas: int = 1) -> Object:
    """With no more than it needs."""
    return {
        "apiVersion": "embedding-operator.io/v1alpha1",
        "kind": "EmbeddingService",
        "metadata": {"name": name},
        "spec": {
            "model": {"source": {"modelScope": {"repo": repository}}},
            "cache": {"claimName": "model-weights"},
            "runtime": {"profile": "cpu"},
            "replicas": replicas,
        },
    }
