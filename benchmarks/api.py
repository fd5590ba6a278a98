"""A bare client of the API server: one aiohttp session, bytes in and out; a request is sent once.

What the harness, the simulated kubelets and the peer of the operator share. It knows nothing of kinds, and costs
little, so that what is measured is the API server and the operator.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml

JSON: Final = "application/json"
MERGE: Final = "application/merge-patch+json"
APPLY: Final = "application/apply-patch+yaml"
STRATEGIC: Final = "application/strategic-merge-patch+json"
# Answers cut down by the server: only metadata, or only the columns that `kubectl get` shows.
METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
TABLE: Final = "application/json;as=Table;g=meta.k8s.io;v=v1"
_LONGEST_LINE: Final = 4 * 1024 * 1024
_WATCH_SECONDS: Final = 7200

Object = dict[str, Any]


class RequestRefusedError(RuntimeError):
    """The API server said no, in its words."""


class Api:
    """Use `async with connected(kubeconfig) as api`."""

    def __init__(self, server: str, session: aiohttp.ClientSession) -> None:
        self._server = server
        self._session = session

    async def send(self, method: str, path: str, body: str = "", content_type: str = JSON, accept: str = JSON) -> bytes:
        """One request; returns the answer's bytes, or raises RequestRefusedError."""
        headers = {"Content-Type": content_type, "Accept": accept}
        async with self._session.request(method, self._server + path, data=body.encode(), headers=headers) as answer:
            data = await answer.read()
            if answer.status >= 400:
                raise RequestRefusedError(f"{method} {path}: {answer.status} {data[:500].decode(errors='replace')}")
            return data

    @contextlib.asynccontextmanager
    async def watch(self, path: str, accept: str = JSON) -> AsyncIterator[AsyncIterator[bytes]]:
        """The lines of a watch, which has begun once this is entered; what exists comes first, as ADDED."""
        joint = "&" if "?" in path else "?"
        url = f"{self._server}{path}{joint}watch=true&timeoutSeconds={_WATCH_SECONDS}"
        while True:
            async with self._session.get(url, headers={"Accept": accept}) as answer:
                if answer.status == 200:
                    yield _lines(answer)
                    return
                if answer.status != 429:  # what it says of a kind whose CRD is seconds old
                    raise RequestRefusedError(f"watch {path}: {answer.status} {await answer.text()}")
            await asyncio.sleep(0.5)


async def _lines(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    while line := await answer.content.readline():
        yield line


class Lines:
    """Of a watch that is opened again when the API server ends it, as it does with who reads too slowly.

    What exists comes first, as ADDED, and so it does again then.
    """

    def __init__(self, api: Api, path: str, accept: str = JSON) -> None:
        self._api, self._path, self._accept = api, path, accept
        self.begun = asyncio.Event()
        self.opened = 0
        """How often, so far."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            async with self._api.watch(self._path, self._accept) as lines:
                self.begun.set()
                self.opened += 1
                async for line in lines:
                    yield line


@contextlib.asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[Api]:
    """A client with the credentials of a kubeconfig that stands alone."""
    server, token, trust = _access(kubeconfig)
    connector = aiohttp.TCPConnector(limit=0, ssl=trust)
    headers = {"Authorization": f"Bearer {token}"}
    endless = aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with aiohttp.ClientSession(
        connector=connector, headers=headers, timeout=endless, read_bufsize=_LONGEST_LINE
    ) as session:
        yield Api(server, session)


def _access(kubeconfig: Path) -> tuple[str, str, ssl.SSLContext]:
    config = yaml.safe_load(kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    return cluster["server"], config["users"][0]["user"]["token"], ssl.create_default_context(cadata=authority)
