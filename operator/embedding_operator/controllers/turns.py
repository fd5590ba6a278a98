"""Gives services their turns to follow a profile, and wakes those whose turn has come."""

from collections.abc import Iterable, Iterator

from embedding_operator.api import names
from embedding_operator.controllers.context import Context
from embedding_operator.kube.resources import ObjectKey
from embedding_operator.planning.follow import APART, Phase, Standing


def tell(context: Context, service: ObjectKey, standing: Standing) -> None:
    """Say where a service stands."""
    _wake(context, context.following.note(service, standing, _all(context)))


def take(context: Context, service: ObjectKey, standing: Standing) -> bool:
    """Whether this service may adopt what its profile says now. A turn that is given is one less for others."""
    tell(context, service, standing)
    return context.following.take(service)


def done(context: Context, service: ObjectKey, standing: Standing, *, took: bool) -> None:
    """Say where it stands after its reconcile. A turn that came to nothing (what the profile says now is refused for
    this service) is given back, and others are not kept waiting."""
    tell(context, service, APART if took and standing.phase is Phase.BEHIND else standing)


def end(context: Context, service: ObjectKey) -> None:
    """A service is gone."""
    _wake(context, context.following.forget(service, _all(context)))


def _wake(context: Context, services: Iterable[ObjectKey]) -> None:
    for service in services:
        context.queue.add(service)


def _all(context: Context) -> Iterator[ObjectKey]:
    """All services that are known; looked up only if somebody begins to read them: once."""
    yield from context.cache.keys(names.EMBEDDING_SERVICE)
