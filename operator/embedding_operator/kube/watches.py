"""What is known of the watches themselves: when each was last heard of, and how often it began anew.

A watch that is alive says something about every minute (a bookmark, if nothing else), and one that failed tries again
within seconds. One of which nothing at all is heard, for long, while the API server answers everything else, is stuck.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from embedding_operator.kube.resources import Resource


@dataclass(slots=True)
class Watch:
    """One watch of a kind (in one namespace, where they are watched one by one)."""

    heard: float  # when it last said anything, by the clock of `Watches`
    turned: float  # when it last began, failed or said anything
    expected: bool = True  # False while the cluster does not have the kind
    events: int = 0
    starts: int = 0
    errors: int = 0


class Watches:
    """Told by those who watch. Reads no cluster and decides nothing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._watches: dict[tuple[str, str], Watch] = {}

    def begun(self, resource: Resource, namespace: str | None = None) -> None:
        """The watch is (again) asked for."""
        watch = self._of(resource, namespace)
        watch.starts += 1
        watch.turned = self.clock()
        watch.expected = True

    def heard(self, resource: Resource, namespace: str | None = None, events: int = 1) -> None:
        """It said something; bookmarks count as no events."""
        watch = self._of(resource, namespace)
        watch.events += events
        watch.heard = watch.turned = self.clock()

    def failed(self, resource: Resource, namespace: str | None = None) -> None:
        """It was refused, broke or was silent for too long, and will be tried again."""
        watch = self._of(resource, namespace)
        watch.errors += 1
        watch.turned = self.clock()

    def absent(self, resource: Resource, namespace: str | None = None) -> bool:
        """The cluster does not have the kind: there is nothing to hear until it has. Returns whether that was known."""
        watch = self._of(resource, namespace)
        was_known, watch.expected = not watch.expected, False
        return was_known

    def by_kind(self) -> Iterator[tuple[str, list[Watch]]]:
        """The watches of each kind, by its plural."""
        kinds: dict[str, list[Watch]] = {}
        for (plural, _), watch in self._watches.items():
            kinds.setdefault(plural, []).append(watch)
        yield from sorted(kinds.items())

    def silent(self, *, longer_than: float, since: float) -> Iterator[tuple[str, float]]:
        """The kinds of whose watch nothing was heard for so many seconds, counted from `since` at the earliest."""
        for (plural, namespace), watch in self._watches.items():
            seconds = self.clock() - max(watch.turned, since)
            if watch.expected and seconds > longer_than:
                yield f"{plural} in {namespace}" if namespace else plural, seconds

    def _of(self, resource: Resource, namespace: str | None) -> Watch:
        key = (resource.plural, namespace or "")
        watch = self._watches.get(key)
        if watch is None:
            now = self.clock()
            watch = self._watches[key] = Watch(heard=now, turned=now)
        return watch
