"""How requests reach the API server: the one place where bytes move, and where all are gated, bounded and counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import Any, Final

import aiohttp

from embedding_operator.kube.connection import TRANSPORT_ERRORS, Connection
from embedding_operator.kube.encoding import encode
from embedding_operator.kube.errors import ApiError, LeaseLost
from embedding_operator.kube.paging import WHOLE, decoded
from embedding_operator.kube.resources import EVENTS, LEASES, Object, Resource
from embedding_operator.metrics.calls import Calls

Query = Mapping[str, str | int | bool | None]


class Sender:
    """`gate` tells whether writes may begin now (the lease); the Lease itself is exempt from it. It is asked before a
    write takes a connection, and again when its first byte is about to leave.

    `requests` counts what was sent, by (verb, kind), and `calls` what became of it.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        concurrency: int = 32,
        timeout: float = 30.0,
        connect_timeout: float = 5.0,
    ) -> None:
        self.gate: Callable[[], bool] | None = None
        self.requests: Counter[tuple[str, str]] = Counter()
        self.calls = Calls()
        self._connection = connection
        self._slots = asyncio.Semaphore(concurrency)
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=connect_timeout)

    @asynccontextmanager
    async def streaming(
        self,
        resource: Resource,
        namespace: str | None,
        query: Query,
        timeout: aiohttp.ClientTimeout,
        verb: str = "watch",
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The answer to a watch or a list, as it comes. It takes none of the slots that requests wait for."""
        path = resource.path(namespace)
        try:
            response = await self._request(verb, resource, path, query, None, "application/json", timeout)
            async with response:
                if response.status != 200:  # a redirect would look like a watch that has ended
                    raise ApiError.from_response(response.status, response.headers, await response.read())
                yield response.content.iter_any()
        except TRANSPORT_ERRORS as error:
            raise unreachable(f"{verb} {path}", error) from error

    async def _send(
        self,
        verb: str,
        resource: Resource,
        namespace: str | None,
        name: str | None = None,
        subresource: str | None = None,
        *,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        path = resource.path(namespace or None, name, subresource)
        data = await self._answer(verb, resource, path, query, body, content_type)
        answer: Object = decoded(data, WHOLE, f"{verb} {path}")
        return answer

    async def _answer(
        self,
        verb: str,
        resource: Resource,
        path: str,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        # The lease must be renewed however busy the workers are, and Events hold nobody up.
        async with nullcontext() if resource in (LEASES, EVENTS) else self._slots:
            self._begin(verb, resource, path)
            return await self._exchange(verb, resource, path, query, body, content_type)

    def _begin(self, verb: str, resource: Resource, path: str) -> None:
        """A write may begin now, or LeaseLost is raised."""
        if verb in _READS or resource == LEASES or self.gate is None or self.gate():
            return
        raise LeaseLost(f"{verb} {path}")

    async def _exchange(
        self,
        verb: str,
        resource: Resource,
        path: str,
        query: Query | None,
        body: Mapping[str, Any] | None,
        content_type: str,
    ) -> bytes:
        try:
            response = await self._request(verb, resource, path, query, body, content_type, self._timeout)
            data: bytes = await response.read()
        except TRANSPORT_ERRORS as error:
            if isinstance(error.__cause__, LeaseLost):
                raise error.__cause__ from None
            raise unreachable(f"{verb} {path}", error) from error
        if response.status >= 400:
            raise ApiError.from_response(response.status, response.headers, data)
        return data

    async def _request(
        self,
        verb: str,
        resource: Resource,
        path: str,
        query: Query | None,
        body: Mapping[str, Any] | None,
        content_type: str,
        timeout: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        """Send it and return the response as soon as its head is there."""
        self.requests[verb, resource.kind] += 1
        with self.calls.timed(verb, resource.plural) as call:
            response = await self._connection.request(
                _METHODS[verb],
                path,
                query={name: _text(value) for name, value in (query or {}).items() if value is not None},
                body=None if body is None else encode(body),
                content_type=content_type,
                timeout=timeout,
                begin=partial(self._begin, verb, resource, path),
            )
            call.status = response.status
        return response


def unreachable(what: str, error: Exception) -> ApiError:
    """What the transport says, as an ApiError without a status."""
    reason = "Timeout" if isinstance(error, TimeoutError) else "Unreachable"
    return ApiError(0, reason, f"{what}: {error or type(error).__name__}")


_READS: Final = ("get", "list", "watch")
_METHODS: Final = {
    "get": "GET",
    "list": "GET",
    "watch": "GET",
    "apply": "PATCH",
    "patch": "PATCH",
    "create": "POST",
    "evict": "POST",
    "replace": "PUT",
    "delete": "DELETE",
}


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
