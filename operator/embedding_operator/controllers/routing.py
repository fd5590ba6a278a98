"""From a change in the cluster to the keys that must be looked at again.

The handlers of all watches come here: take the object into the cache, add keys to the queue, and nothing else.
"""

from contextlib import suppress
from typing import Any

from embedding_operator.api import names
from embedding_operator.api.codec import ApiValueError
from embedding_operator.api.service import EmbeddingService
from embedding_operator.controllers.context import SCRIPTS, Context
from embedding_operator.kube.resources import Object, ObjectKey, key_of
from embedding_operator.planning.weights import cache_name

_CHILDREN = frozenset({"Deployment", "Service", "PodDisruptionBudget", "ControllerRevision", "Pod", "Job"})


def observed(context: Context, obj: Object) -> None:
    """An object was added, changed or listed."""
    key = key_of(obj)
    before = outcome(context.cache.get(key))
    if not context.cache.upsert(obj):
        return
    _enqueue(context, key, obj, news=before != outcome(context.cache.get(key)))


def deleted(context: Context, obj: Object) -> None:
    """An object is gone."""
    gone(context, key_of(obj), obj)


def gone(context: Context, key: ObjectKey, obj: Object | None = None) -> None:
    """An object is gone, as an event or a full list tells."""
    known = obj or context.cache.get(key) or {"metadata": {}}
    context.cache.discard(key, known["metadata"].get("uid"), known["metadata"].get("resourceVersion", ""))
    _enqueue(context, key, known, news=True, exists=False)


def made(context: Context, obj: Object) -> None:
    """We made or changed an object that others wait for. The watch has no news of it: it is in the cache already."""
    _enqueue(context, key_of(obj), obj, news=True)


def caches_used(obj: Object) -> frozenset[ObjectKey]:
    """The ModelCaches that a stored EmbeddingService asks for, or still serves from."""
    namespace = obj["metadata"].get("namespace") or ""
    used = {((obj.get("status") or {}).get("model") or {}).get("cache")}
    with suppress(ApiValueError):  # its own reconcile says what is wrong with it
        used.add(cache_name(EmbeddingService.from_dict(obj)))
    return frozenset(ObjectKey(names.MODEL_CACHE, namespace, name) for name in used if name)


def _enqueue(context: Context, key: ObjectKey, obj: Object, *, news: bool, exists: bool = True) -> None:
    add = context.queue.add
    if key.kind == names.EMBEDDING_SERVICE:
        add(key)
        for cache in context.users.update(key, caches_used(obj) if exists else frozenset()):
            add(cache)
        if not exists:
            add(ObjectKey(SCRIPTS, key.namespace, ""))
    elif key.kind == names.MODEL_CACHE:
        add(key)
        if news:  # progress moves every few seconds, and says nothing to services
            for user in context.users.of(key):
                add(user)
    elif key.kind == names.RUNTIME_PROFILE:
        add(key)
        for service in context.cache.keys(names.EMBEDDING_SERVICE):
            add(service)
            for cache in context.users.caches_of(service):  # the profile may have been all that was missing
                add(cache)
    elif key.kind in _CHILDREN:
        _enqueue_parents(context, key, obj)
        if key.kind == "ControllerRevision" and not exists:
            add(ObjectKey(SCRIPTS, key.namespace, ""))
    elif key.kind == "ConfigMap":
        add(ObjectKey(SCRIPTS, key.namespace, ""))
        if not exists:
            for service in context.cache.keys(names.EMBEDDING_SERVICE, key.namespace):
                add(service)
    elif key.kind == "PersistentVolumeClaim":
        _enqueue_parents(context, key, obj)


def _enqueue_parents(context: Context, key: ObjectKey, obj: Object) -> None:
    labels: dict[str, Any] = obj["metadata"].get("labels") or {}
    service, cache = labels.get(names.SERVICE_LABEL), labels.get(names.CACHE_LABEL)
    if service:
        context.queue.add(ObjectKey(names.EMBEDDING_SERVICE, key.namespace, service))
    if cache:
        context.queue.add(ObjectKey(names.MODEL_CACHE, key.namespace, cache))


def outcome(obj: Object | None) -> object:
    """What services want to know of a ModelCache; of other kinds, nothing."""
    if obj is None or obj["kind"] != names.MODEL_CACHE:
        return None
    status = obj.get("status") or {}
    said = [(c.get("type"), c.get("status"), c.get("reason")) for c in status.get("conditions") or ()]
    return (status.get("digest"), status.get("path"), said)
