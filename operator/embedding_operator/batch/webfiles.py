"""Input from a web server, which lists nothing: files are named, and read in ranges."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import BinaryIO
from urllib.parse import quote

from yarl import URL

from embedding_operator.staging.httpfiles import authorization
from embedding_operator.staging.source import read_body
from embedding_operator.staging.sourcespec import check_url
from embedding_operator.staging.transport import StatusError
from embedding_operator.staging.usage import TOKEN_VARIABLES

from .blocking import line
from .errors import BatchError, changed
from .globs import Glob, InputFile, chosen
from .jobspec import Place
from .ranges import Answer, opened, version_of


class WebInput:
    """Files below an address."""

    def __init__(self, place: Place) -> None:
        try:
            self._root = URL(check_url(place.root).rstrip("/"), encoded=True)
        except ValueError as error:
            raise BatchError("BadInput", f"spec.input.url: {error}") from None
        if self._root.query_string:
            raise BatchError("BadInput", "spec.input.url: write it without a query; a token goes into secretRef")
        token = os.environ.get(TOKEN_VARIABLES["http"], "").strip()
        self._private: Mapping[str, str] = {"Authorization": authorization(token)} if token else {}
        self._line = line()

    def listed(self, globs: Sequence[str]) -> list[InputFile]:
        for text in globs:
            if any(char in text for char in "*?["):
                raise BatchError(
                    "BadInput",
                    f"input.files: {text!r} cannot be looked for on a web server, which lists nothing: name files",
                )
        meant = [Glob(text) for text in globs]
        return chosen([self._found(text) for text in globs], meant, str(self._root))

    def opened(self, file: InputFile, offset: int = 0) -> AbstractContextManager[BinaryIO]:
        return opened(file, offset, partial(self._read, file.path))

    def image(self, path: str, limit: int) -> bytes:
        if path.startswith("/") or ".." in path.split("/"):
            raise ValueError(f"{path} leads out of the input")
        try:
            answer = self._asked(path, 0, limit + 1)
        except StatusError as error:
            raise ValueError(f"{path} is not at {self._root.host} (HTTP {error.status})") from None
        if answer.status == 200 or len(answer.body) > limit:
            raise ValueError(f"{path} is bigger than {limit >> 20} MiB, or its server gives no ranges of files")
        return answer.body

    def _found(self, path: str) -> InputFile:
        answer = self._read(path, 0, 1)
        size = answer.headers.get("Content-Range", "").rpartition("/")[2]
        if answer.status == 416 and size == "0":
            return InputFile(path, 0, version_of(answer.headers))
        if answer.status != 206 or not size.isdecimal():
            raise BatchError(
                "BadInput",
                f"{path}: {self._root.host} gives no ranges of files, which shards are read by: serve it otherwise, or "
                "put it into a bucket or on a claim",
            )
        if not version_of(answer.headers):
            raise BatchError(
                "BadInput",
                f"{path}: {self._root.host} tells neither ETag nor Last-Modified: a change would not be seen",
            )
        return InputFile(path, int(size), version_of(answer.headers))

    def _read(self, path: str, start: int, length: int) -> Answer:
        try:
            return self._asked(path, start, length)
        except StatusError as error:
            raise self._in_words(path, error.status) from None

    def _asked(self, path: str, start: int, length: int) -> Answer:
        url = URL(f"{self._root}/{quote(path, safe='/~')}", encoded=True)
        headers = {"Range": f"bytes={start}-{start + length - 1}"}
        transport = self._line.transport

        async def once() -> Answer:
            async with transport.get(url, self._private, headers) as response:
                whole = response.status == 200  # all of the file, which nobody asked for
                body = b"" if whole else await read_body(response, path)
                return Answer(response.status, response.headers, body)

        return self._line.ask(once, path, "reading")

    def _in_words(self, path: str, status: int) -> BatchError:
        host = self._root.host
        if status in (401, 403):
            return BatchError(
                "Unauthorized",
                f"{path}: access denied by {host} (HTTP {status}): give a token, or user:password, by "
                "spec.input.secretRef",
            )
        if status in (404, 410):
            return BatchError("NoFiles", f"{path} is not at {host} (HTTP {status}): check spec.input.url and files")
        if status == 412:
            return changed(path)
        return BatchError("Unavailable", f"{path}: {host} answers HTTP {status}")
