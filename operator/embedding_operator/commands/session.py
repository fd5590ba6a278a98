"""What commands do with a cluster, with the rights of whoever calls them; what stops them is told in one line."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from embedding_operator.api import names
from embedding_operator.commands import CommandError
from embedding_operator.kube.access import AccessError
from embedding_operator.kube.client import KubeClient
from embedding_operator.kube.connection import Connection, connect
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import Object, ObjectKey


@dataclass(frozen=True, slots=True)
class Session:
    """A cluster, and the namespace that is meant."""

    connection: Connection
    client: KubeClient
    namespace: str

    def key(self, kind: str, name: str) -> ObjectKey:
        """Of an object in the namespace."""
        return ObjectKey(kind, self.namespace, name)

    async def find(self, kind: str, name: str) -> Object | None:
        """The object of that name, if there is one. Raises ApiError where the cluster does not even have its kind."""
        return await self.client.get(self.key(kind, name))

    async def service(self, name: str) -> Object:
        """The EmbeddingService of that name. Raises CommandError where there is none."""
        service = await self.find(names.EMBEDDING_SERVICE, name)
        if service is None:
            raise CommandError(
                f"emb/{name}: there is no such EmbeddingService in namespace {self.namespace} (-n names another)"
            )
        return service


def with_cluster(arguments: argparse.Namespace, do: Callable[[Session], Awaitable[int]]) -> int:
    """Do it with a client of the cluster that the arguments name; gives the exit code. Raises CommandError."""
    return asyncio.run(_with_cluster(arguments, do))


async def _with_cluster(arguments: argparse.Namespace, do: Callable[[Session], Awaitable[int]]) -> int:
    try:
        connection = await connect(arguments.kubeconfig, arguments.context)
    except AccessError as error:
        raise CommandError(
            f"no way to an API server: {error}; name a kubeconfig with --kubeconfig or $KUBECONFIG"
        ) from None
    namespace = getattr(arguments, "namespace", None) or connection.namespace
    try:
        return await do(Session(connection, KubeClient(connection), namespace))
    except ApiError as error:
        raise CommandError(in_words(error)) from None
    finally:
        await connection.close()


def in_words(error: ApiError) -> str:
    """What the API server says, and what that means where its words do not tell."""
    if error.is_conflict:
        return "it was changed meanwhile, look again"
    if error.is_kind_missing:
        return f"{error.message}: is embedding-operator installed there?"
    return error.message
