"""Asks pods for the vectors that they measured, apart from the reconciles of their services: who does not answer keeps
nobody waiting, and to ask once more costs no plan. A service is planned again when something new was learnt.
"""

import logging

from embedding_operator.api import names
from embedding_operator.api.conditions import Reason
from embedding_operator.controllers.context import Context
from embedding_operator.kube.owners import belongs_to
from embedding_operator.kube.resources import Object, ObjectKey
from embedding_operator.kube.workqueue import QueueShutDown
from embedding_operator.planning.observed import Observed
from embedding_operator.planning.vectors import Record

logger = logging.getLogger(__name__)

_AFTER_A_DEFECT = 600.0  # seconds


async def ask_pods(context: Context) -> None:
    """Ask the pods of those services that wait for it, until the queue is shut down.

    It begins when a new leader has looked at everything: statuses say what was known before, and ten thousand services
    that are to be looked at once have no time for twenty thousand pods.
    """
    await context.caught_up.wait()
    while True:
        try:
            service = await context.asks.get()
        except QueueShutDown:
            return
        try:
            again = await _ask(context, service)
        except Exception:
            logger.exception("%s: a defect of the operator, met where its pods are asked for vectors", service)
            again = _AFTER_A_DEFECT
        finally:
            context.asks.done(service)
        if again is not None:
            context.asks.add_after(service, again)


def ask_when_due(context: Context, service: ObjectKey, obj: Object, seen: Observed) -> None:
    """Have the pods of a service asked, if something must be known of them that is not."""
    if not _wants_vectors(obj):
        context.spaces.forget(service)
        return
    due = context.spaces.due(service, seen.pods, seen.spaces)
    if due is not None:
        context.asks.add_after(service, due)


async def ask_before_unsaying(context: Context, service: ObjectKey, obj: Object) -> None:
    """An operator that has just started knows no vectors, and would take back what a status says of them."""
    said = [condition.get("reason") for condition in (obj.get("status") or {}).get("conditions") or ()]
    if Reason.EMBEDDING_SPACE_CHANGED in said and not context.spaces.has_looked(service):
        await _ask(context, service)


async def _ask(context: Context, service: ObjectKey) -> float | None:
    """Returns in how many seconds to ask those that did not answer."""
    obj = context.cache.get(service)
    if obj is None or not _wants_vectors(obj):
        context.spaces.forget(service)
        return None
    labels = {names.SERVICE_LABEL: service.name}
    pods = context.cache.list("Pod", service.namespace, labels)
    records = recorded(context, service, obj["metadata"]["uid"])
    before = context.spaces.of(service, pods, records)
    again = await context.spaces.look(context.http, service, pods, records)
    if context.spaces.of(service, pods, records) != before:
        context.queue.add(service)
    return again


def recorded(context: Context, service: ObjectKey, uid: str | None) -> dict[str, Record | None]:
    """The recorded vectors of a service, by the ConfigMap that holds them."""
    labels = {names.SERVICE_LABEL: service.name, names.SPACE_LABEL: "true"}
    stored = context.cache.list("ConfigMap", service.namespace, labels)
    return context.spaces.recorded(one for one in stored if belongs_to(one, uid))


def _wants_vectors(obj: Object) -> bool:
    asked = (obj.get("spec") or {}).get("rollout") or {}
    return (asked.get("embeddingSpace") or {}).get("policy") != "Off"
