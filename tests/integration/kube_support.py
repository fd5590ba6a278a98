"""What the tests of the API layer share: a namespace of one's own, children to apply, a wire to cut."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from embedding_operator.kube.apply import Applier
from embedding_operator.kube.client import KubeClient
from embedding_operator.kube.connection import connect
from embedding_operator.kube.resources import OWN_KINDS, Resource, key_of

Object = dict[str, Any]
CRDS = Path(__file__).parents[2] / "crds"
MERGE = "application/merge-patch+json"


@contextlib.asynccontextmanager
async def client_of(kubeconfig: Path, **options: Any) -> AsyncIterator[KubeClient]:
    connection = await connect(kubeconfig)
    try:
        yield KubeClient(connection, **options)
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def namespace_of(client: KubeClient) -> AsyncIterator[str]:
    """Namespaces are none of the operator's business, so its client cannot make one; the transport can."""
    name = f"kube-{secrets.token_hex(4)}"
    await raw(client, "POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    await raw(client, "DELETE", f"/api/v1/namespaces/{name}")


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what must happen; the test's own timeout is the limit."""
    while not await condition():  # noqa: ASYNC110 - what is waited for is not in this process
        await asyncio.sleep(0.05)


async def _is_served(client: KubeClient, path: str) -> bool:
    return await raw(client, "GET", path) == 200


async def raw(
    client: KubeClient, method: str, path: str, body: Any = None, content_type: str = "application/json"
) -> int:
    """Any request at all, as somebody else would send it. Returns the status."""
    data = None if body is None else json.dumps(body).encode()
    response = await client._connection.request(method, path, body=data, content_type=content_type)
    await response.read()
    return int(response.status)


async def edit(client: KubeClient, resource: Resource, namespace: str, name: str, patch: Object) -> None:
    """What a person with kubectl edit does; the watch then tells the cache."""
    path = resource.path(namespace, name) + "?fieldManager=kubectl-edit"
    assert await raw(client, "PATCH", path, patch, MERGE) == 200


async def watched(applier: Applier, client: KubeClient, obj: Object) -> None:
    """What the watch tells of an object."""
    seen = await client.get(key_of(obj))
    assert seen is not None
    applier._cache.upsert(seen)


async def install_crds(client: KubeClient) -> None:
    """Our kinds, as an administrator's kubectl apply would bring them; done twice it does no harm."""
    for file in sorted(CRDS.glob("*.yaml")):
        crd = yaml.safe_load(file.read_text())
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{crd['metadata']['name']}"
        query = "?fieldManager=administrator&force=true"
        assert await raw(client, "PATCH", path + query, crd, "application/apply-patch+yaml") < 300
    for resource in OWN_KINDS:
        await until(functools.partial(_is_served, client, resource.path(None)))


class Wire:
    """A TCP relay in front of the API server that can stall (as a stopped process does) or refuse."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = (target.hostname, target.port)
        self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    def stall(self) -> None:
        self._open.clear()

    def resume(self) -> None:
        self._open.set()

    def cut(self) -> None:
        """Drop all connections now; new ones work."""
        for writer in self._writers:
            writer.transport.abort()

    @contextlib.asynccontextmanager
    async def relaying(self, kubeconfig: Path, directory: Path) -> AsyncIterator[Path]:
        """A kubeconfig like the given one whose server is this wire."""
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        try:
            yield _pointed_at(f"https://127.0.0.1:{port}", kubeconfig, directory / f"kubeconfig-{port}")
        finally:
            self._server.close()
            self.cut()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, upstream_writer}
        await asyncio.gather(self._pump(reader, upstream_writer), self._pump(upstream_reader, writer))
        self._writers -= {writer, upstream_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


def _pointed_at(server: str, kubeconfig: Path, copy: Path) -> Path:
    config = yaml.safe_load(kubeconfig.read_text())
    for cluster in config["clusters"]:
        cluster["cluster"]["server"] = server
    copy.write_text(yaml.safe_dump(config))
    return copy


def config_map(namespace: str, name: str = "x", **data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(MANAGED)},
        "data": data,
    }


def deployment(namespace: str, name: str = "x", *, replicas: int = 0, image: str = "none:1") -> Object:
    labels = {"embedding-operator.io/service": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": {**MANAGED, **labels}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "vllm", "image": image}]},
            },
        },
    }


def service(namespace: str, name: str = "x", *, port: int = 80) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(MANAGED)},
        "spec": {"selector": {"embedding-operator.io/service": name}, "ports": [{"name": "http", "port": port}]},
    }


def owned_by(obj: Object, owner: Object) -> Object:
    metadata = owner["metadata"]
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {**obj, "metadata": {**obj["metadata"], "ownerReferences": [reference]}}


MANAGED = {"app.kubernetes.io/managed-by": "embedding-operator"}
