"""All that the API server holds of a namespace, read in one process: ten namespaces are compared many times."""

from __future__ import annotations

from typing import Any

from embedding_operator.kube.connection import Connection
from tests.cluster.kubectl import Kubectl
from tests.faulty.direct import Direct, Object

_SKIPPED = {"events", "leases", "endpoints", "endpointslices"}
"""As tests/chaos/state.py, which says why; and what Kubernetes derives from Services and pods, which are compared: it
may lose the slices of a Service that was deleted and made again at once."""


class Everything:
    """Reads every kind that can be listed, and the cluster-scoped ones that are ours."""

    def __init__(self, connection: Connection, kubectl: Kubectl) -> None:
        self._connection = connection
        self._kinds: list[tuple[str, str, str]] = []  # apiVersion, kind, plural
        for line in kubectl("api-resources", "--namespaced", "--verbs=list", "--no-headers").splitlines():
            plural, *_, version, _, kind = line.split()
            if plural not in _SKIPPED:
                self._kinds.append((version, kind, plural))

    async def namespace(self, name: str) -> Direct:
        """A new one."""
        direct = Direct(self._connection, name)
        await direct.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        return direct

    async def forget(self, name: str) -> None:
        await Direct(self._connection).ask("DELETE", f"/api/v1/namespaces/{name}", missing=True)

    async def read(self, namespace: str) -> list[Object]:
        """What is there now."""
        found: list[Object] = []
        for version, kind, plural in self._kinds:
            found += await self._list(version, kind, f"namespaces/{namespace}/{plural}")
        return found + await self._list("embedding-operator.io/v1alpha1", "RuntimeProfile", "runtimeprofiles")

    async def _list(self, version: str, kind: str, path: str) -> list[Object]:
        root = "/api" if version == "v1" else "/apis"
        answer: dict[str, Any] = await Direct(self._connection).ask("GET", f"{root}/{version}/{path}")
        return [{**item, "apiVersion": version, "kind": kind} for item in answer["items"]]
