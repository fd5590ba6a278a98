"""How the API server tells an operator what has happened: late, twice, in pieces, never, and yet in the end.

What watches promise is in streams.py. A list shows one moment, in pages that arrive between the news of watches. It
follows each watch that had to begin anew.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from embedding_operator.controllers.resync import Resync
from embedding_operator.controllers.watch import WATCHED
from embedding_operator.kube.resources import Object, ObjectKey, by_kind
from tests.replay.deciding import Mind
from tests.replay.recording import Event, happen_to
from tests.replay.streams import Stream, Streams

KINDS = tuple(resource.kind for resource in WATCHED)


@dataclass
class Listing:
    """A list that was answered at one moment, and is being read."""

    version: str
    left: deque[Object]
    seen: set[ObjectKey]


class Telling:
    """What is on its way from the API server to one operator, while the recording goes on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, history: Sequence[Event], begin: int) -> None:
        self.now = begin  # how many events have happened
        self._loop = loop
        self._history = history
        self._state = happen_to({}, history[:begin])
        self.restart([0] * len(KINDS))

    @property
    def left(self) -> int:
        """How many events have not happened yet."""
        return len(self._history) - self.now

    def restart(self, meanwhile: Sequence[int]) -> None:
        """The operator is killed and begins anew: it lists kind by kind, and `meanwhile` things happen."""
        self.mind = Mind(self._loop)
        self.began = self.now
        self.streams = Streams()
        self.lists: dict[str, Listing] = {}
        self.listed: dict[str, int] = {}  # how many events had happened when a kind was first listed
        self.due: set[str] = set()
        self.mind.client.state = self._state
        self._resync = Resync(self.mind.context, dict.fromkeys(WATCHED, ""))
        for kind, more in zip(KINDS, meanwhile, strict=True):
            self.listed[kind] = self.now
            self.begin_list(kind)
            self.read_list(kind, len(self.lists[kind].left))
            self.happen(more)
        self.mind.lead()
        for kind in KINDS:
            self.cut(kind)

    def happen(self, count: int) -> None:
        """The next things happen in the cluster; the watches will tell of them."""
        events = self._history[self.now : self.now + count]
        for event in events:
            if event.watched:
                self.streams.put(event)
        self.now += len(events)
        happen_to(self._state, events)

    def tell(self, stream: Stream, skip: int = 0) -> None:
        """A watch tells the next event of one object, or skips up to `skip` of them because newer ones are there."""
        self._tell(self.streams.take(stream, skip))

    def tell_again(self, position: int) -> None:
        """Old news: an event that was told, or is on its way, or something that another answer showed back then.

        Only of objects as they were since this operator first listed their kind: all that it ever asks about them is
        answered from then on.
        """
        event = self._history[position]
        if position < self.listed[event.key.kind]:
            return
        later = [other for other in self._history[position + 1 : self.now] if other.uid == event.uid]
        if event.watched and (event.type != "DELETED" or not later):
            self._tell(event)

    def cut(self, kind: str) -> None:
        """A watch ends, what it had not told is lost, and it begins anew."""
        self.streams.begin_anew(kind, self._shown(kind).values())
        self.due.add(kind)

    def may_list(self) -> list[str]:
        """Lists that have to be made: STRICTLY AFTER the burst with which a watch began is over."""
        return sorted(self.due - self.streams.bursting() - self.lists.keys())

    def begin_list(self, kind: str) -> None:
        """The API server answers a list; it is read while other news come."""
        self.due.discard(kind)
        version = self._history[self.now - 1].version if self.now else 0
        self.lists[kind] = Listing(str(version), deque(self._shown(kind).values()), set())

    def read_list(self, kind: str, count: int) -> None:
        """A page comes; after the last one, what the list did not show is forgotten."""
        listing = self.lists[kind]
        for _ in range(min(count, len(listing.left))):
            obj = listing.left.popleft()
            listing.seen.add(Event("", obj).key)
            self.mind.observed(obj)
        if not listing.left:
            self.mind.call(self._resync._prune, by_kind(kind), None, listing.seen, listing.version)
            del self.lists[kind]

    def tell_all(self) -> None:
        """Everything that is on its way arrives."""
        while self.streams:
            self.tell(next(iter(self.streams)))
        for kind in [*self.lists]:
            self.read_list(kind, len(self.lists[kind].left))
        for kind in self.may_list():
            self.begin_list(kind)
            self.read_list(kind, len(self.lists[kind].left))

    def _tell(self, event: Event) -> None:
        if event.type == "DELETED":
            self.mind.deleted(event.object)
        else:
            self.mind.observed(event.object)

    def _shown(self, kind: str) -> dict[ObjectKey, Object]:
        return {
            key: obj
            for key, obj in sorted(self._state.items(), key=lambda item: item[0])
            if key.kind == kind and Event("", obj).watched
        }
