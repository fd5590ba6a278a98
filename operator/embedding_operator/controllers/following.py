"""Whose turn it is to adopt what a RuntimeProfile says now: an index over all services that follow one.

It is kept while services come and go, and begins anew with each leader: until each service has been looked at once,
nobody's turn comes. A turn is given and noted in one step, so that no two workers give the last one away.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import replace

from embedding_operator.kube.resources import ObjectKey
from embedding_operator.planning.follow import APART, Phase, Standing


class Following:
    """Where each service stands. Keys in, keys out."""

    def __init__(self) -> None:
        self._standing: dict[ObjectKey, Standing] = {}
        self._behind: dict[str, dict[ObjectKey, bool]] = {}
        self._rolling: dict[str, set[ObjectKey]] = {}
        self._limits: dict[str, int] = {}
        self._has_seen_all = False

    def note(self, service: ObjectKey, standing: Standing, all_services: Iterable[ObjectKey]) -> list[ObjectKey]:
        """Say where a service stands. Returns those whose turn it is, if that changed anything for them."""
        before = self._standing.get(service)
        self._take_out(service, before)
        self._standing[service] = standing
        if standing.profile:
            self._limits[standing.profile] = standing.limit
        if standing.phase is Phase.BEHIND:
            self._behind.setdefault(standing.profile, {})[service] = standing.whole
        elif standing.phase is Phase.ROLLING:
            self._rolling.setdefault(standing.profile, set()).add(service)
        if before == standing:
            return []
        return self._next(service, before, standing, all_services)

    def forget(self, service: ObjectKey, all_services: Iterable[ObjectKey]) -> list[ObjectKey]:
        """A service is gone. Returns those whose turn it is now."""
        before = self._standing.pop(service, None)
        self._take_out(service, before)
        return self._next(service, before, APART, all_services)

    def take(self, service: ObjectKey, all_services: Iterable[ObjectKey]) -> bool:
        """Take this service's turn, if it is behind and has one: it counts as rolling from now on."""
        standing = self._standing.get(service, APART)
        if standing.phase is not Phase.BEHIND or service not in self._turns(standing.profile, all_services):
            return False
        self.note(service, replace(standing, phase=Phase.ROLLING), ())
        return True

    def _next(
        self, service: ObjectKey, before: Standing | None, now: Standing, all_services: Iterable[ObjectKey]
    ) -> list[ObjectKey]:
        profiles = {standing.profile for standing in (before, now) if standing is not None}
        if not self._has_seen_all:  # this may have been the last one, of another profile or of none
            profiles |= self._behind.keys()
        turns = {turn for profile in profiles for turn in self._turns(profile, all_services)}
        return sorted(turns - {service})

    def _turns(self, profile: str, all_services: Iterable[ObjectKey]) -> list[ObjectKey]:
        """Those that may adopt now: first what is broken as it is, then by name."""
        behind = self._behind.get(profile)
        room = self._limits.get(profile, 1) - len(self._rolling.get(profile, ()))
        if not behind or room < 1 or not self._sees_all(all_services):
            return []
        return heapq.nsmallest(room, behind, key=lambda key: (behind[key], key))

    def _sees_all(self, all_services: Iterable[ObjectKey]) -> bool:
        """Once is enough: a service that comes later has no pods to be rolled."""
        self._has_seen_all = self._has_seen_all or all(key in self._standing for key in all_services)
        return self._has_seen_all

    def _take_out(self, service: ObjectKey, standing: Standing | None) -> None:
        if standing is not None:
            self._behind.get(standing.profile, {}).pop(service, None)
            self._rolling.get(standing.profile, set()).discard(service)
