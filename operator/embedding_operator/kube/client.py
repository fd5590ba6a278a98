"""A small client of the API server: dicts in, dicts out.

The official client is not used: it costs 19 MB of memory and ten packages, and its typed classes refuse answers of API
servers newer than themselves.
It retries nothing itself: the work queue does, with backoff and Retry-After.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, Literal

import aiohttp

from embedding_operator.api.names import FIELD_MANAGER
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.paging import Listing, decoded, page_decoder
from embedding_operator.kube.resources import Object, ObjectKey, Resource, by_kind, key_of
from embedding_operator.kube.sending import Query, Sender
from embedding_operator.kube.wholelist import WholeList

logger = logging.getLogger(__name__)

_APPLY: Final = "application/apply-patch+yaml"  # JSON is YAML
_MERGE: Final = "application/merge-patch+json"
_LONG_ANSWER: Final = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=30.0)
_TOO_MUCH: Final = (0, 500, 502, 504)  # or an API server that is away, which one more request does no harm
_CHUNK: Final = 100  # objects, of up to 10 kB as JSON and several times that as dicts
_MAX_RESTARTS: Final = 5

Propagation = Literal["Background", "Foreground", "Orphan"]


class KubeClient(Sender):
    """The verbs of Kubernetes; how their requests travel is Sender's."""

    # ---- reading

    async def get(self, key: ObjectKey) -> Object | None:
        """The object, None if there is none. Raises ApiError also where the API server does not know its kind (yet)."""
        try:
            return await self._send("get", by_kind(key.kind), key.namespace, key.name)
        except ApiError as error:
            if error.is_not_found and not error.is_kind_missing:
                return None
            raise

    async def pages(
        self,
        resource: Resource,
        namespace: str | None = None,
        selector: str = "",
        chunk: int = _CHUNK,
        *,
        shaped: bool = False,
    ) -> AsyncIterator[Listing]:
        """The collection in chunks, so that ten thousand objects are never in memory at once; with `shaped`, only what
        planners read of each object (kube/shapes.py).

        Raises a 410 when the server forgot the snapshot in between; what was yielded by then is still true
        of that snapshot.
        """
        token: str | None = None
        path, decode = resource.path(namespace or None), page_decoder(resource.kind if shaped else None)
        while True:
            query: Query = {"limit": chunk, "labelSelector": selector or None, "continue": token}
            page = decoded(await self._answer("list", resource, path, query), decode, f"list {path}")
            items: list[Object] = page.items or []
            for item in items:  # items of built-in kinds come without these
                item["apiVersion"], item["kind"] = resource.api_version, resource.kind
            yield Listing(items, page.metadata.resource_version)
            token = page.metadata.token
            if not token:
                return

    async def collection(
        self, resource: Resource, namespace: str | None = None, selector: str = ""
    ) -> AsyncIterator[Listing]:
        """All there is, a part at a time, in the shapes of kube/shapes.py; the last part tells the resourceVersion.

        In one answer (see WholeList). Should that be too much for an API server, or for what is between, it is asked
        for once more, in pages, of which the first says that they begin anew.
        """
        try:
            async for part in self._whole(resource, namespace, selector):
                yield part
            return
        except ApiError as error:
            if error.status not in _TOO_MUCH:
                raise
            logger.info("%s; asking for pages of it", error)
        anew = True
        async for page in self.pages(resource, namespace, selector, shaped=True):
            yield page._replace(anew=anew)
            anew = False

    async def _whole(self, resource: Resource, namespace: str | None, selector: str) -> AsyncIterator[Listing]:
        read = WholeList(resource, f"list {resource.path(namespace or None)}")
        query: Query = {"labelSelector": selector or None}
        async with self.streaming(resource, namespace or None, query, _LONG_ANSWER, "list") as chunks:
            async for chunk in chunks:
                yield Listing(read.feed(chunk), "")
        yield read.end()

    async def list(
        self, resource: Resource, namespace: str | None = None, selector: str = "", chunk: int = _CHUNK
    ) -> Listing:
        """All of the collection (of all namespaces without `namespace`), as of one resourceVersion."""
        for attempt in range(_MAX_RESTARTS):
            items: list[Object] = []
            version = ""
            # The last attempt asks for everything at once, which cannot expire half-way.
            size = chunk if attempt < _MAX_RESTARTS - 1 else 0
            try:
                async for page in self.pages(resource, namespace, selector, size):
                    items += page.items
                    version = page.resource_version
            except ApiError as error:
                if not error.is_expired or size == 0:
                    raise
            else:
                return Listing(items, version)
        raise AssertionError("unreachable: the last attempt returns or raises")

    # ---- writing

    async def apply(
        self, obj: Mapping[str, Any], *, force: bool = True, manager: str = FIELD_MANAGER, dry_run: bool = False
    ) -> Object:
        """Server-side apply: creates or patches; only the fields in `obj` become ours. Returns the object."""
        return await self._apply(obj, None, force, manager, dry_run)

    async def apply_status(self, obj: Mapping[str, Any]) -> Object:
        """Server-side apply of `obj`'s status; with metadata.resourceVersion, to that version only."""
        return await self._apply(obj, "status", True)

    async def create(self, obj: Mapping[str, Any], *, manager: str = FIELD_MANAGER, dry_run: bool = False) -> Object:
        key = key_of(obj)
        query: Query = {"fieldManager": manager, "fieldValidation": "Strict", "dryRun": "All" if dry_run else None}
        return await self._send("create", by_kind(key.kind), key.namespace, query=query, body=obj)

    async def replace(self, obj: Mapping[str, Any]) -> Object:
        """PUT; with metadata.resourceVersion it fails with a 409 if anybody was faster."""
        key = key_of(obj)
        query: Query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        return await self._send("replace", by_kind(key.kind), key.namespace, key.name, query=query, body=obj)

    async def merge_patch(
        self, key: ObjectKey, patch: Mapping[str, Any], *, manager: str = FIELD_MANAGER, dry_run: bool = False
    ) -> Object:
        """For Events, which are not declared but told, and for what we change in an object that is not wholly ours.
        Everything else is applied. A dry run is checked as the real one would be, and changes nothing."""
        query: Query = {"fieldManager": manager, "dryRun": "All" if dry_run else None}
        return await self._send(
            "patch", by_kind(key.kind), key.namespace, key.name, query=query, body=patch, content_type=_MERGE
        )

    async def delete(self, key: ObjectKey, *, uid: str | None = None, propagation: Propagation = "Background") -> bool:
        """False if it is gone already, or (with `uid`) if another object has the name now."""
        body: Object = {"propagationPolicy": propagation}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        try:
            await self._send("delete", by_kind(key.kind), key.namespace, key.name, body=body)
        except ApiError as error:
            if error.is_not_found or (uid is not None and error.is_conflict):
                return False
            raise
        return True

    async def evict(self, key: ObjectKey, *, uid: str | None) -> bool:
        """Delete a pod if its disruption budget allows it now; False if it does not, the pod is gone already, or this
        may not be done at all, which keeps nothing else from being done."""
        options: Object = {"preconditions": {"uid": uid}} if uid else {}
        body: Object = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": key.name, "namespace": key.namespace},
            "deleteOptions": options,
        }
        try:
            await self._send("evict", by_kind(key.kind), key.namespace, key.name, "eviction", body=body)
        except ApiError as error:
            # of two budgets that have the pod, one of them somebody else's, the API server says 500
            if error.status in (403, 404, 409, 429) or "more than one PodDisruptionBudget" in error.message:
                return False
            raise
        return True

    async def _apply(
        self,
        obj: Mapping[str, Any],
        subresource: str | None,
        force: bool,
        manager: str = FIELD_MANAGER,
        dry_run: bool = False,
    ) -> Object:
        key = key_of(obj)
        query: Query = {"fieldManager": manager, "fieldValidation": "Strict", "force": force}
        return await self._send(
            "apply",
            by_kind(key.kind),
            key.namespace,
            key.name,
            subresource,
            query={**query, "dryRun": "All" if dry_run else None},
            body=obj,
            content_type=_APPLY,
        )


async def peek(client: KubeClient, resource: Resource, namespace: str | None = None) -> None:
    """Ask for one object, whichever: an ApiError tells that there is no such kind, or that it may not be listed."""
    async for _ in client.pages(resource, namespace, chunk=1):
        break
