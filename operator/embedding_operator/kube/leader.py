"""Leadership by a Lease, as client-go does it, for one asyncio program.

The lease is only ever written with the resourceVersion that was read, so two replicas cannot both win. Other
replicas' clocks are not believed: an observed lease expires by our own monotonic clock, counted from when it
was last seen to change. Our own hold ends at `deadline`, whether or not anybody could be asked. Who waits follows the
lease by a watch, which only makes it quicker: a look at each retry period does for all that a watch may lose.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import msgspec

from embedding_operator.kube.client import KubeClient
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import LEASES, Object, ObjectKey
from embedding_operator.kube.sending import Query
from embedding_operator.kube.watching import in_lines

logger = logging.getLogger(__name__)

_NEVER = float("-inf")
_A_MOMENT: Final = 0.05  # seconds
_SOONER: Final = 0.25  # of the usual pause, after a renewal that failed: a few of them in a row are no lost leader
_WATCH: Final = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=150.0)


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds. Others wait for `duration`; the leader stops writing at `deadline`, and has what is between the two for
    what it has begun."""

    duration: float = 15.0
    deadline: float = 10.0
    retry: float = 2.0

    def __post_init__(self) -> None:
        if not self.duration > self.deadline > self.retry > 0:
            raise ValueError("leader election needs duration > deadline > retry > 0")

    @classmethod
    def of(cls, duration: float) -> Times:
        """In the usual proportions."""
        return cls(duration, duration * 2 / 3, duration * 2 / 15)

    @property
    def margin(self) -> float:
        """For what was begun in time."""
        return self.duration - self.deadline


def boot_clock() -> float:
    """Seconds that go on while the machine sleeps, as others' do; time.monotonic() stands still on Linux then."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Elector:
    """Use: `await acquire()`, work while `held`, stop when `lost` is set, `await release()` at the end.

    An elector leads once; after `lost` the process ends and a fresh one begins, so that no state of a former
    leadership survives.
    """

    def __init__(
        self,
        client: KubeClient,
        *,
        namespace: str,
        name: str,
        identity: str,
        times: Times = Times(),
        clock: Callable[[], float] = boot_clock,
    ) -> None:
        self.identity = identity
        self.lost = asyncio.Event()
        self.leader = ""  # as last seen
        self.transitions = 0  # as last seen
        self._client = client
        self._key = ObjectKey(LEASES.kind, namespace, name)
        self._times = times
        self._clock = clock
        self._deadline = _NEVER
        self._lease: Object | None = None
        self._observed_spec: Object | None = None
        self._observed_at = _NEVER
        self._renewal: asyncio.Task[None] | None = None
        self._complained = False

    @property
    def deadline(self) -> float:
        """The moment, on the elector's clock, after which no write may begin; -inf if not leading.

        Counted from before the renewing request was sent, and shorter than what others wait: what was begun
        in time has the margin to finish.
        """
        return self._deadline

    @property
    def held(self) -> bool:
        return self._clock() < self._deadline

    @property
    def has_expired(self) -> bool:
        """Whether it leads, for all it knows, and no longer may."""
        return self._deadline != _NEVER and not self.held

    async def acquire(self) -> None:
        """Wait until this replica leads; from then on the lease is renewed in the background."""
        news = asyncio.Event()
        watching = asyncio.create_task(self._watch(news), name="lease-watch")
        try:
            while not await self._attempt():
                await self._wait(news)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        logger.info("%s leads (lease %s/%s)", self.identity, self._key.namespace, self._key.name)
        self._renewal = asyncio.create_task(self._keep(), name="lease-renewal")

    async def release(self) -> None:
        """Stop leading and let the next replica begin at once, if the API server can be told."""
        was_held = self.held  # STRICTLY BEFORE the renewal ends, which gives the deadline up
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)
            self._renewal = None
        lease = self._lease
        self._deadline = _NEVER
        self.lost.set()
        if not was_held or lease is None:
            return
        spec = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _now()}
        try:
            async with asyncio.timeout(self._times.retry):
                await self._client.replace({**lease, "spec": spec})
        except (ApiError, TimeoutError) as error:
            logger.info("The lease could not be released and will run out instead: %s", error)

    async def _keep(self) -> None:
        pause = self._times.retry
        try:
            while self.held:
                await asyncio.sleep(min(pause, max(0.0, self._deadline - self._clock())))
                pause = self._times.retry
                if self.held and not await self._attempt():
                    if self._is_led_by_another():
                        logger.error("%s took the lease over", self.leader)
                        return
                    pause *= _SOONER
            logger.error("The lease could not be renewed in time")
        finally:
            self._deadline = _NEVER
            self.lost.set()

    async def _attempt(self) -> bool:
        """One try to take or renew the lease. Whatever goes wrong at the API server is just a no."""
        started = self._clock()
        limit = self._times.deadline / 2
        if self.held:
            limit = min(limit, self._deadline - started)
        try:
            async with asyncio.timeout(limit):
                taken = await self._take(started)
        except (ApiError, TimeoutError) as error:
            self._lease = None  # look again: the write may have happened
            if isinstance(error, ApiError) and error.is_conflict:
                logger.debug("Another replica wrote the lease first: %s", error)
                return False
            level = logging.DEBUG if self._complained else logging.WARNING
            why = str(error) or f"no answer within {limit:.1f} s"
            logger.log(level, "The lease cannot be read or written for now: %s", why)
            self._complained = True
            return False
        self._complained = False
        return taken

    async def _take(self, started: float) -> bool:
        if self._lease is None or not self.held:
            self._lease = await self._client.get(self._key)
            if self._lease is None:
                return self._took(await self._client.create(self._new_lease()), started)
            self._observe(self._lease)
            if self.leader not in ("", self.identity) and self._clock() <= self._expiry:
                return False
        return self._took(await self._client.replace(self._renewed(self._lease)), started)

    def _took(self, lease: Object, started: float) -> bool:
        self._lease = lease
        self._observe(lease)
        self._deadline = started + self._times.deadline
        return True

    def _observe(self, lease: Object) -> None:
        spec: Object = lease.get("spec") or {}
        self.leader = spec.get("holderIdentity") or ""
        self.transitions = int(spec.get("leaseTransitions") or 0)
        if spec != self._observed_spec:
            self._observed_spec = dict(spec)
            self._observed_at = self._clock()

    @property
    def _expiry(self) -> float:
        """When the lease that was seen runs out, if it is not renewed."""
        duration = (self._observed_spec or {}).get("leaseDurationSeconds") or self._times.duration
        return self._observed_at + float(duration)

    async def _wait(self, news: asyncio.Event) -> None:
        """Until it is worth another try: soon, or when the lease was given back, or at the moment it runs out."""
        pause = self._times.retry * (1.0 + 0.2 * random.random())  # noqa: S311 - spreads load, guards nothing
        left = self._expiry - self._clock()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(pause, left + _A_MOMENT) if left > 0 else pause):
                await news.wait()
        news.clear()

    async def _watch(self, news: asyncio.Event) -> None:
        """Take in what others write of the lease as it happens; `news` is set when nobody holds it."""
        query: Query = {"watch": True, "fieldSelector": f"metadata.name={self._key.name}"}
        while True:
            with contextlib.suppress(ApiError, msgspec.DecodeError, KeyError, TypeError):
                async with self._client.streaming(LEASES, self._key.namespace, query, _WATCH) as chunks:
                    async for lines in in_lines(chunks):
                        said = msgspec.json.decode(lines[-1])
                        self._observe(said["object"])
                        if said["type"] == "DELETED" or not self.leader:
                            news.set()
            await asyncio.sleep(self._times.duration)

    def _is_led_by_another(self) -> bool:
        return self._lease is not None and self.leader not in ("", self.identity)

    def _new_lease(self) -> Object:
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._key.name, "namespace": self._key.namespace},
            "spec": self._claim(acquired=_now(), transitions=0),
        }

    def _renewed(self, lease: Object) -> Object:
        spec: dict[str, Any] = lease.get("spec") or {}
        transitions = int(spec.get("leaseTransitions") or 0)
        if spec.get("holderIdentity") == self.identity:
            claim = self._claim(acquired=spec.get("acquireTime") or _now(), transitions=transitions)
        else:
            claim = self._claim(acquired=_now(), transitions=transitions + 1)
        return {**lease, "spec": {**spec, **claim}}

    def _claim(self, *, acquired: str, transitions: int) -> Object:
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, round(self._times.duration)),
            "acquireTime": acquired,
            "renewTime": _now(),
            "leaseTransitions": transitions,
        }


def _now() -> str:
    """For people who read the lease; nothing is decided by it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
