"""A stand-in of what an API server and kubelets do for `try` and `logs`, which no test without kubelets could ask.

tests/e2e/test_whole_path.py holds both commands against the real ones. Lists and objects are as the test writes them;
a port of a pod leads to a server on this machine; a log is what is queued for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

GROUP = "/apis/embedding-operator.io/v1alpha1/namespaces/search"


@dataclass
class ApiServer:
    """`with running(ApiServer(), tmp_path) as kubeconfig:`."""

    services: list[dict[str, Any]] = field(default_factory=list)
    caches: list[dict[str, Any]] = field(default_factory=list)
    benchmarks: list[dict[str, Any]] = field(default_factory=list)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    pods: list[dict[str, Any]] = field(default_factory=list)
    ports: dict[int, int] = field(default_factory=dict)  # of pods, to those of this machine
    logs: dict[str, list[str]] = field(default_factory=dict)  # what each container said; of "pod/previous" before
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)  # by the end of a path
    first: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # answers before those, by the end of a path
    unscheduled: list[str] = field(default_factory=list)  # pods that no node has
    is_bare: bool = False  # it has none of our kinds
    asked: list[dict[str, str]] = field(default_factory=list)  # queries of logs

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if self.is_bare:
            return web.Response(text="404 page not found\n", status=404)
        for end, (status, message) in self.refusals.items():
            if path.endswith(end):
                return web.json_response({"kind": "Status", "message": message, "reason": "No"}, status=status)
        if path.endswith("/portforward"):
            return await self._portforward(request)
        if path.endswith("/log"):
            return await self._log(request)
        if path == "/api/v1/namespaces/search/pods":
            label, _, value = request.query["labelSelector"].partition("=")
            chosen = [pod for pod in self.pods if pod["metadata"]["labels"].get(label) == value]
            return web.json_response({"items": chosen, "metadata": {}})
        for end, answers in self.first.items():
            if path.endswith(end) and answers:
                return web.json_response(answers.pop(0))
        kinds = {
            "embeddingservices": self.services,
            "embeddingjobs": self.jobs,
            "modelcaches": self.caches,
            "embeddingbenchmarks": self.benchmarks,
        }
        for kind, objects in kinds.items():
            for one in objects:
                if path == f"{GROUP}/{kind}/{one['metadata']['name']}":
                    return web.json_response(one)
        return web.json_response({"kind": "Status", "message": "not found", "reason": "NotFound"}, status=404)

    async def _portforward(self, request: web.Request) -> web.StreamResponse:
        if request.headers["Accept"] != "*/*":  # as a kubelet does
            return web.Response(status=406)
        websocket = web.WebSocketResponse(protocols=("v4.channel.k8s.io",))
        await websocket.prepare(request)
        assert websocket.ws_protocol == "v4.channel.k8s.io"
        port = int(request.query["ports"])
        low, high = bytes([port & 255]), bytes([port >> 8])
        for frame in (b"\0" + low, b"\0" + high, b"\1" + low + high):  # in pieces, as any stream may come
            await websocket.send_bytes(frame)
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[port])
        except (OSError, KeyError):
            await websocket.send_bytes(b"\1error forwarding port: connection refused")
            await websocket.close()
            return websocket

        async def back() -> None:
            while data := await reader.read(1000):
                await websocket.send_bytes(b"\0" + data)
            await websocket.close()

        answering = asyncio.create_task(back())
        async for message in websocket:
            if message.type is WSMsgType.BINARY and message.data[0] == 0:
                writer.write(message.data[1:])
        answering.cancel()
        writer.close()
        return websocket

    async def _log(self, request: web.Request) -> web.StreamResponse:
        query = dict(request.query)
        self.asked.append(query | {"pod": request.path.split("/")[-2]})
        name = self.asked[-1]["pod"] + ("/previous" if "previous" in query else "")
        if name in self.unscheduled:
            return web.Response(status=204)
        if name not in self.logs:
            message = 'previous terminated container "vllm" not found' if "previous" in query else "ContainerCreating"
            return web.json_response({"kind": "Status", "message": message, "reason": "BadRequest"}, status=400)
        response = web.StreamResponse()
        await response.prepare(request)
        since = query.get("sinceTime", "")
        lines = [line for line in self.logs[name] if line >= since]
        lines = lines[-int(query["tailLines"]) :] if "tailLines" in query else lines
        text = "".join(f"{line}\n" for line in lines).encode()
        for start in range(0, len(text), 7):  # in pieces that end anywhere
            await response.write(text[start : start + 7])
        return response


@contextlib.contextmanager
def running(server: ApiServer, directory: Path) -> Iterator[str]:
    """Serves in a thread; gives a kubeconfig, whose namespace is `search`."""
    loop = asyncio.new_event_loop()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=1)

    async def start() -> int:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return int(runner.addresses[0][1])

    port = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        file = directory / "kubeconfig"
        config = {
            "current-context": "x",
            "clusters": [{"name": "x", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "x", "user": {"token": "secret"}}],
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x", "namespace": "search"}}],
        }
        file.write_text(json.dumps(config))
        yield str(file)
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def service(name: str = "qwen", **spec: Any) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "False", "reason": "WaitingForWeights", "message": "weights come:\n42 %"}
    return {
        "metadata": {"name": name, "namespace": "search"},
        "spec": {"model": {"source": {"modelScope": {"repo": "Qwen/X"}}}} | spec,
        "status": {"conditions": [ready], "model": {"cache": "weights"}},
    }


def pod(name: str, service: str = "qwen", *, ready: bool = True, created: str = "", **labels: str) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": created,
            "labels": labels or {"embedding-operator.io/service": service},
        },
        "spec": {"containers": [{"name": "vllm", "ports": [{"name": "http", "containerPort": 8000}]}]},
        "status": {"conditions": [{"type": "Ready", "status": str(ready)}], "phase": "Running"},
    }
