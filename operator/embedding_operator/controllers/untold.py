"""What is to be told about an object in an Event, by the replica that works.

All hear of it, so those that do not work must forget it: it would be old news when they come to lead.
"""

import time
from collections.abc import Callable

from embedding_operator.kube.resources import ObjectKey

_FRESH = 60.0  # seconds
_MOST = 32  # of one object


class Untold:
    """Notes by object, each given out once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._notes: dict[ObjectKey, list[tuple[float, str]]] = {}

    def add(self, key: ObjectKey, note: str) -> None:
        """Keep a note for whoever looks at the object next."""
        now = self._clock()
        self._notes = {of: notes for of, notes in self._notes.items() if now - notes[-1][0] < _FRESH}
        self._notes[key] = [*self._notes.get(key, ()), (now, note)][-_MOST:]

    def take(self, key: ObjectKey) -> list[str]:
        """The notes of an object that are news still."""
        now = self._clock()
        return [note for at, note in self._notes.pop(key, ()) if now - at < _FRESH]
