"""The log of a container, line by line as it comes, each with the time at which the kubelet got it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import aiohttp

from embedding_operator.kube.connection import TRANSPORT_ERRORS, Connection
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import PODS
from embedding_operator.kube.sending import unreachable

_LONGEST: Final = 64 * 1024  # bytes of a line; what is longer comes in pieces
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=30.0)
_PATIENT: Final = aiohttp.ClientTimeout(total=None, sock_connect=5.0)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines."""

    follow: bool = False
    previous: bool = False
    tail: int | None = None  # all, without
    since_seconds: int | None = None
    since_time: str = ""  # goes before

    def query(self, container: str) -> dict[str, str]:
        """As the API server wants to be asked."""
        asked = {
            "container": container,
            "timestamps": "true",
            "follow": "true" if self.follow else "",
            "previous": "true" if self.previous else "",
            "tailLines": "" if self.tail is None else str(self.tail),
            "sinceTime": self.since_time,
            "sinceSeconds": "" if self.since_seconds is None or self.since_time else str(self.since_seconds),
        }
        return {name: value for name, value in asked.items() if value}


async def log_lines(
    connection: Connection, namespace: str, pod: str, container: str, wanted: Wanted
) -> AsyncIterator[tuple[str, str]]:
    """Time and text of each line. Raises ApiError."""
    path = PODS.path(namespace, pod, "log")
    timeout = _PATIENT if wanted.follow else _TIMEOUT
    try:
        response = await connection.request("GET", path, query=wanted.query(container), timeout=timeout)
        async with response:
            if response.status == 204:
                raise ApiError(204, "NotScheduled", "it is on no node yet")
            if response.status != 200:
                raise ApiError.from_response(response.status, response.headers, await response.read())
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > _LONGEST:
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    yield _line(line)
            if rest:
                yield _line(rest)
    except TRANSPORT_ERRORS as error:
        raise unreachable(f"log {path}", error) from error


def _line(line: bytes) -> tuple[str, str]:
    time, _, text = line.decode("utf-8", "replace").rstrip("\r").partition(" ")
    return time, text
