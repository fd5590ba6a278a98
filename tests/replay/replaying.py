"""A recorded run, shown to the operator in every way that an API server could show it.

However late, doubled, lost or mixed up the news are, and however often it is restarted: in the end it decides what a
fresh operator decides that sees only how things are. And at every moment, a key about which it would now decide
otherwise than it last did is in the queue. That is what makes "level-triggered" true: no news is needed twice.
"""

from __future__ import annotations

import asyncio
import random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from embedding_operator.controllers.routing import USERS_SETTLE
from embedding_operator.kube.resources import ObjectKey
from tests.replay.deciding import Decision, Mind, contents, may_stand
from tests.replay.recording import recorded
from tests.replay.telling import KINDS, Telling
from tests.unit.kube.test_workqueue import take
from tests.unit.kube.timeless import TimelessLoop

HISTORY = recorded()
ENDS = st.integers(1, len(HISTORY))
CHANCE = st.integers(0, 2**32).map(random.Random)  # drawing each choice apart would leave room for a few only
WINDOW = 80  # events of the recording that happen while one machine runs


class Replay(RuleBasedStateMachine):
    """Things happen, news arrive, workers work: in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = TimelessLoop()
        self.busy: set[ObjectKey] = set()  # taken by a worker that has not looked yet
        self.looked: set[ObjectKey] = set()  # looked at, and not handed back yet
        self.decided: dict[ObjectKey, Decision] = {}

    @initialize(begin=st.integers(0, len(HISTORY)))
    def start(self, begin: int) -> None:
        self.telling = Telling(self.loop, HISTORY[: begin + WINDOW], begin)
        self.telling.tell_all()  # else the lists that follow the watches' begin would heal all at the end
        self.work()

    @property
    def mind(self) -> Mind:
        return self.telling.mind

    @precondition(lambda self: self.telling.left)
    @rule(count=st.integers(1, 10))
    def happens(self, count: int) -> None:
        self.telling.happen(count)

    @precondition(lambda self: self.telling.streams)
    @rule(chance=CHANCE, skip=st.integers(0, 2), count=st.integers(1, 12))
    def is_told(self, chance: random.Random, skip: int, count: int) -> None:
        for _ in range(count):
            if self.telling.streams:
                self.telling.tell(chance.choice([*self.telling.streams]), skip)

    @precondition(lambda self: self.telling.now > self.telling.began)
    @rule(chance=CHANCE, count=st.integers(1, 5))
    def is_told_again(self, chance: random.Random, count: int) -> None:
        for _ in range(count):
            self.telling.tell_again(chance.randrange(self.telling.began, self.telling.now))

    @rule(kind=st.sampled_from(KINDS))
    def is_lost(self, kind: str) -> None:
        self.telling.cut(kind)

    @precondition(lambda self: self.telling.may_list())
    @rule(data=st.data())
    def begins_to_list(self, data: st.DataObject) -> None:
        self.telling.begin_list(data.draw(st.sampled_from(self.telling.may_list())))

    @precondition(lambda self: self.telling.lists)
    @rule(data=st.data(), count=st.integers(1, 20))
    def reads_a_page(self, data: st.DataObject, count: int) -> None:
        self.telling.read_list(data.draw(st.sampled_from(sorted(self.telling.lists))), count)

    @rule(meanwhile=st.lists(st.integers(0, 2), min_size=len(KINDS), max_size=len(KINDS)), at_once=st.booleans())
    def is_restarted(self, meanwhile: list[int], at_once: bool) -> None:
        self.telling.restart(meanwhile)
        self.busy, self.looked, self.decided = set(), set(), {}
        if at_once:
            self.telling.tell_all()
            self.work()

    @rule(count=st.integers(1, 5))
    def takes(self, count: int) -> None:
        for _ in range(count):
            key = self.loop.run_until_complete(take(self.mind.context.queue))
            if key is not None:
                assert key not in self.busy | self.looked, "two workers have the same key"
                self.busy.add(key)

    @precondition(lambda self: self.busy)
    @rule(data=st.data())
    def looks(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.busy)))
        self.decided[key] = self.mind.decide(key)
        self.busy.discard(key)
        self.looked.add(key)

    @precondition(lambda self: self.looked)
    @rule()
    def hands_back(self) -> None:
        for key in self.looked:
            self.mind.context.queue.done(key)
        self.looked.clear()

    @rule()
    def works_it_all_off(self) -> None:
        self.work()

    @invariant()
    def whoever_would_decide_otherwise_is_in_the_queue(self) -> None:
        self.check()

    def check(self) -> None:
        waiting = self.mind.waiting() | self.busy
        for key in (self.mind.keys() | self.decided.keys()) - waiting:
            before = self.mind.carried_out(self.decided.get(key))
            now = self.mind.would_decide(key)
            assert now == before or may_stand(before, now), f"nobody woke {key}"

    def teardown(self) -> None:
        if hasattr(self, "telling"):
            self.end()
        self.loop.close()

    def end(self) -> None:
        self.telling.happen(self.telling.left)
        self.telling.tell_all()
        self.work()
        self.check()
        self.decided = {key: self.mind.carried_out(decision) for key, decision in self.decided.items()}
        for key, decision in self.decided.items():
            now = self.mind.decide(key)
            if may_stand(decision, now):
                self.decided[key] = now  # its time to look again comes
        assert_as_if_seen_plainly(self.loop, self.telling, self.decided)

    def work(self) -> None:
        queue = self.mind.context.queue
        for key in [*self.busy]:
            self.decided[key] = self.mind.decide(key)
        for key in [*self.busy, *self.looked]:
            queue.done(key)
        self.busy, self.looked = set(), set()
        self.loop.run_until_complete(asyncio.sleep(USERS_SETTLE + 1))
        while (key := self.loop.run_until_complete(take(queue))) is not None:
            self.decided[key] = self.mind.decide(key)
            queue.done(key)


def assert_as_if_seen_plainly(loop: TimelessLoop, telling: Telling, decided: dict[ObjectKey, Decision]) -> None:
    """The same cache, and the same decisions, as an operator that only sees how things are now."""
    plain = Telling(loop, HISTORY[: telling.now], telling.now).mind
    assert contents(telling.mind) == contents(plain)
    forgotten = dict.fromkeys(plain.keys() - decided.keys())
    gone = dict.fromkeys(decided.keys() - plain.keys())
    assert decided | forgotten == plain.decisions() | gone


def every_moment_of_it(chance: random.Random) -> None:
    """The whole recording, told a few news at a time, in any order, and with watches of some kinds behind the others
    for a while; after each few all is worked off."""
    replay = Replay()
    replay.telling = telling = Telling(replay.loop, HISTORY, 0)
    telling.tell_all()
    kinds, late = sorted({event.key.kind for event in HISTORY}), set[str]()
    while telling.left or telling.streams:
        telling.happen(chance.randint(1, 6))
        if chance.random() < 0.3:
            late ^= {chance.choice(kinds)}
        for _ in range(chance.randint(1, 9)):
            if streams := [*telling.streams]:
                first = [stream for stream in streams if stream[0].kind not in late]
                telling.tell(chance.choice(first or streams), skip=chance.choice([0, 0, 1]))
        replay.work()
        replay.check()
    replay.teardown()


def any_prefix_in_any_order(end: int, chance: random.Random, again: float) -> None:
    loop = TimelessLoop()
    telling = Telling(loop, HISTORY[:end], 0)
    telling.tell_all()
    telling.happen(end)
    while telling.streams:
        telling.tell(chance.choice([*telling.streams]), skip=chance.choice([0, 0, 1, 5]))
        if chance.random() < again:
            telling.tell_again(chance.randrange(end))
    telling.tell_all()
    assert_as_if_seen_plainly(loop, telling, telling.mind.decisions())
    loop.close()


def any_share_of_the_news_lost(end: int, chance: random.Random, share: float) -> None:
    loop = TimelessLoop()
    telling = Telling(loop, HISTORY[:end], 0)
    telling.tell_all()
    telling.happen(end // 2)
    telling.tell_all()
    telling.happen(telling.left)
    telling.streams.lose([stream for stream in telling.streams if chance.random() < share])
    telling.due |= set(KINDS)
    telling.tell_all()
    assert_as_if_seen_plainly(loop, telling, telling.mind.decisions())
    loop.close()
