"""The watches of profiles and ModelCaches, by Kopf: raw events, taken into the cache and the queue.

Only `on.event` handlers, which write nothing: no finalizers, no annotations, no state of Kopf's in anybody's
objects. Kopf replays what exists after a watch was cut; deletions in between are found by the resync. Of services and
their children there may be ten thousands: those are followed by follow.py. apart.py runs Kopf, and runs it again when
it ends.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, cast

import kopf

from embedding_operator.api import names
from embedding_operator.controllers import routing
from embedding_operator.controllers.context import Context
from embedding_operator.controllers.resync import Resync
from embedding_operator.kube.access import AccessError
from embedding_operator.kube.resources import (
    CHILD_KINDS,
    EMBEDDING_BENCHMARKS,
    EMBEDDING_JOBS,
    EMBEDDING_SERVICES,
    MODEL_CACHES,
    OWN_KINDS,
    RUNTIME_PROFILES,
    Resource,
    by_kind,
)

logger = logging.getLogger(__name__)

Credentials = Callable[[], Awaitable[dict[str, Any]]]
BY_KOPF = (MODEL_CACHES, RUNTIME_PROFILES)
FOLLOWED = (EMBEDDING_SERVICES, EMBEDDING_JOBS, EMBEDDING_BENCHMARKS, *CHILD_KINDS)
WATCHED = (*OWN_KINDS, *CHILD_KINDS)
_LOGIN_PAUSE = 5.0  # seconds between two logins in a row, which say that what the last one brought was refused
CHILD_SELECTOR = f"{names.MANAGED_BY_LABEL}={names.FIELD_MANAGER}"


def selector_of(resource: Resource) -> str:
    """Children are watched by our label; our own kinds whole."""
    return "" if resource in OWN_KINDS else CHILD_SELECTOR


class _Forever:
    """Endless, capped backoff: an API server that is away for an hour must not end the operator."""

    def __iter__(self) -> Iterator[float]:
        delay = 0.5
        while True:
            yield delay
            delay = min(delay * 2, 30.0)


class _NoDiffBase(kopf.DiffBaseStorage):
    """Kopf compares each object with its last state, for handlers that we have none of: half of an event's cost."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> None:
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        return None


class _NoProgress(kopf.ProgressStorage):
    """No handler of ours has progress to remember."""

    def fetch(self, *, key: Any, body: kopf.Body) -> None:
        return None

    def store(self, *, key: Any, record: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        return None

    def purge(self, *, key: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        return None

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence

    def touch(self, *, body: kopf.Body, patch: kopf.Patch, value: str | None) -> None:
        return None


class _Begun:
    """No selectors: own kinds are watched whole. Kopf asks for them as it lists, and with each watch that it begins,
    which is all that it tells of them."""

    def __init__(self, begun: Callable[[Resource], None]) -> None:
        self._begun = begun
        self._kinds = {resource.plural: resource for resource in BY_KOPF}

    def collect(self, resource: kopf.Resource) -> list[str]:
        if resource.plural in self._kinds:
            self._begun(self._kinds[resource.plural])
        return []


def settings(begun: Callable[[Resource], None]) -> kopf.OperatorSettings:
    """Kopf as a watcher and nothing else."""
    kopf_settings = kopf.OperatorSettings()
    kopf_settings.peering.standalone = True
    kopf_settings.scanning.disabled = True
    kopf_settings.posting.enabled = False
    kopf_settings.persistence.diffbase_storage = _NoDiffBase()
    kopf_settings.persistence.progress_storage = _NoProgress()
    kopf_settings.queueing.idle_timeout = 0.5  # each object's worker keeps its last raw event that long
    kopf_settings.queueing.exit_timeout = 5.0
    kopf_settings.watching.chunk_size = 500
    kopf_settings.watching.server_timeout = 290
    kopf_settings.watching.connect_timeout = 10
    kopf_settings.watching.reconnect_backoff = 1.0
    kopf_settings.watching.label_selectors = cast(Any, _Begun(begun))
    kopf_settings.networking.request_timeout = 60
    kopf_settings.networking.connect_timeout = 5
    kopf_settings.networking.error_backoffs = _Forever()
    kopf_settings.networking.enforce_retry_after = True
    kopf_settings.execution.max_workers = 2
    kopf_settings.process.ultimate_exiting_timeout = None  # it would kill the process, of which Kopf is a part only
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # it logs a line for each event
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)  # that it gets no signals, each time
    for name in ("running", "orchestration"):
        logging.getLogger(f"kopf._core.reactor.{name}").addFilter(_in_one_line)
    return kopf_settings


def _in_one_line(record: logging.LogRecord) -> bool:
    """Why a watch failed is no defect to be traced."""
    record.exc_info = None
    return True


def registry(
    seen: Callable[[Any], None], credentials: Credentials, kinds: Iterable[Resource] = BY_KOPF
) -> kopf.OperatorRegistry:
    """One handler for all kinds. Kopf authenticates as our client does, with its token of today."""
    handlers = kopf.OperatorRegistry()

    async def handle(event: Any, **_: Any) -> None:
        seen(event)

    kopf.on.login(registry=handlers)(_login(credentials))
    for resource in kinds:
        kopf.on.event(resource.group, resource.version, resource.plural, id=resource.plural, registry=handlers)(handle)
    return handlers


def take(context: Context, resync: Resync, event: Any) -> None:
    """Take one of Kopf's raw events in."""
    obj, kind = event["object"], event["type"]
    context.watches.heard(by_kind(obj["kind"]))
    if kind == "DELETED":
        routing.deleted(context, obj)
        return
    routing.observed(context, obj)
    if kind is None:  # a listing: the watch began, or began again and may have missed deletions
        resync.replayed(obj["kind"])


def _login(credentials: Credentials) -> Callable[..., Awaitable[kopf.ConnectionInfo]]:
    """Kopf asks again after a 401, and ends when it is given what was refused before.

    But an API server that has just started refuses everybody for a moment. So no two logins are equal (by a priority
    that nothing compares with), and they are not tried without a pause.
    """
    logins = 0
    last = float("-inf")

    async def login(**_: Any) -> kopf.ConnectionInfo:
        nonlocal logins, last
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(last + _LOGIN_PAUSE - clock())
        logins, last = logins + 1, clock()
        while True:
            try:
                return kopf.ConnectionInfo(**await credentials(), priority=logins)
            except AccessError as error:
                logger.warning("No credentials for the API server, trying again: %s", error)
                await asyncio.sleep(_LOGIN_PAUSE)

    return login
