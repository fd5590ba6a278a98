"""Brings desired objects to the API server, and leaves it alone when there is nothing to bring.

Writes children and statuses; decides nothing about what is desired. What the server answers goes into the
cache at once, so the next plan does not depend on the watch being quick.
"""

from __future__ import annotations

import hashlib
import json
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from embedding_operator.kube.cache import Cache
from embedding_operator.kube.client import KubeClient
from embedding_operator.kube.errors import ApiError, NameTaken
from embedding_operator.kube.resources import Object, ObjectKey, key_of

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "embedding-operator"


class _Seen(NamedTuple):
    """What was asked for, and what the object looked like when that was last known to be in force."""

    desired: bytes
    observed: str
    until: float


class Applier:
    """`counts` says how often what was done: applied, skipped, created, status, status_skipped."""

    def __init__(
        self,
        client: KubeClient,
        cache: Cache,
        *,
        ttl: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._client = client
        self._cache = cache
        self._ttl = ttl
        self._clock = clock
        self._seen: dict[ObjectKey, _Seen] = {}
        self._sweep_at = 1024

    async def apply(self, desired: Mapping[str, Any]) -> Object:
        """Apply a child and return it as observed. Raises ApiError, or NameTaken if a stranger has its name.

        Ours is what carries our managed-by label and, if `desired` has ownerReferences, one to the same
        owner. What is ours is applied with force, and only that.
        """
        key = key_of(desired)
        digest = digest_of(desired)
        observed = self._cache.get(key)
        if observed is not None and self._is_in_force(key, digest, desired, observed):
            self.counts["skipped"] += 1
            return observed
        known = observed is not None and is_ours(observed, desired)
        try:
            answer = await self._client.apply(desired, force=known)
        except ApiError as error:
            # 422 as well: immutable fields of a stranger's object, or a second controller owner.
            if known or not (error.is_conflict or error.is_invalid):
                raise
            answer = await self._take_back(key, desired, error)
        self.counts["applied"] += 1
        return self._learn(key, digest, desired, answer)

    async def create(self, desired: Mapping[str, Any]) -> Object:
        """Create what is never changed afterwards (Jobs). If it exists and is ours, that is returned."""
        key = key_of(desired)
        observed = self._cache.get(key)
        if observed is not None and is_ours(observed, desired):
            return observed
        try:
            answer = await self._client.create(desired)
            self.counts["created"] += 1
        except ApiError as error:
            if not error.is_already_exists:
                raise
            existing = await self._client.get(key)
            if existing is None:
                raise  # gone in between: the next round creates it
            if not is_ours(existing, desired):
                raise NameTaken(str(key), owner_of(existing)) from error
            answer = existing
        return self._observe(key, answer)

    async def apply_status(self, desired: Mapping[str, Any]) -> Object:
        """Write a status unless it is there already; metadata.uid keeps it from a namesake."""
        key = key_of(desired)
        observed = self._cache.get(key)
        if observed is not None and observed.get("status") == desired["status"]:
            self.counts["status_skipped"] += 1
            return observed
        answer = await self._client.apply_status(desired)
        self.counts["status"] += 1
        return self._observe(key, answer)

    async def delete(self, obj: Mapping[str, Any]) -> bool:
        """Delete exactly this object (by uid), its dependents in the background."""
        key = key_of(obj)
        self.forget(key)
        return await self._client.delete(key, uid=obj["metadata"]["uid"])

    def forget(self, key: ObjectKey) -> None:
        """The next apply of this object is sent, whatever was known."""
        self._seen.pop(key, None)

    async def _take_back(self, key: ObjectKey, desired: Mapping[str, Any], error: ApiError) -> Object:
        """An unforced apply was refused: is it ours (then insist) or somebody else's (then say whose)?"""
        existing = await self._client.get(key)
        if existing is None:
            raise error
        if not is_ours(existing, desired):
            raise NameTaken(str(key), owner_of(existing)) from error
        if error.is_invalid:
            raise error
        return await self._client.apply(desired, force=True)

    def _is_in_force(
        self, key: ObjectKey, digest: bytes, desired: Mapping[str, Any], observed: Mapping[str, Any]
    ) -> bool:
        seen = self._seen.get(key)
        return (
            seen is not None
            and seen.desired == digest
            and seen.until > self._clock()
            and seen.observed == fingerprint(desired, observed)
        )

    def _learn(
        self, key: ObjectKey, digest: bytes, desired: Mapping[str, Any], answer: Mapping[str, Any]
    ) -> Object:
        now = self._clock()
        if len(self._seen) >= self._sweep_at:
            self._seen = {other: seen for other, seen in self._seen.items() if seen.until > now}
            self._sweep_at = max(1024, 2 * len(self._seen))
        # Spread over +-10 %, so that what was applied together does not expire together.
        until = now + self._ttl * (0.9 + 0.2 * (zlib.crc32(str(key).encode()) % 1000) / 1000)
        self._seen[key] = _Seen(digest, fingerprint(desired, answer), until)
        return self._observe(key, answer)

    def _observe(self, key: ObjectKey, answer: Mapping[str, Any]) -> Object:
        self._cache.upsert(answer)
        # The watch may have told of something newer, or of the deletion, while the answer was on its way.
        return self._cache.get(key) or dict(answer)


def digest_of(desired: Mapping[str, Any]) -> bytes:
    canonical = json.dumps(desired, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.blake2b(canonical.encode(), digest_size=16).digest()


def fingerprint(desired: Mapping[str, Any], observed: Mapping[str, Any]) -> str:
    """What of `observed` would move if somebody undid `desired`.

    The spec is covered by the generation, because resourceVersion moves with every status update too; kinds
    without a generation (Service, ConfigMap) have only the latter. Metadata does not count in the generation,
    so the part of it that we set is compared as it is.
    """
    wanted, actual = desired["metadata"], observed["metadata"]
    ours: list[object] = [
        actual.get("uid"),
        actual.get("generation") or "rv" + str(actual.get("resourceVersion")),
    ]
    for field in ("labels", "annotations"):
        values = actual.get(field) or {}
        ours.append([values.get(name) for name in sorted(wanted.get(field) or {})])
    owners = {owner["uid"] for owner in wanted.get("ownerReferences") or ()}
    ours.append(
        sorted(owner["uid"] for owner in actual.get("ownerReferences") or () if owner["uid"] in owners)
    )
    return json.dumps(ours)


def is_ours(existing: Mapping[str, Any], desired: Mapping[str, Any]) -> bool:
    """Whether we made it, for the same owner.

    An owner that was deleted and made again under its name has a new uid; its children are ours still.
    """
    metadata = existing["metadata"]
    if (metadata.get("labels") or {}).get(MANAGED_BY) != MANAGER:
        return False
    wanted = {_identity(owner) for owner in desired["metadata"].get("ownerReferences") or ()}
    actual = {_identity(owner) for owner in metadata.get("ownerReferences") or ()}
    return bool(wanted & actual) if wanted else not actual


def owner_of(existing: Mapping[str, Any]) -> str:
    """Whose it is, in words for users."""
    metadata = existing["metadata"]
    owners = metadata.get("ownerReferences") or ()
    if owners:
        return " and ".join(f"{owner['kind']} {owner['name']}" for owner in owners)
    manager = (metadata.get("labels") or {}).get(MANAGED_BY)
    if manager:
        return f"{manager} (its label {MANAGED_BY})"
    managers = {entry["manager"] for entry in metadata.get("managedFields") or () if entry.get("manager")}
    return (
        "somebody else (last written by " + ", ".join(sorted(managers)) + ")" if managers else "somebody else"
    )


def _identity(owner: Mapping[str, Any]) -> tuple[str, str]:
    return owner["kind"], owner["name"]
