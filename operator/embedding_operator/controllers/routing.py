"""From a change in the cluster to the keys that must be looked at again.

The handlers of all watches come here: take the object into the cache, add keys to the queue, and nothing else.
"""

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from embedding_operator.api import names
from embedding_operator.api.codec import ApiValueError
from embedding_operator.api.service import EmbeddingService
from embedding_operator.controllers.context import SCRIPTS, Context
from embedding_operator.controllers.outcomes import has_ended, is_measured, is_over, outcome, owner
from embedding_operator.kube.resources import Object, ObjectKey, key_of
from embedding_operator.planning.benchplan import service_name
from embedding_operator.planning.drained import cut_off
from embedding_operator.planning.jobservice import written_as_service
from embedding_operator.planning.weights import cache_name

USERS_SETTLE = 2.0  # seconds in which the users of a ModelCache that come or go are counted together
_APPLIED = frozenset(
    {"Deployment", "Service", "PodDisruptionBudget", "ControllerRevision", "NetworkPolicy", "HTTPRoute", "PodMonitor"}
)
_CHILDREN = _APPLIED | {"Pod", "Job"}
_MEASURED = ("Pod", "ControllerRevision")  # what benchmarks look at, of a service whose status may not change with it
_USERS = (names.EMBEDDING_SERVICE, names.EMBEDDING_JOB)  # of ModelCaches
_PARENTS = (
    (names.EMBEDDING_SERVICE, names.SERVICE_LABEL),
    (names.EMBEDDING_JOB, names.JOB_LABEL),
    (names.MODEL_CACHE, names.CACHE_LABEL),
    (names.EMBEDDING_BENCHMARK, names.BENCHMARK_LABEL),
)


def observed(context: Context, obj: Object, *, shaped: bool = False) -> None:
    """An object was added, changed or listed; with `shaped` it is given away (see kube/compact.py)."""
    key = key_of(obj)
    known = context.cache.get(key)
    if not context.cache.upsert(obj, shaped=shaped):
        return
    _enqueue(context, key, obj, news=outcome(known) != outcome(obj))
    if key.kind in _USERS and known is not None and _generation(known) != _generation(obj):
        for cache in context.users.caches_of(key):  # it may want another stager or another end for its weights
            _count_users(context, cache)
    if known is not None and key.kind in _CHILDREN:
        parents = _enqueue_parents(context, key, known)  # somebody may have taken the label off that says whose
        if key.kind == "Pod" and owner(known) != owner(obj):
            for user in _users_in(parents):
                users_changed(context, user)


def deleted(context: Context, obj: Object) -> None:
    """An object is gone."""
    gone(context, key_of(obj), obj)


def gone(context: Context, key: ObjectKey, obj: Object | None = None) -> None:
    """An object is gone, as an event or a full list tells."""
    known = obj or context.cache.get(key) or {"metadata": {}}
    if key.kind == "Pod" and (lost := cut_off(known)) and (service := _label(known)):
        context.untold.add(ObjectKey(names.EMBEDDING_SERVICE, key.namespace, service), lost)
    context.cache.discard(key, known["metadata"].get("uid"), known["metadata"].get("resourceVersion", ""))
    namesake = context.cache.get(key)  # deleted and made again: the news of the two may overtake each other
    _enqueue(context, key, namesake or known, news=True, exists=namesake is not None)


def lost(context: Context, kind: str, namespace: str | None = None) -> None:
    """The cluster does not serve a kind: none of its objects is there any more."""
    for key in context.cache.keys(kind, namespace):
        known = context.cache.get(key) or {"metadata": {}}
        context.cache.drop(key)
        _enqueue(context, key, known, news=True, exists=False)


def made(context: Context, obj: Object) -> None:
    """We made or changed an object that others wait for. The watch has no news of it: it is in the cache already."""
    _enqueue(context, key_of(obj), obj, news=True)


def wake_users(context: Context) -> None:
    """All services and jobs, and the ModelCaches that they want."""
    for user in [user for kind in _USERS for user in context.cache.keys(kind)]:
        context.queue.add(user)
        for cache in context.users.caches_of(user):
            context.queue.add(cache)


def users_changed(context: Context, service: ObjectKey) -> None:
    """A service may use other ModelCaches now, by its status that we wrote or by its pods: those must know."""
    for cache in context.users.update(service, caches_used(context, service)):
        _count_users(context, cache)


def wake_callers(context: Context, service: ObjectKey) -> None:
    """The jobs whose rows a service embeds, and the benchmarks that measure it: it may be what they wait for."""
    for job in context.cache.referring(names.EMBEDDING_JOB, service.namespace, service.name):
        context.queue.add(job)
    wake_benchmarks(context, service.namespace, service.name)


def wake_benchmarks(context: Context, namespace: str, service: str) -> None:
    """Those that measure a service and are not done: it may be the turn of one of them."""
    for benchmark in context.cache.referring(names.EMBEDDING_BENCHMARK, namespace, service):
        if not is_measured(context.cache.get(benchmark) or {}):
            context.queue.add(benchmark)


def caches_used(context: Context, service: ObjectKey) -> frozenset[ObjectKey]:
    """The ModelCaches that a service or job asks for or serves from, and those whose files its live pods read: pods of
    former revisions, and the last ones of what is gone."""
    obj = context.cache.get(service)
    label = names.JOB_LABEL if service.kind == names.EMBEDDING_JOB else names.SERVICE_LABEL
    pods = context.cache.list("Pod", service.namespace, {label: service.name})
    if service.kind == names.EMBEDDING_JOB:  # those that ended stay, to be looked at
        pods = [pod for pod in pods if not has_ended(pod)]
    read = {(pod["metadata"].get("annotations") or {}).get(names.CACHE_ANNOTATION) for pod in pods}
    live = frozenset(ObjectKey(names.MODEL_CACHE, service.namespace, str(name)) for name in read if name)
    return live | (caches_named(obj) if obj else frozenset())


def cache_of(stored: Object) -> ObjectKey | None:
    """The ModelCache that a ControllerRevision serves from."""
    name = (stored["metadata"].get("annotations") or {}).get(names.CACHE_ANNOTATION)
    return ObjectKey(names.MODEL_CACHE, stored["metadata"].get("namespace") or "", str(name)) if name else None


def caches_named(obj: Object) -> frozenset[ObjectKey]:
    """The ModelCaches that a stored EmbeddingService or EmbeddingJob names: in its spec, and in its status. A job whose
    service embeds, or that is over, has none."""
    namespace = obj["metadata"].get("namespace") or ""
    if obj["kind"] == names.EMBEDDING_JOB and (is_over(obj) or not (obj.get("spec") or {}).get("model")):
        return frozenset()
    asked = _cache_asked_for(as_asked(obj, "model", "cache"))
    used = {((obj.get("status") or {}).get("model") or {}).get("cache"), asked}
    return frozenset(ObjectKey(names.MODEL_CACHE, namespace, name) for name in used if name)


def as_asked(obj: Object, *fields: str) -> str:
    """What a stored EmbeddingService or EmbeddingJob says of its ModelCache, as text: the same for all that ask for the
    same. Of the spec with these fields, or with all but the number of pods."""
    if obj["kind"] == names.EMBEDDING_JOB:
        obj = written_as_service(obj)
    metadata, spec = obj["metadata"], obj.get("spec") or {}
    annotations = metadata.get("annotations") or {}
    asked = {
        # only what is made for one service is named after it
        "name": "" if (spec.get("cache") or {}).get("claimName") else metadata["name"],
        "namespace": metadata.get("namespace"),
        "annotations": {one: annotations[one] for one in (names.REFRESH_ANNOTATION,) if one in annotations},
    }
    wanted = {field: spec[field] for field in fields or spec if field in spec and field not in ("replicas", "suspend")}
    return json.dumps({"metadata": asked, "spec": wanted})


@lru_cache(maxsize=1024)
def _cache_asked_for(text: str) -> str | None:
    try:
        return cache_name(EmbeddingService.from_dict(json.loads(text)))
    except ApiValueError:
        return None  # the service's own reconcile says what is wrong with it


def _enqueue(context: Context, key: ObjectKey, obj: Object, *, news: bool, exists: bool = True) -> None:
    add = context.queue.add
    if key.kind in _USERS:
        add(key)
        changed = context.users.update(key, caches_used(context, key))
        # and what kept us from making one (a profile that is not there) may be mended
        absent = {cache for cache in context.users.caches_of(key) if cache not in context.cache}
        for cache in changed | absent:
            _count_users(context, cache)
        if not exists:
            add(ObjectKey(SCRIPTS, key.namespace, ""))
        if key.kind == names.EMBEDDING_SERVICE:
            wake_callers(context, key)
        elif news and (service := service_name(obj)):  # it leaves it to benchmarks, or takes it
            wake_benchmarks(context, key.namespace, service)
    elif key.kind == names.EMBEDDING_BENCHMARK:
        add(key)
        if news:  # it comes before others, or keeps them from their turn no more
            wake_benchmarks(context, key.namespace, service_name(obj))
    elif key.kind == names.MODEL_CACHE:
        add(key)
        if news:  # progress moves every few seconds, and says nothing to services
            for user in context.users.of(key):
                add(user)
    elif key.kind == names.RUNTIME_PROFILE:
        add(key)
        wake_users(context)  # the profile may have been all that was missing
    elif key.kind in _CHILDREN:
        parents = _enqueue_parents(context, key, obj)
        if key.kind in _APPLIED and not exists:
            context.bereft.update(parents)
        if key.kind == "Pod":
            _wake_waiting(context, key, obj)
            read = (obj["metadata"].get("annotations") or {}).get(names.CACHE_ANNOTATION)
            for user in _users_in(parents) if news else ():
                if not exists or has_ended(obj):
                    users_changed(context, user)
                elif read and context.users.add(user, cache := ObjectKey(names.MODEL_CACHE, key.namespace, read)):
                    _count_users(context, cache)
        if key.kind == "Job" and news:
            _wake_beside(context, parents)
        if key.kind == "Job" and not exists and names.SCRIPTS_ANNOTATION in (obj["metadata"].get("annotations") or {}):
            add(ObjectKey(SCRIPTS, key.namespace, ""))  # one that it alone had
        if key.kind == "ControllerRevision":
            if not exists:
                add(ObjectKey(SCRIPTS, key.namespace, ""))
            kept = cache_of(obj)  # to go back to, from now on or until now; that counts where nobody uses it
            if kept is not None and kept in context.cache and not context.users.of(kept):
                add(kept)
    elif key.kind == "ConfigMap" and (obj["metadata"].get("labels") or {}).get(names.BENCHMARK_LABEL):
        _enqueue_parents(context, key, obj)
    elif key.kind == "ConfigMap" and _label(obj):  # a service's own: its recorded vectors
        parents = _enqueue_parents(context, key, obj)
        if not exists:
            context.bereft.update(parents)
    elif key.kind == "ConfigMap":
        add(ObjectKey(SCRIPTS, key.namespace, ""))
        if not exists:
            for kind in _USERS:
                for user in context.cache.keys(kind, key.namespace):
                    add(user)
    elif key.kind == "PersistentVolumeClaim":
        for parent in _enqueue_parents(context, key, obj):
            for cache in context.users.caches_of(parent):  # it may wait for this very claim
                add(cache)


def _wake_beside(context: Context, parents: Iterable[ObjectKey]) -> None:
    """Whose Job runs has its turn: benchmarks of the same service."""
    for parent in parents:
        if parent.kind == names.EMBEDDING_BENCHMARK and (benchmark := context.cache.get(parent)):
            wake_benchmarks(context, parent.namespace, service_name(benchmark))


def _wake_waiting(context: Context, pod: ObjectKey, obj: Object) -> None:
    """Pods that wait for a claim which one node at a time can mount, and which this pod has, or had."""
    claim = (obj["metadata"].get("labels") or {}).get(names.CLAIM_LABEL)
    for other in context.cache.list("Pod", pod.namespace, {names.CLAIM_LABEL: claim}) if claim else ():
        if (other.get("status") or {}).get("phase") == "Pending":
            _enqueue_parents(context, pod, other)


def _count_users(context: Context, cache: ObjectKey) -> None:
    """Somebody uses this ModelCache now, or does not any more. One that exists only shows it in its status, so a
    thousand services that come at once are counted together and not in a thousand writes of a growing list."""
    if cache in context.cache:
        context.queue.add_after(cache, USERS_SETTLE)
    else:
        context.queue.add(cache)


def _enqueue_parents(context: Context, key: ObjectKey, obj: Object) -> list[ObjectKey]:
    labels: dict[str, Any] = obj["metadata"].get("labels") or {}
    parents = [ObjectKey(kind, key.namespace, labels[label]) for kind, label in _PARENTS if labels.get(label)]
    for parent in parents:
        context.queue.add(parent)
        if key.kind in _MEASURED and parent.kind == names.EMBEDDING_SERVICE:
            wake_benchmarks(context, parent.namespace, parent.name)
    return parents


def _users_in(parents: Iterable[ObjectKey]) -> Iterable[ObjectKey]:
    """A pod that stages has a ModelCache for its parent, which may be called as a service is."""
    return (parent for parent in parents if parent.kind in _USERS)


def _label(obj: Object) -> Any:
    return (obj["metadata"].get("labels") or {}).get(names.SERVICE_LABEL)


def _generation(obj: Object) -> Any:
    return obj["metadata"].get("generation")
