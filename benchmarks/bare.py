"""`python -m benchmarks.bare KUBECONFIG RECORDING`: the limit, a client that makes the operator's writes and no more.

For each EmbeddingService that appears: the children as the operator applied them for another service (recorded,
names and uids replaced as text), the first status, its Event; once the Deployment's pods are ready, the last status
and its Event. Sixteen workers, one task for Events, like the operator.

What it does not do, so that nothing in Python can be faster by much: no look at anything before it writes (no GET,
no LIST), no cache, no queue that joins work or backs off, no retries, no comparing, no planning, no JSON made, no
Lease, no healing, no statuses between the first and the last, no ModelCache's list of its users. Of its two watches
one sends metadata only, the other table rows. It would break at the first thing that goes wrong, and that ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from benchmarks.api import METADATA, TABLE, Api, Lines, connected
from benchmarks.harness import CHILDREN, SELECTOR
from benchmarks.manifests import SERVICES
from benchmarks.recording import Asked, Recording, Write, from_text

_WORKERS: Final = 16
_DEPLOYMENTS: Final = f"{CHILDREN['Deployment']}{SELECTOR}&includeObject=None"


class Bare:
    """Two watches, one queue of things to do, sixteen workers."""

    def __init__(self, api: Api, recording: Recording) -> None:
        self._api = api
        self._recording = recording
        self._todo: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()
        self._events: asyncio.Queue[Write] = asyncio.Queue()
        self._known: dict[str, Asked] = {}  # once the first status is written
        self._ready: set[str] = set()
        self._finished: set[str] = set()

    async def run(self) -> None:
        """Until cancelled."""
        services = Lines(self._api, SERVICES, METADATA)
        deployments = Lines(self._api, _DEPLOYMENTS, TABLE)
        async with asyncio.TaskGroup() as group:
            for _ in range(_WORKERS):
                group.create_task(self._work())
            for loop in (self._tell(), self._follow_services(services), self._follow_deployments(deployments)):
                group.create_task(loop)
            await services.begun.wait()
            await deployments.begun.wait()
            print("ready", flush=True)

    async def _follow_services(self, services: Lines) -> None:
        begun: set[str] = set()
        shared: set[str] = set()
        async for line in services:
            if line.startswith(b'{"type":"ADDED"'):
                metadata = json.loads(line)["object"]["metadata"]
                asked = Asked(metadata["name"], metadata["namespace"], metadata["uid"], metadata["resourceVersion"])
                if asked.uid in begun:  # told again, by a watch that was opened again
                    continue
                if asked.namespace not in shared:
                    shared.add(asked.namespace)
                    self._todo.put_nowait(self._share(asked))
                begun.add(asked.uid)
                self._todo.put_nowait(self._begin(asked))

    async def _follow_deployments(self, deployments: Lines) -> None:
        """Learn which Deployments have all their pods ready: the READY column says 2/2."""
        async for line in deployments:
            for row in json.loads(line)["object"]["rows"]:
                name, ready = row["cells"][:2]
                now, _, wanted = ready.partition("/")
                if now == wanted != "0":
                    self._ready.add(name)
                    self._finish_when_ready(name)

    async def _work(self) -> None:
        while True:
            await (await self._todo.get())()

    def _share(self, asked: Asked) -> Callable[[], Awaitable[None]]:
        async def share() -> None:
            for write in self._recording.shared:
                await self._send(write.of(asked))

        return share

    def _begin(self, asked: Asked) -> Callable[[], Awaitable[None]]:
        async def begin() -> None:
            for child in self._recording.children:
                await self._send(child.of(asked))
            answer = await self._send(self._recording.first_status.of(asked))
            self._known[asked.name] = asked._replace(version=json.loads(answer)["metadata"]["resourceVersion"])
            self._events.put_nowait(self._recording.events[0].of(asked))
            self._finish_when_ready(asked.name)

        return begin

    def _finish_when_ready(self, name: str) -> None:
        if name in self._ready and name in self._known and name not in self._finished:
            self._finished.add(name)
            self._todo.put_nowait(self._finish(self._known[name]))

    def _finish(self, asked: Asked) -> Callable[[], Awaitable[None]]:
        async def finish() -> None:
            await self._send(self._recording.last_status.of(asked))
            self._events.put_nowait(self._recording.events[1].of(asked))

        return finish

    async def _tell(self) -> None:
        while True:
            await self._send(await self._events.get())

    async def _send(self, write: Write) -> bytes:
        return await self._api.send(write.method, write.path, write.body, write.content_type)


async def main(kubeconfig: Path, recording: Recording) -> None:
    """Serve until ended."""
    async with connected(kubeconfig) as api:
        await Bare(api, recording).run()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(Path(sys.argv[1]), from_text(Path(sys.argv[2]).read_text())))
