"""Weights from any web server: one archive, or a list of files, each with the sha256 that it must have.

The server tells sizes and bytes, and neither is trusted: what counts was written into the spec.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from yarl import URL

from .errors import StageError
from .manifest import listing_id
from .select import RemoteFile
from .settings import Settings
from .source import Listing, Location, Origin, checked_files, checked_size, patiently
from .sourcespec import HttpSource
from .transport import StatusError, TransientError, Transport

_ARCHIVES = re.compile(r"\.(tar\.gz|tgz|tar|zip)$", re.IGNORECASE)
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


class HttpFiles:
    """The files of one source, wherever each lies."""

    def __init__(
        self, transport: Transport, source: HttpSource, token: str | None, settings: Settings, parallelism: int
    ) -> None:
        self._transport = transport
        self._headers: Mapping[str, str] = {"Authorization": authorization(token)} if token else {}
        self._settings = settings
        self._turns = asyncio.Semaphore(parallelism)
        self._is_archive = source.url is not None
        if source.url is not None:
            # no member of an archive is called after the archive's own sum
            wanted = [(f"{source.sha256}.archive", source.url, source.sha256 or "")]
        else:
            wanted = [(file.path, file.url, file.sha256) for file in source.files or ()]
        self._urls = {path: URL(url) for path, url, _ in wanted}
        self._sums = {path: sha256 for path, _, sha256 in wanted}
        self.origin = Origin("http", _name(source), f"sha256:{source.sha256}" if self._is_archive else "")

    async def listing(self) -> Listing:
        """The files that were asked for, with the sizes that their servers tell."""
        sizes = await asyncio.gather(*(self._size(path) for path in self._urls))
        found = [RemoteFile(path, size, self._sums[path]) for path, size in zip(self._urls, sizes, strict=True)]
        files = checked_files(found, self.origin.name)
        revision = f"archive-{files[0].sha256}"[:48] if self._is_archive else listing_id(files)
        return Listing(revision, files, archive=self._is_archive)

    async def locate(self, file: RemoteFile) -> Location:
        """Where it was said to be."""
        return Location(self._urls[file.path], self._headers)

    def refused(self, file: RemoteFile, error: StatusError) -> Exception:
        """The server's word is final."""
        return self._in_words(file.path, error.status)

    async def _size(self, path: str) -> int:
        try:
            async with self._turns:
                return await patiently(lambda: self._size_once(path), self._called(path), self._settings)
        except StatusError as error:
            raise self._in_words(path, error.status) from None

    async def _size_once(self, path: str) -> int:
        """By a GET whose body is not read: some servers answer a HEAD otherwise, or not at all."""
        async with self._transport.get(self._urls[path], self._headers) as response:
            if response.content_length is None:
                raise TransientError(f"{response.url.host} does not say how big it is (no Content-Length)")
            return checked_size(response.content_length, self._called(path), self.origin.name)

    def _in_words(self, path: str, status: int) -> StageError:
        what, host = self._called(path), self._urls[path].host
        if status in (401, 403):
            return StageError(
                "Unauthorized",
                f"{what}: access denied by {host} (HTTP {status}): give a token, or user:password, that may read it "
                "by source.http.secretRef",
            )
        if status in (404, 410):
            return StageError("NotFound", f"{what} is not at {host} (HTTP {status}): check its url in source.http")
        return StageError("HubUnavailable", f"{what}: {host} answers HTTP {status}")

    def _called(self, path: str) -> str:
        """For people; never the whole URL, whose query may be a credential."""
        return _last(self._urls[path].path) if self._is_archive else path


def authorization(secret: str) -> str:
    """What a token is sent as; `user:password` is no token, for no token holds a colon."""
    if ":" in secret:
        return f"Basic {base64.b64encode(secret.encode()).decode()}"
    return f"Bearer {secret}"


def _name(source: HttpSource) -> str:
    """host/model: the archive without its ending, or the folder of the first file."""
    url = urlsplit(source.url or (source.files or ())[0].url)
    path = unquote(url.path)
    model = _ARCHIVES.sub("", _last(path)) if source.url else _last(path.rpartition("/")[0])
    host = url.netloc
    return "/".join(_NOT_IN_NAMES.sub("-", part)[:100] for part in (host, model or "files"))


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
