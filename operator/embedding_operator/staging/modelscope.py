"""ModelScope's REST API: a repository's listing, the commit behind a revision, and the bytes of a file.

Everything that a hub answers is checked before it is believed. Retries of the listing happen here; a file's
retries belong to the download, which knows how far it came.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import Any

from yarl import URL

from .errors import StageError
from .manifest import listing_id
from .select import RemoteFile
from .settings import Settings
from .source import Listing, Location, Origin, checked_files, checked_path, checked_size, patiently, read_json
from .transport import StatusError, TransientError, Transport, is_transient

log = logging.getLogger(__name__)

# The hub cuts a listing at so many entries without saying so, and has no pages for models.
LISTING_CUT = 3000

_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_FULL_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


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

    def __init__(
        self, transport: Transport, endpoint: str, repo: str, revision: str, token: str | None, settings: Settings
    ) -> None:
        self._transport = transport
        self._base = URL(f"{endpoint}/api/v1/models/{repo}")
        self._endpoint = endpoint
        self._asked = revision
        self._commit: str | None = None
        self._read_by = revision
        self._sent_to_branch: set[str] = set()
        self._name = f"{repo} (revision {revision})"
        self._headers = {"Authorization": f"Bearer {token}", "Cookie": f"m_session_id={token}"} if token else {}
        self._settings = settings
        self.origin = Origin("modelscope", repo, revision)

    async def listing(self) -> Listing:
        """All files, with the revision resolved. Later reads are pinned to that commit."""
        page = await self._page(None, recursive=True)
        found = page.files
        if page.cut:
            log.info("the listing has %d entries or more: listing directory by directory", LISTING_CUT)
            found = await self._walk(None)
        files = checked_files(found, self._name)
        commit = page.commit or (self._asked if _FULL_COMMIT.fullmatch(self._asked) else None)
        # A branch may move between listing and download; the commit does not.
        self._commit, self._read_by = commit, commit or self._asked
        return Listing(revision=commit or listing_id(files), files=files)

    async def locate(self, file: RemoteFile) -> Location:
        """By commit where the hub told it, else by what was asked for."""
        return Location(self._base / "repo" % {"Revision": self._read_by, "FilePath": file.path}, self._headers)

    def refused(self, file: RemoteFile, error: StatusError) -> Exception:
        """Some hubs serve no files by commit: those are read by branch, once that is found."""
        by_commit = self._commit not in (None, self._asked)
        if error.status == 404 and by_commit and file.path not in self._sent_to_branch:
            log.info("the hub serves no %s by commit %s; reading %s instead", file.path, self._commit, self._asked)
            self._sent_to_branch.add(file.path)
            self._read_by = self._asked
            return TransientError("the hub serves no files by commit")
        return self._in_words(error.status, f"file {file.path} of {self._name}")

    async def _walk(self, directory: str | None) -> list[RemoteFile]:
        """One directory at a time, for a tree too big for one answer."""
        page = await self._page(directory, recursive=False)
        if page.cut:
            raise StageError(
                "BadSource",
                f"directory {directory or '/'} of {self._name} has {LISTING_CUT} entries or more; "
                "the hub does not list more than that, so it cannot be staged completely",
            )
        files = page.files
        for child in page.directories:
            if directory and not child.startswith(f"{directory}/"):  # or the walk might never end
                raise StageError("BadSource", f"the listing of {self._name} names {child} below {directory}")
            below = await self._page(child, recursive=True)
            files += await self._walk(child) if below.cut else below.files
        return files

    async def _page(self, directory: str | None, *, recursive: bool) -> _Page:
        query = {"Revision": self._asked, "Recursive": str(recursive)}
        if directory:
            query["Root"] = directory
        return self._parse(await self._json(self._base / "repo" / "files" % query))

    async def _json(self, url: URL) -> dict[str, Any]:
        try:
            return await patiently(lambda: self._json_once(url), self._name, self._settings)
        except StatusError as error:
            raise self._in_words(error.status, self._name) from None

    async def _json_once(self, url: URL) -> dict[str, Any]:
        async with self._transport.get(url, self._headers) as response:
            document = await read_json(response, self._name, self._endpoint, "a ModelScope hub")
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
        path, sha256 = checked_path(fields.get("Path"), self._name), fields.get("Sha256") or None
        if fields.get("Type") == "tree":
            return path
        size = checked_size(fields.get("Size"), path, self._name)
        if sha256 is not None and not (isinstance(sha256, str) and _SHA256.fullmatch(sha256.lower())):
            raise StageError("BadSource", f"the listing of {self._name} gives no valid sha256 for {path}")
        return RemoteFile(path, size, sha256.lower() if sha256 else None)

    def _in_words(self, status: int, what: str) -> StageError:
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
