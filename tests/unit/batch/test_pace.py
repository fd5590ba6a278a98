"""The pace against model servers in made-up time: filled when it is one's own, given way to others when it is not."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

import pytest

from embedding_operator.batch.pace import Filling, Pace, Yielding

TOKENS = 1000.0


class Queue:
    """A server with one queue: it works through tokens at a rate, and a request is answered when its own are done.

    `bubble` is what passes between an answer and the client's next request. `others` says how many requests of others
    it is given before each of ours.
    """

    def __init__(
        self, pace: Pace, rate: float, bubble: float, others: Callable[[float], float] = lambda now: 0.0
    ) -> None:
        self.pace, self.rate, self.bubble, self.others = pace, rate, bubble, others
        self.now = self.free = 0.0
        self.done = 0

    def run(self, requests: int) -> Iterator[float]:
        """The time after each answer."""
        flying: list[tuple[float, float]] = []
        earliest = 0.0
        for _ in range(requests):
            while len(flying) < self.pace.limit:
                begin = max(self.now, earliest)
                arrive = begin + self.bubble
                self.free = max(self.free, arrive) + (TOKENS + self.others(arrive) * TOKENS) / self.rate
                heapq.heappush(flying, (self.free, begin))
            self.now, began = heapq.heappop(flying)
            self.pace.done(self.now, TOKENS, self.now - began)
            earliest = self.now + self.pace.pause
            self.done += 1
            yield self.now


def settled(queue: Queue, requests: int) -> float:
    """Tokens a second of the second half."""
    times = list(queue.run(requests))
    half = len(times) // 2
    return (len(times) - half) * TOKENS / (times[-1] - times[half - 1])


@pytest.mark.parametrize("bubble", [0.0, 0.05, 0.5, 2.0])
def test_a_server_of_ones_own_is_saturated(bubble: float) -> None:
    """However long the way to it is, as seen from what it could do with any number of requests."""
    queue = Queue(Filling(most=64), rate=10_000, bubble=bubble)
    assert settled(queue, 3000) > 0.95 * 10_000


def test_no_more_is_in_flight_than_helps() -> None:
    queue = Queue(Filling(most=64), rate=10_000, bubble=0.0)
    settled(queue, 3000)
    assert queue.pace.limit <= 9


def test_a_refusal_halves_once_for_all_that_were_in_flight() -> None:
    pace = Filling(most=64, first=16)
    for moment in (10.0, 10.1, 10.2):
        pace.refused(moment)
    assert pace.limit == 8
    pace.refused(12.0)
    assert pace.limit == 4


def test_a_server_without_others_is_used_well_all_the_same() -> None:
    queue = Queue(Yielding(most=16, typical=1000), rate=10_000, bubble=0.02)
    assert settled(queue, 2000) > 0.9 * 10_000
    assert queue.pace.limit <= 4  # others who come find a short queue


def test_its_own_queue_does_not_become_the_best_that_was_seen() -> None:
    queue = Queue(Yielding(most=64, typical=1000), rate=10_000, bubble=0.02)
    limits = [queue.pace.limit for _ in queue.run(30_000)]
    assert queue.now > 2000
    assert max(limits) <= 4


def test_others_who_come_are_given_way_and_their_place_is_taken_again_when_they_leave() -> None:
    pace = Yielding(most=16, typical=1000)
    begin, end = 60.0, 120.0
    queue = Queue(pace, rate=10_000, bubble=0.02, others=lambda now: 9.0 if begin <= now < end else 0.0)
    limits: dict[str, list[int]] = {"before": [], "during": [], "after": []}
    pauses: list[float] = []
    for now in queue.run(3000):
        when = "before" if now < begin else "during" if now < end else "after"
        limits[when].append(pace.limit)
        if when == "during":
            pauses.append(pace.pause)
    assert limits["before"][-1] >= 2
    assert set(limits["during"][10:]) == {1}
    assert min(pauses[10:]) > 0  # one at a time is still too much
    assert limits["after"][-1] >= 2
    assert pace.pause == 0.0


def test_the_best_that_was_seen_is_forgotten() -> None:
    """A server that became slow for good is not waited for."""
    pace = Yielding(most=16, typical=1000)
    queue = Queue(pace, rate=10_000, bubble=0.0)
    list(queue.run(200))
    queue.rate = 1000
    list(queue.run(50))
    assert pace.limit == 1
    list(queue.run(2000))
    assert pace.limit >= 2
    assert pace.pause == 0.0


def test_a_refusal_of_a_shared_server_is_waited_out() -> None:
    pace = Yielding(most=16, typical=1000)
    pace.refused(10.0)
    assert (pace.limit, pace.pause) == (1, 1.0)
    pace.refused(12.0)
    assert pace.pause == 2.0
    pace.done(13.0, TOKENS, 0.1)
    assert pace.pause == 0.0
