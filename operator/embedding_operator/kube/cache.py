"""What the operator knows of the cluster: one compact copy of each watched object, with indexes.

Planners read from here and never from the API server. The objects handed out may be the stored ones: read
them, never change them. No I/O and no clock in here.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from embedding_operator.api.names import (
    BENCHMARK_LABEL,
    CACHE_LABEL,
    CLAIM_LABEL,
    EMBEDDING_BENCHMARK,
    EMBEDDING_JOB,
    JOB_LABEL,
    SERVICE_LABEL,
)
from embedding_operator.kube.compact import MANY, Examples, Kept, Packed, compact, kept, says_the_same
from embedding_operator.kube.resources import OWN_KINDS, Object, ObjectKey, Objects, key_of

INDEXED_LABELS: Final = (SERVICE_LABEL, JOB_LABEL, CACHE_LABEL, CLAIM_LABEL, BENCHMARK_LABEL)
_REFERRING: Final = (EMBEDDING_JOB, EMBEDDING_BENCHMARK)
_REMEMBERED_DELETIONS: Final = 20_000
_UNPACKED: Final = 1_000
"""What has just changed is read soon, and changes again; packing it would take a tenth of the operator's CPU."""
_OPENED: Final = 128
"""A reconcile reads what it reads several times over, and workers take turns."""
_DEFAULTS_MAY_APPEAR: Final = frozenset(resource.kind for resource in OWN_KINDS)

Keys = list[ObjectKey]
Buckets = list[tuple[str, ...]]


class Cache:
    """`unpacked` is how many of the objects that changed last are kept as they are; `opened`, of how many others that
    were read last it is kept what came out."""

    def __init__(self, *, unpacked: int = _UNPACKED, opened: int = _OPENED) -> None:
        self.changes = 0  # how often something changed that planners can see
        self._objects: dict[ObjectKey, Kept] = {}
        self._examples: Examples = {}
        self._most_unpacked = unpacked
        self._unpacked: OrderedDict[ObjectKey, None] = OrderedDict()  # in the order of their last change
        self._most_opened = opened
        self._opened: dict[ObjectKey, tuple[Kept, Object]] = {}  # of what is packed, what was read last
        # Buckets are dicts used as ordered sets. One kind of bucket per question that planners ask.
        self._buckets: defaultdict[tuple[str, ...], dict[ObjectKey, None]] = defaultdict(dict)
        # uid -> version at which it was deleted: a LIST begun before that must not bring the object back. News
        # after that are taken in, because a watch with a selector also calls it a deletion when somebody takes
        # our label off, and we put that back.
        self._deleted: OrderedDict[str, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._objects)

    def __contains__(self, key: object) -> bool:
        return key in self._objects

    def get(self, key: ObjectKey) -> Object | None:
        known = self._objects.get(key)
        return None if known is None else self._open(key, known)

    def list(self, kind: str, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> Objects:
        """Objects of a kind, by namespace and labels if given, sorted by namespace and name."""
        wanted = dict(labels or {})
        bucket = self._narrowest(kind, namespace, wanted)
        keys = sorted(key for key in bucket if key.kind == kind and (namespace is None or key.namespace == namespace))
        found = [self._open(key, self._objects[key]) for key in keys]
        return [obj for obj in found if _labels(obj).items() >= wanted.items()] if wanted else found

    def keys(self, kind: str, namespace: str | None = None) -> Keys:
        return sorted(self._narrowest(kind, namespace, {}))

    def referring(self, kind: str, namespace: str, service: str) -> Keys:
        """The jobs or benchmarks whose spec.serviceRef names a service."""
        return sorted(self._buckets.get((kind, namespace, service), ()))

    def count(self, kind: str) -> int:
        return len(self._buckets.get((kind,), ()))

    def upsert(self, obj: Mapping[str, Any], *, shaped: bool = False) -> bool:
        """Take in what the API server says; True if something changed that planners can see.

        News that are older than what is known (a watch and our own writes overtake each other), or about
        an object that is known to be deleted, change nothing. With `shaped` the object is given away (see compact).
        """
        key = key_of(obj)
        old = self._objects.get(key)
        metadata = obj["metadata"]
        version, uid = metadata.get("resourceVersion"), metadata.get("uid", "")
        if uid in self._deleted and not _is_newer_version(version, self._deleted[uid]):
            return False
        if old is not None and (_is_older(version, old.version) or _is_same(key.kind, version, old.version)):
            return False
        before = None if old is None else self._open(key, old)
        cut = compact(obj, before, self._examples, shaped=shaped)
        if old is not None and before is not None:
            if says_the_same(cut, before):
                if not isinstance(old.content, Packed):  # others hold it, and may compare
                    old.content["metadata"]["resourceVersion"] = version or ""
                self._objects[key] = old._replace(version=version)
                return False
            self._unlink(key, before)
        self._keep(key, kept(cut))
        for bucket in _buckets_of(key, cut):
            self._buckets[bucket][key] = None
        self.changes += 1
        return True

    def discard(self, key: ObjectKey, uid: str | None = None, version: str = "") -> bool:
        """Forget a deleted object; with `uid`, only if it is that one and not a namesake.

        `version` is the resourceVersion that the deletion event carries, which is the deletion's own.
        """
        old = self.get(key)
        known = old["metadata"] if old is not None else {}
        same = not uid or known.get("uid") == uid
        self._remember_deleted(uid or known.get("uid", ""), version or (same and known.get("resourceVersion")) or "")
        if old is None or not same:
            return False
        self.drop(key)
        return True

    def drop(self, key: ObjectKey) -> None:
        """Forget an object whose kind is not served. Should that be wrong, a LIST brings it back as it is."""
        old = self.get(key)
        if old is not None:
            self._unlink(key, old)
            del self._objects[key]
            self._unpacked.pop(key, None)
            self.changes += 1

    def prune(self, kind: str, seen: Iterable[ObjectKey], *, as_of: str = "", namespace: str | None = None) -> Keys:
        """Forget what a full LIST did not show, and say what that was: its deletion event was lost.

        `as_of` is the LIST's resourceVersion: objects that are newer than it are kept.
        """
        present = seen if isinstance(seen, set | frozenset) else set(seen)
        missing = [key for key in self.keys(kind, namespace) if key not in present]
        gone = [key for key in missing if not _is_newer_version(self._objects[key].version, as_of)]
        for key in gone:
            self.discard(key, version=as_of)
        return gone

    def _keep(self, key: ObjectKey, new: Kept) -> None:
        """As it is for now; packed when as many others have changed since."""
        self._objects[key] = new
        if key.kind not in MANY:
            return
        self._unpacked[key] = None
        self._unpacked.move_to_end(key)
        if len(self._unpacked) > self._most_unpacked:
            oldest, _ = self._unpacked.popitem(last=False)
            self._objects[oldest] = self._objects[oldest].packed(self._examples)

    def _open(self, key: ObjectKey, known: Kept) -> Object:
        if not isinstance(known.content, Packed):
            return known.content
        opened = self._opened.get(key)
        if opened is None or opened[0] is not known:
            if len(self._opened) >= self._most_opened:
                self._opened.clear()
            opened = self._opened[key] = known, known.object()
        return opened[1]

    def _narrowest(self, kind: str, namespace: str | None, wanted: dict[str, str]) -> Iterable[ObjectKey]:
        if namespace is not None:
            for label in INDEXED_LABELS:
                if label in wanted:
                    return self._buckets.get((label, namespace, wanted[label]), ())
            return self._buckets.get((kind, namespace), ())
        return self._buckets.get((kind,), ())

    def _unlink(self, key: ObjectKey, obj: Object) -> None:
        for bucket in _buckets_of(key, obj):
            members = self._buckets[bucket]
            members.pop(key, None)
            if not members:
                del self._buckets[bucket]

    def _remember_deleted(self, uid: str, version: str) -> None:
        if not uid:
            return
        if not _is_newer_version(self._deleted.get(uid, ""), version):
            self._deleted[uid] = version
        self._deleted.move_to_end(uid)
        if len(self._deleted) > _REMEMBERED_DELETIONS:
            self._deleted.popitem(last=False)


def _labels(obj: Object) -> dict[str, str]:
    labels: dict[str, str] = obj["metadata"].get("labels") or {}
    return labels


def _buckets_of(key: ObjectKey, obj: Object) -> Buckets:
    buckets: list[tuple[str, ...]] = [(key.kind,), (key.kind, key.namespace)]
    labels = _labels(obj)
    buckets += [(label, key.namespace, labels[label]) for label in INDEXED_LABELS if label in labels]
    if key.kind in _REFERRING and (referred := (obj.get("spec") or {}).get("serviceRef")):
        buckets.append((key.kind, key.namespace, referred.get("name") or ""))
    return buckets


def _version(value: object) -> int | None:
    # Comparing resourceVersions as numbers is allowed since Kubernetes 1.35 and held before it on etcd.
    # A server that sends something else gets no such protection.
    return int(value) if isinstance(value, str) and value.isdecimal() else None


def _is_older(version: object, than: object) -> bool:
    new, old = _version(version), _version(than)
    return new is not None and old is not None and new < old


def _is_same(kind: str, version: str | None, known: str | None) -> bool:
    """Spares the work of comparing, for what a LIST shows again: no two states of objects have the same version.

    Not for our own kinds: a new default in a CRD appears in stored objects without a new version.
    """
    return kind not in _DEFAULTS_MAY_APPEAR and known is not None and version == known


def _is_newer_version(version: object, than: str) -> bool:
    mine, theirs = _version(version), _version(than)
    return mine is not None and theirs is not None and mine > theirs
