"""The API server without faults: for users, for whoever plays kubelet, and for looking at what came of it."""

from __future__ import annotations

import json
from typing import Any

from embedding_operator.kube.connection import Connection

Object = dict[str, Any]
_MERGE = "application/merge-patch+json"
_OWN = "/apis/embedding-operator.io/v1alpha1"
PATHS = {
    "emb": f"{_OWN}/{{}}embeddingservices",
    "mcache": f"{_OWN}/{{}}modelcaches",
    "deployment": "/apis/apps/v1/{}deployments",
    "service": "/api/v1/{}services",
    "pod": "/api/v1/{}pods",
    "pvc": "/api/v1/{}persistentvolumeclaims",
    "revision": "/apis/apps/v1/{}controllerrevisions",
    "job": "/apis/batch/v1/{}jobs",
}


class Direct:
    """One namespace (all of them, if none is named), by kubectl's words for kinds."""

    def __init__(self, connection: Connection, namespace: str = "") -> None:
        self.namespace = namespace
        self._connection = connection
        self._within = f"namespaces/{namespace}/" if namespace else ""

    async def create(self, kind: str, manifest: Object) -> None:
        await self.ask("POST", self._path(kind), manifest)

    async def patch(self, kind: str, name: str, patch: Object, subresource: str = "") -> None:
        await self.ask("PATCH", self._path(kind, name) + subresource, patch)

    async def delete(self, kind: str, name: str) -> None:
        await self.ask("DELETE", self._path(kind, name))

    async def get(self, kind: str, name: str) -> Object:
        """As it is; empty if it is not."""
        return await self.ask("GET", self._path(kind, name), missing=True)

    async def items(self, kind: str, selector: str = "") -> list[Object]:
        found: list[Object] = (await self.ask("GET", f"{self._path(kind)}?labelSelector={selector}"))["items"]
        return found

    async def ask(self, method: str, path: str, body: Object | None = None, *, missing: bool = False) -> Object:
        """Any request at all; with `missing`, what is not there is no error."""
        response = await self._connection.request(
            method,
            path,
            body=None if body is None else json.dumps(body).encode(),
            content_type=_MERGE if method == "PATCH" else "application/json",
        )
        text = await response.text()
        if response.status == 404 and missing:
            return {}
        assert response.status < 300, f"{method} {path}: {text}"
        answer: Object = json.loads(text)
        return answer

    def _path(self, kind: str, name: str = "") -> str:
        return PATHS[kind].format(self._within) + (f"/{name}" if name else "")
