"""Whose turn it is to adopt what a RuntimeProfile says now: an index over all services that follow one.

It is kept while services come and go, and begins anew with each leader: until each service has been looked at once,
nobody's turn comes. A turn is given and noted in one step, so that no two workers give the last one away.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from embedding_operator.kube.resources import ObjectKey
from embedding_operator.planning.follow import APART, Phase, Standing


class Following:
    """Where each service stands. Keys in, keys out; what one of thousands says costs no look at the others."""

    def __init__(self) -> None:
        self._standing: dict[ObjectKey, Standing] = {}
        self._behind: defaultdict[str, list[tuple[bool, ObjectKey]]] = defaultdict(list)  # in their order
        self._rolling: defaultdict[str, set[ObjectKey]] = defaultdict(set)
        self._limits: dict[str, int] = {}
        self._unseen: set[ObjectKey] | None = None  # of those that were there at first; a later one has no pods to roll

    def note(self, service: ObjectKey, standing: Standing, all_services: Iterable[ObjectKey]) -> list[ObjectKey]:
        """Say where a service stands. Returns those whose turn it is, if that changed anything for them.

        `all_services` is read once, when the first is noted.
        """
        is_last = self._look(service, all_services)
        if standing.profile:
            self._limits[standing.profile] = standing.limit
        before = self._standing.get(service)
        if before == standing:
            return []
        self._take_out(service, before)
        self._standing[service] = standing
        if standing.phase is Phase.BEHIND:
            insort(self._behind[standing.profile], (standing.whole, service))
        elif standing.phase is Phase.ROLLING:
            self._rolling[standing.profile].add(service)
        return self._next(service, before, standing, is_last)

    def forget(self, service: ObjectKey, all_services: Iterable[ObjectKey]) -> list[ObjectKey]:
        """A service is gone. Returns those whose turn it is now."""
        is_last = self._look(service, all_services)
        before = self._standing.pop(service, None)
        self._take_out(service, before)
        return self._next(service, before, APART, is_last)

    def take(self, service: ObjectKey) -> bool:
        """Take this service's turn, if it is behind and has one: it counts as rolling from now on."""
        standing = self._standing.get(service, APART)
        if standing.phase is not Phase.BEHIND or service not in self._turns(standing.profile):
            return False
        self.note(service, replace(standing, phase=Phase.ROLLING), ())
        return True

    def _look(self, service: ObjectKey, all_services: Iterable[ObjectKey]) -> bool:
        """Whether this is the last one to be looked at for the first time, and the turns begin."""
        if self._unseen is None:
            self._unseen = set(all_services)
        if service not in self._unseen:
            return False
        self._unseen.discard(service)
        return not self._unseen

    def _next(self, service: ObjectKey, before: Standing | None, now: Standing, is_last: bool) -> list[ObjectKey]:
        profiles = {standing.profile for standing in (before, now) if standing is not None}
        if is_last:  # it may be of another profile or of none
            profiles |= self._behind.keys()
        turns = {turn for profile in profiles for turn in self._turns(profile)}
        return sorted(turns - {service})

    def _turns(self, profile: str) -> list[ObjectKey]:
        """Those that may adopt now: first what is broken as it is, then by name."""
        room = self._limits.get(profile, 1) - len(self._rolling[profile])
        if self._unseen or room < 1:
            return []
        return [service for _, service in self._behind[profile][:room]]

    def _take_out(self, service: ObjectKey, standing: Standing | None) -> None:
        if standing is None:
            return
        self._rolling[standing.profile].discard(service)
        if standing.phase is Phase.BEHIND:
            behind = self._behind[standing.profile]
            del behind[bisect_left(behind, (standing.whole, service))]
