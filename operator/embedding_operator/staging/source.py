"""What a source of weights is to the rest of the stager: a list of files, and where the bytes of each lie.

A source resolves, lists and names; it never writes and never downloads a file. Everything that a server answers is
checked in the source before it is believed. Bytes are fetched by `download.py` alone, so that resume, patience and
verification are the same wherever weights come from.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import aiohttp
from yarl import URL

from .errors import StageError
from .layout import clashes, unsafe_path
from .select import RemoteFile
from .settings import Settings
from .transport import StatusError, TransientError

log = logging.getLogger(__name__)

T = TypeVar("T")

ANSWER_MAX_BYTES = 64 << 20
FILE_MAX_BYTES = 1 << 50


@dataclass(frozen=True)
class Listing:
    """A source's files at one revision."""

    revision: str
    """The commit; where the server does not tell one, an id computed from the listing."""
    files: tuple[RemoteFile, ...]
    archive: bool = False
    """The one file is an archive, and the model is what it holds."""


@dataclass(frozen=True)
class Location:
    """Where the bytes of a file are at this moment."""

    url: URL
    headers: Mapping[str, str] = field(default_factory=dict)
    """For the URL's own origin only: they hold credentials, and no redirect takes them elsewhere."""


@dataclass(frozen=True)
class Origin:
    """Where weights come from, as the manifest and the directories on the volume say it."""

    kind: str
    name: str
    """`owner/name`, or whatever is as telling; its slashes become `--` in the directory's name."""
    requested: str


class Source(Protocol):
    """One repository, bucket or set of files."""

    @property
    def origin(self) -> Origin: ...

    async def listing(self) -> Listing:
        """All files, with the revision resolved; later reads are pinned to it where the server can."""

    async def locate(self, file: RemoteFile) -> Location:
        """Where to GET a file. Asked again for each request, because a location may expire."""

    def refused(self, file: RemoteFile, error: StatusError) -> Exception:
        """What a server's final word on a file means: a StageError, or a TransientError for another try."""


async def patiently(ask: Callable[[], Awaitable[T]], what: str, settings: Settings, doing: str = "listing") -> T:
    """Ask again until there is an answer, or until it has failed too often."""
    failures = 0
    while True:
        try:
            return await ask()
        except TransientError as error:
            failures += 1
            if failures >= settings.attempts:
                raise StageError("HubUnavailable", f"{doing} {what} failed {failures} times: {error}") from None
            delay = settings.delay(failures, error.retry_after)
            log.warning("%s %s: %s; trying again in %.1f s", doing, what, error, delay)
            await asyncio.sleep(delay)


async def read_json(response: aiohttp.ClientResponse, what: str, said_by: str, should_be: str) -> Any:
    """The answer's JSON."""
    body = await read_body(response, what)
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise TransientError(f"{said_by} answers no JSON; is it {should_be}?") from None


async def read_body(response: aiohttp.ClientResponse, what: str) -> bytes:
    """All of a listing, if it is of a sensible size."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_MAX_BYTES:
            raise StageError("BadSource", f"the listing of {what} is too big")
    return bytes(body)


def checked_path(path: object, what: str) -> str:
    """A path of a listing, which comes from strangers."""
    if not isinstance(path, str):
        raise StageError("BadSource", f"the listing of {what} has an entry without a path")
    if problem := unsafe_path(path):
        raise StageError("BadSource", f"the listing of {what} names {path[:200]!r}, which {problem}")
    return path


def checked_size(size: object, path: str, what: str) -> int:
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= FILE_MAX_BYTES:
        raise StageError("BadSource", f"the listing of {what} gives no sensible size for {path}")
    return size


def checked_files(files: list[RemoteFile], what: str) -> tuple[RemoteFile, ...]:
    """The files in order, if they can all be on one volume."""
    if not files:
        raise StageError("NotFound", f"{what} has no files")
    if clash := clashes(file.path for file in files):
        raise StageError("BadSource", f"the listing of {what} contradicts itself: {clash}")
    return tuple(sorted(files))
