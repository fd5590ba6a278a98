"""What watches have still to tell one operator.

A watch tells the versions of one object (one uid) in order, and promises nothing between objects. Kopf tells only the
newest version of an object where several came together. A watch that was cut begins with all that exists, and never
tells what was deleted in between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from embedding_operator.kube.resources import ObjectKey
from tests.replay.recording import Event, Object

Stream = tuple[ObjectKey, str]  # what tells in order: one object, by key and uid
REPLAYED = ""  # the type of an event with which a watch begins


class Streams:
    def __init__(self) -> None:
        self._left: dict[Stream, deque[Event]] = {}

    def __len__(self) -> int:
        return len(self._left)

    def __iter__(self) -> Iterator[Stream]:
        return iter(sorted(self._left))

    def put(self, event: Event) -> None:
        self._left.setdefault((event.key, event.uid), deque()).append(event)

    def take(self, stream: Stream, skip: int = 0) -> Event:
        """The next event of one object; up to `skip` of them are left out if newer ones are there."""
        events = self._left[stream]
        for _ in range(min(skip, len(events) - 1)):
            events.popleft()
        event = events.popleft()
        if not events:
            del self._left[stream]
        return event

    def lose(self, streams: Iterable[Stream]) -> None:
        """These are never told."""
        for stream in [*streams]:
            del self._left[stream]

    def begin_anew(self, kind: str, existing: Iterable[Object]) -> None:
        """The watch of a kind was cut, and begins with what exists."""
        self.lose([stream for stream in self._left if stream[0].kind == kind])
        for obj in existing:
            self.put(Event(REPLAYED, obj))

    def bursting(self) -> set[str]:
        """The kinds whose watch is still telling what exists."""
        return {stream[0].kind for stream, events in self._left.items() if any(one.type == REPLAYED for one in events)}
