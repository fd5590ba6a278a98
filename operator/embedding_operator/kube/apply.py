"""Brings desired objects to the API server, and leaves it alone when there is nothing to bring.

Writes children and statuses; decides nothing about what is desired. What the server answers goes into the
cache at once, so the next plan does not depend on the watch being quick.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final
from weakref import WeakValueDictionary

from embedding_operator.api.names import FIELD_MANAGER
from embedding_operator.kube.cache import Cache
from embedding_operator.kube.client import KubeClient
from embedding_operator.kube.errors import ApiError, NameTaken
from embedding_operator.kube.inforce import APPLIED_ANNOTATION, digest_of, fingerprint, is_held, marked
from embedding_operator.kube.owners import is_former_ones, is_ours, owner_of
from embedding_operator.kube.resources import Object, ObjectKey, key_of

# etcd's first revision, before there was any object: a server-side apply with it creates, or is a conflict.
NOBODYS_VERSION: Final = "1"
_REPAIR: Final = f"{FIELD_MANAGER}-repair"
_REMEMBERED: Final = 1024
_STATUS_METADATA: Final = ("name", "namespace", "resourceVersion")


class Applier:
    """`counts` says how often what was done: applied, skipped, created, patched, written_over, status, ..."""

    def __init__(self, client: KubeClient, cache: Cache) -> None:
        self.counts: Counter[str] = Counter()
        self._client = client
        self._cache = cache
        # By object: what was asked for, and what the object looked like when that was last known to be in force.
        self._seen: dict[ObjectKey, bytes] = {}
        self._digests: dict[ObjectKey, tuple[Mapping[str, Any], str]] = {}
        self._shared: WeakValueDictionary[ObjectKey, asyncio.Lock] = WeakValueDictionary()
        self._sweep_at = 1024

    async def apply(self, desired: Mapping[str, Any]) -> Object:
        """Apply a child and return it as observed. Raises ApiError, or NameTaken if a stranger has its name.

        What is ours (see is_ours) is applied with force, and only that.
        """
        key = key_of(desired)
        if desired["metadata"].get("ownerReferences"):
            return await self._apply(key, desired)
        async with self._shared.setdefault(key, asyncio.Lock()):  # what many reconciles want at once is sent once
            return await self._apply(key, desired)

    async def _apply(self, key: ObjectKey, desired: Mapping[str, Any]) -> Object:
        digest = self._digest_of(key, desired)
        observed = self._cache.get(key)
        if observed is not None and self._is_in_force(key, digest, desired, observed):
            self.counts["skipped"] += 1
            return observed
        if observed is not None and is_ours(observed, desired):
            answer = await self._apply_ours(key, desired, digest)
        elif observed is None:
            answer = await self._apply_first(key, desired, digest)
        else:
            answer = await self._apply_seen(key, desired, digest)
        self.counts["applied"] += 1
        return self._learn(key, digest, desired, answer)

    def _digest_of(self, key: ObjectKey, desired: Mapping[str, Any]) -> str:
        """What has no owner is asked for by many, as the same object each time, and may be large."""
        known = self._digests.get(key)
        if known is not None and known[0] is desired:
            return known[1]
        digest = digest_of(desired)
        if not desired["metadata"].get("ownerReferences"):
            if len(self._digests) >= _REMEMBERED:
                self._digests.clear()
            self._digests[key] = desired, digest
        return digest

    async def _apply_first(self, key: ObjectKey, desired: Mapping[str, Any], digest: str) -> Object:
        """The first apply of a child needs no look: mostly there is none."""
        try:
            return await self._make(desired, digest)
        except ApiError as error:
            if not error.is_conflict:
                raise
            return await self._apply_seen(key, desired, digest)

    async def _apply_seen(self, key: ObjectKey, desired: Mapping[str, Any], digest: str) -> Object:
        """Look whose it is, and apply if it is ours; if it has gone, make it."""
        if await self._existing(key, desired) is not None:
            return await self._apply_ours(key, desired, digest)
        return await self._make(desired, digest)

    async def _apply_ours(self, key: ObjectKey, desired: Mapping[str, Any], digest: str) -> Object:
        """Apply what exists and is ours, whatever somebody made of it.

        An apply joins lists by the keys of their entries: where the number of a port was changed by hand there are two
        of one name then. What is refused so is first written over.
        """
        wish = marked(desired, digest)
        try:
            answer = await self._client.apply(wish, force=True)
        except ApiError as error:
            if error.status != 422 or "spec" not in desired or not await self._write_over(key, desired):
                raise
            answer = await self._client.apply(wish, force=True)
        if _is_repaired(answer):  # by an operator that was killed before it could disown it
            answer = await self._disown(key, answer)
        return answer

    async def _write_over(self, key: ObjectKey, desired: Mapping[str, Any]) -> bool:
        """Put the lists of the wish in the place of those that are there; False if they are what is refused.

        The fields must be nobody's afterwards, or they would stay when they are not applied any more. Without its
        digest the object is applied once more, should we be killed before that.
        """
        undone = {"spec": desired["spec"], "metadata": {"annotations": {APPLIED_ANNOTATION: None}}}
        try:
            answer = await self._client.merge_patch(key, undone, manager=_REPAIR)
        except ApiError as error:
            if error.is_invalid:
                return False
            raise
        await self._disown(key, answer)
        self.counts["written_over"] += 1
        return True

    async def _disown(self, key: ObjectKey, written: Object) -> Object:
        """Have what was written over be nobody's."""
        metadata = written["metadata"]
        rest = [entry for entry in metadata.get("managedFields") or () if entry.get("manager") != _REPAIR]
        body = {"metadata": {"resourceVersion": metadata["resourceVersion"], "managedFields": rest}}
        return await self._client.merge_patch(key, body, manager=_REPAIR)

    async def _make(self, desired: Mapping[str, Any], digest: str) -> Object:
        """An apply that makes a child, or is refused and changes nothing at all.

        Even an unforced apply merges into a stranger's object where no field conflicts, so it carries a version that
        no object has: what exists is refused, in the same transaction that would have changed it.
        """
        first = marked(desired, digest)
        first["metadata"]["resourceVersion"] = NOBODYS_VERSION
        return await self._client.apply(first, force=False)

    async def create(self, desired: Mapping[str, Any]) -> Object:
        """Create what is never changed afterwards (Jobs). If it exists and is ours, that is returned.

        What a former owner of the same name left makes room: it says nothing of this one, and is collected in a moment.
        """
        key = key_of(desired)
        found: Object | None = self._cache.get(key)
        if found is None or not is_ours(found, desired):
            found = await self._create_unless_there(desired) or await self._existing(key, desired)
        if found is not None and is_former_ones(found, desired):
            await self.delete(found)
            found = None
        return self._observe(key, found or await self._create(desired))

    async def _create(self, desired: Mapping[str, Any]) -> Object:
        answer = await self._client.create(desired)
        self.counts["created"] += 1
        return answer

    async def _create_unless_there(self, desired: Mapping[str, Any]) -> Object | None:
        try:
            return await self._create(desired)
        except ApiError as error:
            if not error.is_already_exists:
                raise
            return None

    async def apply_status(self, desired: Mapping[str, Any]) -> Object:
        """Write the status of an object that is in the cache, unless it is there already.

        The write holds for the very version that the cache knows: a 409 says that the object has changed, and
        a status that was planned for it before must not stand. (A uid in the body would not do: the API server
        ignores it in status requests of custom resources.)
        """
        key = key_of(desired)
        observed = self._cache.get(key)
        if observed is None or observed["metadata"].get("uid") != desired["metadata"].get("uid"):
            raise ApiError(404, "NotFound", f"{key} was deleted, its status is not written")
        if observed.get("status") == desired["status"]:
            self.counts["status_skipped"] += 1
            return observed
        metadata = {name: observed["metadata"][name] for name in _STATUS_METADATA if name in observed["metadata"]}
        answer = await self._client.apply_status({**desired, "metadata": metadata})
        self.counts["status"] += 1
        return self._observe(key, answer)

    async def patch(self, observed: Mapping[str, Any], changes: Mapping[str, Any]) -> Object:
        """Change a part of an object of our own kinds that others write too (a JSON merge patch).

        It holds for the version that was observed: a 409 says that the object has changed since.
        """
        version = {"resourceVersion": observed["metadata"]["resourceVersion"]}
        body = {**changes, "metadata": {**changes.get("metadata", {}), **version}}
        key = key_of(observed)
        answer = await self._client.merge_patch(key, body)
        self.counts["patched"] += 1
        return self._observe(key, answer)

    async def replace(self, obj: Mapping[str, Any]) -> Object:
        """Write an object whole, over the version that it was made of: a 409 says that it has changed since."""
        answer = await self._client.replace(obj)
        self.counts["replaced"] += 1
        return self._observe(key_of(obj), answer)

    async def delete(self, obj: Mapping[str, Any]) -> bool:
        """Delete exactly this object (by uid), its dependents in the background."""
        key = key_of(obj)
        self.forget(key)
        return await self._client.delete(key, uid=obj["metadata"]["uid"])

    def forget(self, key: ObjectKey) -> None:
        """The next apply of this object is sent, whatever was known."""
        self._seen.pop(key, None)

    async def _existing(self, key: ObjectKey, desired: Mapping[str, Any]) -> Object | None:
        """What has the name, if it is ours; None if it is gone."""
        existing = await self._client.get(key)
        if existing is not None and not is_ours(existing, desired):
            raise NameTaken(str(key), owner_of(existing))
        return existing

    def _is_in_force(
        self, key: ObjectKey, digest: str, desired: Mapping[str, Any], observed: Mapping[str, Any]
    ) -> bool:
        seen = self._seen.get(key)
        if seen is not None and seen == _told(digest, desired, observed):
            return True
        if not is_held(observed, desired, digest):
            return False
        self._remember(key, digest, desired, observed)
        return True

    def _learn(self, key: ObjectKey, digest: str, desired: Mapping[str, Any], answer: Mapping[str, Any]) -> Object:
        self._remember(key, digest, desired, answer)
        return self._observe(key, answer)

    def _remember(self, key: ObjectKey, digest: str, desired: Mapping[str, Any], observed: Mapping[str, Any]) -> None:
        if len(self._seen) >= self._sweep_at:
            self._seen = {other: seen for other, seen in self._seen.items() if other in self._cache}
            self._sweep_at = max(1024, 2 * len(self._seen))
        self._seen[key] = _told(digest, desired, observed)

    def _observe(self, key: ObjectKey, answer: Mapping[str, Any]) -> Object:
        self._cache.upsert(answer)
        # The watch may have told of something newer, or of the deletion, while the answer was on its way.
        return self._cache.get(key) or dict(answer)


def _told(digest: str, desired: Mapping[str, Any], observed: Mapping[str, Any]) -> bytes:
    return bytes.fromhex(digest) + fingerprint(desired, observed)


def _is_repaired(written: Mapping[str, Any]) -> bool:
    return any(entry.get("manager") == _REPAIR for entry in written["metadata"].get("managedFields") or ())
