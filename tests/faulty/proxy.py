"""Stands between the operator and the API server, and lets things go wrong.

The operator speaks plain HTTP with it, it speaks TLS with the API server. What is not disturbed passes as it is,
watches as they come. Each fault is counted when it has happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import aiohttp
import yaml
from aiohttp import web
from yarl import URL

from embedding_operator.kube.resources import ALL
from tests.cluster.controlplane import ControlPlane
from tests.faulty.faults import Fate, Fault, Met

_PLURALS = frozenset(resource.plural for resource in ALL)
_PASSED_ON = ("Authorization", "Content-Type", "Accept", "User-Agent")
_STATUS = {
    Fault.UNAUTHORIZED: (401, "Unauthorized", "Unauthorized"),
    Fault.FORBIDDEN: (403, "Forbidden", "no RBAC policy matched: its caches are not filled yet"),
    Fault.CONFLICT: (409, "Conflict", "the object has been modified; please apply your changes to the latest version"),
    Fault.EXPIRED: (410, "Expired", "The resourceVersion for the provided watch is too old."),
    Fault.THROTTLED: (429, "TooManyRequests", "The apiserver is busy, try again later."),
    Fault.INTERNAL: (500, "InternalError", "etcdserver: request timed out"),
    Fault.DONE_BUT_500: (500, "InternalError", "etcdserver: request timed out"),
    Fault.UNAVAILABLE: (503, "ServiceUnavailable", "the server is currently unable to handle the request"),
}


@dataclass(frozen=True)
class Asked:
    """A request, in Kubernetes' words."""

    verb: str
    path: str
    query: dict[str, str]

    def __str__(self) -> str:
        return f"{self.verb} {self.path}"


class FaultyProxy:
    """`async with FaultyProxy(control_plane, fate).serving(directory) as kubeconfig: ...`"""

    def __init__(self, control_plane: ControlPlane, fate: Fate) -> None:
        self.fate = fate
        self._target, self._token = control_plane.url, control_plane.admin_token
        self._tls = ssl.create_default_context(cafile=str(control_plane.ca))
        self._versions: list[str] = []  # resourceVersions of lists, the oldest first

    @contextlib.asynccontextmanager
    async def serving(self, directory: Path) -> AsyncIterator[Path]:
        """A kubeconfig whose server is this one."""
        connector = aiohttp.TCPConnector(limit=0, ssl=self._tls)
        async with aiohttp.ClientSession(connector=connector, read_bufsize=2**20) as self._session:
            runner = web.ServerRunner(_server(self._handle), shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            kubeconfig = directory / f"faulty-{self.fate.seed}.kubeconfig"
            kubeconfig.write_text(_kubeconfig(f"http://127.0.0.1:{runner.addresses[0][1]}", self._token))
            try:
                yield kubeconfig
            finally:
                await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        asked, body = _asked(request), await request.read()
        met = self.fate.of(asked.verb, asked.path)
        if met is None:
            return await self._pass_on(request, asked, body, None)
        if met.fault == Fault.DELAYED:
            await asyncio.sleep(met.seconds)
            self.fate.happened(met.fault, str(asked))
            return await self._pass_on(request, asked, body, None)
        if met.fault in (Fault.STALE, Fault.ANSWER_LOST, Fault.ANSWER_CUT, Fault.DONE_BUT_500):
            return await self._pass_on(request, asked, body, met)
        self.fate.happened(met.fault, str(asked))
        return _dropped(request) if met.fault == Fault.DROPPED else _refusal(met)

    async def _pass_on(
        self, request: web.BaseRequest, asked: Asked, body: bytes, met: Met | None
    ) -> web.StreamResponse:
        query = self._stale(asked) if met and met.fault == Fault.STALE else None
        raw = urlencode(query) if query else request.query_string
        async with self._session.request(
            request.method,
            URL(f"{self._target}{request.rel_url.raw_path}{'?' + raw if raw else ''}", encoded=True),
            headers={name: request.headers[name] for name in _PASSED_ON if name in request.headers},
            data=body or None,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
        ) as answer:
            if asked.verb == "watch" and answer.status == 200:
                return await self._stream(request, asked, answer)
            content = await answer.read()
            if query and answer.status == 200:
                self.fate.happened(Fault.STALE, str(asked))
            elif met and met.fault != Fault.STALE:
                self.fate.happened(met.fault, f"{asked} ({answer.status})")
                if met.fault == Fault.DONE_BUT_500:
                    return _refusal(met)
                return _dropped(request) if met.fault == Fault.ANSWER_LOST else await _cut(request, content)
            if asked.verb == "list" and answer.status == 200:
                self._versions.append(json.loads(content)["metadata"]["resourceVersion"])
            kept = {name: answer.headers[name] for name in ("Content-Type", "Retry-After") if name in answer.headers}
            return web.Response(status=answer.status, body=content, headers=kept)

    def _stale(self, asked: Asked) -> dict[str, str] | None:
        """The query that lists what was some time before; none in the middle of a list, or if there is no past yet."""
        past = [version for version in self._versions[-8:] if version != self._versions[-1]]
        if not past or "continue" in asked.query:
            return None
        return asked.query | {"resourceVersion": past[0], "resourceVersionMatch": "Exact"}

    async def _stream(
        self, request: web.BaseRequest, asked: Asked, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        met = self.fate.of_stream(asked.path)
        lines, rest = 0, b""
        chunks = answer.content.iter_any().__aiter__()
        deadline = asyncio.get_running_loop().time() + met.seconds if met else None
        try:
            while True:
                async with asyncio.timeout_at(deadline):
                    chunk = await anext(chunks)
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    if met and not self.fate.calm and lines >= met.lines and await self._spoil(response, met, line):
                        self.fate.happened(met.fault, f"watch {asked.path} after {lines} events")
                        return _dropped(request) if met.fault == Fault.WATCH_CUT else response
                    await response.write(line + b"\n")
                    lines += 1
        except TimeoutError:
            assert met is not None
            if self.fate.calm or not await self._spoil(response, met, b""):
                return response
            self.fate.happened(met.fault, f"watch {asked.path} after {met.seconds:.1f} s")
            return _dropped(request) if met.fault == Fault.WATCH_CUT else response
        except (StopAsyncIteration, OSError, aiohttp.ClientError):
            return response

    async def _spoil(self, response: web.StreamResponse, met: Met, line: bytes) -> bool:
        """Do it to the stream; whether it could be done."""
        if met.fault == Fault.WATCH_TRUNCATED:
            if not line:  # nothing to break off in
                return False
            await response.write(line[: len(line) // 2])
        elif met.fault in (Fault.WATCH_EXPIRED, Fault.WATCH_ERROR):
            kind = Fault.EXPIRED if met.fault == Fault.WATCH_EXPIRED else Fault.INTERNAL
            await response.write(json.dumps({"type": "ERROR", "object": _said(kind)}).encode() + b"\n")
        return True


def _server(handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> web.Server:
    """One that ends a watch with its client, and tells nobody of connections that it has dropped itself."""
    quiet = logging.getLogger(__name__)
    quiet.disabled = True
    return web.Server(handler, access_log=None, logger=quiet, handler_cancellation=True)


def _asked(request: web.BaseRequest) -> Asked:
    query = dict(parse_qsl(request.query_string, keep_blank_values=True))
    if request.method != "GET":
        verb = "write"
    elif query.get("watch"):
        verb = "watch"
    else:
        verb = "list" if request.rel_url.name in _PLURALS else "get"
    return Asked(verb, request.rel_url.path, query)


def _said(fault: Fault) -> dict[str, object]:
    code, reason, message = _STATUS[fault]
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }


def _refusal(met: Met) -> web.Response:
    headers = {"Retry-After": "1"} if met.fault == Fault.THROTTLED else {}
    said = _said(met.fault)
    return web.json_response(said, status=_STATUS[met.fault][0], headers=headers)


def _dropped(request: web.BaseRequest) -> web.StreamResponse:
    """The connection ends without a word more."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _cut(request: web.BaseRequest, content: bytes) -> web.StreamResponse:
    """Half of the answer, where all of it was announced."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(content))})
    await response.prepare(request)
    await response.write(content[: len(content) // 2])
    return _dropped(request)


def _kubeconfig(url: str, token: str) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "faulty", "cluster": {"server": url}}],
            "users": [{"name": "operator", "user": {"token": token}}],
            "contexts": [{"name": "faulty", "context": {"cluster": "faulty", "user": "operator"}}],
            "current-context": "faulty",
        }
    )
