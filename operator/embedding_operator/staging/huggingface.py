"""The Hugging Face Hub's HTTP API, or a mirror's: the commit behind a revision, its tree page by page, and files.

Big files (LFS) are listed with their sha256; the others with the id that git gives their content, which is a sum too.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from yarl import URL

from .errors import StageError
from .select import RemoteFile
from .settings import Settings
from .source import Listing, Location, Origin, checked_files, checked_path, checked_size, patiently, read_json
from .transport import StatusError, TransientError, Transport

MAX_PAGES = 1000  # of up to 1,000 entries each

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?')


class HuggingFaceHub:
    """One repository at one hub."""

    def __init__(
        self, transport: Transport, endpoint: str, repo: str, revision: str, token: str | None, settings: Settings
    ) -> None:
        self._transport = transport
        self._endpoint = endpoint
        self._repo = repo
        self._owner_and_name = repo.split("/")
        self._asked = revision
        self._commit = revision
        self._name = f"{repo} (revision {revision})"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._has_token = bool(token)
        self._settings = settings
        self.origin = Origin("huggingface", repo, revision)

    async def listing(self) -> Listing:
        """All files of the commit that the revision is at this moment."""
        info, _ = await self._json(self._url("api", "models", *self._owner_and_name, "revision", self._asked))
        commit = info.get("sha") if isinstance(info, dict) else None
        if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
            raise StageError("HubUnavailable", f"{self._endpoint} tells no commit for {self._name}")
        self._commit = commit
        return Listing(revision=commit, files=checked_files(await self._tree(), self._name))

    async def locate(self, file: RemoteFile) -> Location:
        """The hub redirects from here to where big files are."""
        return Location(self._url(*self._owner_and_name, "resolve", self._commit, *file.path.split("/")), self._headers)

    def refused(self, file: RemoteFile, error: StatusError) -> Exception:
        """A commit's files stay, so what is refused is refused for good."""
        return self._in_words(error, f"file {file.path} of {self._name}")

    async def _tree(self) -> list[RemoteFile]:
        """Page by page: the next page's address is in a header, and only its query is taken from there.

        A mirror hands out the addresses of the hub that it mirrors; neither requests nor token follow them.
        """
        first = self._url("api", "models", *self._owner_and_name, "tree", self._commit) % {"recursive": "true"}
        url, seen, found = first, {first}, list[RemoteFile]()
        while True:
            rows, following = await self._json(url)
            if not isinstance(rows, list):
                raise StageError("HubUnavailable", f"{self._endpoint} answers a listing that is not understood")
            found += [entry for row in rows if (entry := self._entry(row))]
            if following is None:
                return found
            url = first.with_query(following.query)
            if url in seen or len(seen) >= MAX_PAGES:
                raise StageError("BadSource", f"the listing of {self._name} has no end")
            seen.add(url)

    async def _json(self, url: URL) -> tuple[Any, URL | None]:
        try:
            return await patiently(lambda: self._json_once(url), self._name, self._settings)
        except StatusError as error:
            raise self._in_words(error, self._name) from None

    async def _json_once(self, url: URL) -> tuple[Any, URL | None]:
        async with self._transport.get(url, self._headers) as response:
            document = await read_json(response, self._name, self._endpoint, "a Hugging Face hub")
            match = _NEXT.search(response.headers.get("Link", ""))
        try:
            return document, URL(match[1], encoded=True) if match else None
        except ValueError:
            raise TransientError(f"{self._endpoint} names a next page that is no URL") from None

    def _entry(self, row: object) -> RemoteFile | None:
        """A file; None for a directory, whose files are listed too."""
        fields = row if isinstance(row, dict) else {}
        path = checked_path(fields.get("path"), self._name)
        if fields.get("type") == "directory":
            return None
        size = checked_size(fields.get("size"), path, self._name)
        lfs = fields.get("lfs")
        if isinstance(lfs, dict):
            # the tree's size is that of the file; the pointer's own is lfs.pointerSize
            if lfs.get("size", size) != size:
                raise StageError("BadSource", f"the listing of {self._name} gives two sizes for {path}")
            return RemoteFile(path, size, sha256=self._sum(lfs.get("oid"), _SHA256, "sha256", path))
        return RemoteFile(path, size, git_sha1=self._sum(fields.get("oid"), _SHA1, "git id", path))

    def _sum(self, told: object, form: re.Pattern[str], what: str, path: str) -> str:
        text = told.removeprefix("sha256:").lower() if isinstance(told, str) else ""
        if not form.fullmatch(text):
            raise StageError("BadSource", f"the listing of {self._name} gives no valid {what} for {path}")
        return text

    def _url(self, *segments: str) -> URL:
        """Below the endpoint, which may have a path of its own. A branch is one segment, whatever it holds."""
        return URL("/".join([self._endpoint, *(quote(segment, safe="") for segment in segments)]), encoded=True)

    def _in_words(self, error: StatusError, what: str) -> StageError:
        code = error.headers.get("X-Error-Code", "")
        if code == "GatedRepo":
            page = f"{self._endpoint}/{self._repo}"
            cure = (
                f"accept its terms at {page} with the account of the token"
                if self._has_token
                else f"accept its terms at {page} and give that account's token by source.huggingFace.secretRef"
            )
            return StageError("Unauthorized", f"{what} is gated (HTTP {error.status}): {cure}")
        if error.status == 404 or code in ("RevisionNotFound", "EntryNotFound"):
            return StageError(
                "NotFound",
                f"{what} is not at {self._endpoint}: check repo and revision; "
                "a private repository needs a token (source.huggingFace.secretRef)",
            )
        if error.status == 401 and not self._has_token:
            return StageError(
                "Unauthorized",
                f"{what}: {self._endpoint} knows no public repository of that name (HTTP 401): check its spelling, or "
                "give a token that may read it by source.huggingFace.secretRef",
            )
        if error.status in (401, 403):
            return StageError(
                "Unauthorized",
                f"{what}: access denied by {self._endpoint} (HTTP {error.status}): the token of "
                "source.huggingFace.secretRef is not valid or may not read it",
            )
        return StageError("HubUnavailable", f"{what}: {self._endpoint} answers HTTP {error.status}")
