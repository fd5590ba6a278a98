"""ModelScope's REST API: a repository's listing, the commit behind a revision, and the bytes of a file.

Everything that a hub answers is checked before it is believed. Retries of the listing happen here; a file's
retries belong to the download, which knows how far it came.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from .errors import StageError
from .layout import clashes, unsafe_path
from .manifest import listing_id
from .select import RemoteFile
from .settings import Settings
from .transport import StatusError, TransientError, Transport, is_transient

log = logging.getLogger(__name__)

# The hub cuts a listing at so many entries without saying so, and has no pages for models.
LISTING_CUT = 3000
LISTING_MAX_BYTES = 64 << 20
FILE_MAX_BYTES = 1 << 50

_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_FULL_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Listing:
    """A repository at one revision."""

    revision: str
    """The commit; where the hub does not tell it, an id computed from the listing."""
    files: tuple[RemoteFile, ...]


@dataclass(frozen=True)
class _Page:
    files: list[RemoteFile]
    directories: list[str]
    commit: str | None

    @property
    def cut(self) -> bool:
        return len(self.files) + len(self.directories) >= LISTING_CUT


class ModelScopeHub:
    """One repository at one hub."""

    def __init__(self, transport: Transport, endpoint: str, repo: str, revision: str, settings: Settings) -> None:
        self._transport = transport
        self._base = URL(f"{endpoint}/api/v1/models/{repo}")
        self._endpoint = endpoint
        self._repo = repo
        self._asked = revision
        self._pinned: str | None = None
        self._settings = settings

    async def listing(self) -> Listing:
        """All files, with the revision resolved. Later reads are pinned to that commit."""
        page = await self._page(None, recursive=True)
        files = page.files
        if page.cut:
            log.info("the listing has %d entries or more: listing directory by directory", LISTING_CUT)
            files = await self._walk(None)
        if not files:
            raise StageError("NotFound", f"{self._name()} has no files")
        if clash := clashes(file.path for file in files):
            raise StageError("BadSource", f"the listing of {self._name()} contradicts itself: {clash}")
        commit = page.commit or (self._asked if _FULL_COMMIT.fullmatch(self._asked) else None)
        # A branch may move between listing and download; the commit does not.
        self._pinned = commit
        return Listing(revision=commit or listing_id(files), files=tuple(sorted(files)))

    @asynccontextmanager
    async def open(self, path: str, offset: int) -> AsyncIterator[aiohttp.ClientResponse]:
        """The bytes of a file from offset on: 206 if the server can, else 200 (all) or 416 (none there)."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        revision = self._pinned or self._asked
        url = self._base / "repo" % {"Revision": revision, "FilePath": path}
        try:
            async with self._transport.get(url, headers) as response:
                yield response
        except StatusError as error:
            if error.status == 404 and revision != self._asked:
                log.info("the hub serves no %s by commit %s; reading %s instead", path, revision, self._asked)
                self._pinned = None
                raise TransientError("the hub serves no files by commit") from None
            raise self._refused(error.status, f"file {path} of {self._name()}") from None

    async def _walk(self, directory: str | None) -> list[RemoteFile]:
        """One directory at a time, for a tree too big for one answer."""
        page = await self._page(directory, recursive=False)
        if page.cut:
            raise StageError(
                "BadSource",
                f"directory {directory or '/'} of {self._name()} has {LISTING_CUT} entries or more; "
                "the hub does not list more than that, so it cannot be staged completely",
            )
        files = page.files
        for child in page.directories:
            if directory and not child.startswith(f"{directory}/"):  # or the walk might never end
                raise StageError("BadSource", f"the listing of {self._name()} names {child} below {directory}")
            below = await self._page(child, recursive=True)
            files += await self._walk(child) if below.cut else below.files
        return files

    async def _page(self, directory: str | None, *, recursive: bool) -> _Page:
        query = {"Revision": self._asked, "Recursive": str(recursive)}
        if directory:
            query["Root"] = directory
        return self._parse(await self._json(self._base / "repo" / "files" % query))

    async def _json(self, url: URL) -> dict[str, Any]:
        failures = 0
        while True:
            try:
                return await self._json_once(url)
            except StatusError as error:
                raise self._refused(error.status, self._name()) from None
            except TransientError as error:
                failures += 1
                if failures >= self._settings.attempts:
                    raise StageError(
                        "HubUnavailable", f"listing {self._name()} failed {failures} times: {error}"
                    ) from None
                delay = self._settings.delay(failures, error.retry_after)
                log.warning("listing %s: %s; trying again in %.1f s", self._name(), error, delay)
                await asyncio.sleep(delay)

    async def _json_once(self, url: URL) -> dict[str, Any]:
        async with self._transport.get(url) as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > LISTING_MAX_BYTES:
                    raise StageError("BadSource", f"the listing of {self._name()} is too big")
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            raise TransientError(f"{self._endpoint} answers no JSON; is it a ModelScope hub?") from None
        if not isinstance(document, dict):
            raise TransientError(f"{self._endpoint} answers no listing")
        if document.get("Success") is False:
            code = document.get("Code")
            status = code if isinstance(code, int) and 400 <= code < 600 else 404
            if is_transient(status):
                raise TransientError(f"{self._endpoint} answers code {status}")
            raise StatusError(status)
        return document

    def _parse(self, document: dict[str, Any]) -> _Page:
        data = document.get("Data")
        rows = data.get("Files") if isinstance(data, dict) else None
        if not isinstance(data, dict) or not isinstance(rows, list):
            raise StageError("HubUnavailable", f"{self._endpoint} answers a listing that is not understood")
        files: list[RemoteFile] = []
        directories: list[str] = []
        for row in rows:
            entry = self._entry(row)
            if isinstance(entry, str):
                directories.append(entry)
            else:
                files.append(entry)
        committer = data.get("LatestCommitter")
        commit = committer.get("Id") if isinstance(committer, dict) else None
        usable = isinstance(commit, str) and _COMMIT.fullmatch(commit)
        return _Page(files, directories, commit if usable else None)

    def _entry(self, row: object) -> RemoteFile | str:
        """A file, or a directory's path."""
        fields = row if isinstance(row, dict) else {}
        path, size, sha256 = fields.get("Path"), fields.get("Size"), fields.get("Sha256") or None
        if not isinstance(path, str):
            raise StageError("BadSource", f"the listing of {self._name()} has an entry without a path")
        if problem := unsafe_path(path):
            raise StageError("BadSource", f"the listing of {self._name()} names {path[:200]!r}, which {problem}")
        if fields.get("Type") == "tree":
            return path
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= FILE_MAX_BYTES:
            raise StageError("BadSource", f"the listing of {self._name()} gives no sensible size for {path}")
        if sha256 is not None and not (isinstance(sha256, str) and _SHA256.fullmatch(sha256.lower())):
            raise StageError("BadSource", f"the listing of {self._name()} gives no valid sha256 for {path}")
        return RemoteFile(path, size, sha256.lower() if sha256 else None)

    def _refused(self, status: int, what: str) -> StageError:
        if status in (401, 403):
            return StageError(
                "Unauthorized",
                f"{what}: access denied by {self._endpoint} (HTTP {status}): "
                "give a token that may read it by source.modelScope.secretRef",
            )
        if status == 404:
            return StageError(
                "NotFound",
                f"{what} is not at {self._endpoint}: check repo and revision; "
                "a private repository needs a token (source.modelScope.secretRef)",
            )
        return StageError("HubUnavailable", f"{what}: {self._endpoint} answers HTTP {status}")

    def _name(self) -> str:
        return f"{self._repo} (revision {self._asked})"
