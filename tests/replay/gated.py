"""Requests that stop where bytes would move, until whoever drives the operator lets them go on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from embedding_operator.kube.client import KubeClient
from embedding_operator.kube.connection import Connection
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import Object, ObjectKey, Resource
from tests.replay.deciding import NoConnection


@dataclass
class Request:
    """One request on its way: sent, acted upon, answered."""

    verb: str
    resource: Resource
    path: str
    query: Any
    body: Any
    answered: asyncio.Future[Object]
    answer: Object | ApiError | None = None

    @property
    def key(self) -> ObjectKey:
        parts = self.path.split("/")
        place = parts.index(self.resource.plural)
        namespace = parts[place - 1] if parts[place - 2] == "namespaces" else ""
        return ObjectKey(self.resource.kind, namespace, (parts[place + 1 :] or [""])[0])


class Gated(KubeClient):
    """The real client up to the one place where bytes move; there, requests wait in `sent`."""

    def __init__(self) -> None:
        super().__init__(cast(Connection, NoConnection()))
        self.sent: list[Request] = []

    async def _exchange(
        self, verb: str, resource: Resource, path: str, query: Any, body: Any, content_type: str
    ) -> bytes:
        answered: asyncio.Future[Object] = asyncio.get_running_loop().create_future()
        self.sent.append(Request(verb, resource, path, query, body, answered))
        return json.dumps(await answered).encode()

    @asynccontextmanager
    async def streaming(
        self, resource: Resource, namespace: str | None, query: Any, timeout: object, verb: str = "watch"
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """A long answer, of which each part waits: it may be of another time than what watches tell meanwhile."""
        assert verb == "list", "watches are told by who drives it"
        yield self._parts(resource, namespace, query)

    async def _parts(self, resource: Resource, namespace: str | None, query: Any) -> AsyncIterator[bytes]:
        yield b'{"items":['
        before, token = b"", None
        while True:
            asked = {**query, "continue": token}
            page = json.loads(await self._exchange("list", resource, resource.path(namespace), asked, None, ""))
            texts = [json.dumps(item, separators=(",", ":")).encode() for item in page["items"]]
            if texts:
                yield before + b",".join(texts)
                before = b","
            token = page["metadata"].pop("continue", None)
            if token is None:
                break
        yield b'],"metadata":' + json.dumps(page["metadata"]).encode() + b"}"
