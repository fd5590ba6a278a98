"""Whose turn it is: never more at a time than the profile says, everybody's once, whatever the order of news."""

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from embedding_operator.controllers.following import Following
from embedding_operator.kube.resources import ObjectKey
from embedding_operator.planning.follow import APART, Phase, Standing

BEHIND = Standing(Phase.BEHIND, "npu")
ROLLING = Standing(Phase.ROLLING, "npu")
SETTLED = Standing(Phase.SETTLED, "npu")


def keys(names: str) -> list[ObjectKey]:
    return [ObjectKey("EmbeddingService", "search", name) for name in names]


A, B, C = keys("abc")
ALL = (A, B, C)


def test_one_at_a_time_in_the_order_of_names_and_the_next_is_woken() -> None:
    following = Following()
    for key in ALL:
        following.note(key, BEHIND, ALL)
    assert [following.take(key) for key in (C, B, A)] == [False, False, True]
    assert not following.take(B)
    assert following.note(A, ROLLING, ALL) == []
    assert following.note(A, SETTLED, ALL) == [B]
    assert following.take(B)
    assert following.forget(B, ALL) == [C]


def test_nobodys_turn_comes_before_all_have_been_looked_at() -> None:
    """A new leader does not know yet who is rolling."""
    following = Following()
    following.note(A, BEHIND, ALL)
    following.note(B, BEHIND, ALL)
    assert not following.take(A)
    assert following.note(C, ROLLING, ALL) == []
    assert following.note(C, SETTLED, ALL) == [A]


def test_what_is_broken_goes_before_what_serves() -> None:
    following = Following()
    following.note(A, BEHIND, (A, B))
    following.note(B, replace(BEHIND, whole=False), (A, B))
    assert [following.take(key) for key in (A, B)] == [False, True]


def test_profiles_do_not_wait_for_each_other() -> None:
    following = Following()
    following.note(A, ROLLING, (A, B))
    following.note(B, replace(BEHIND, profile="cpu"), (A, B))
    assert following.take(B)


def test_a_higher_limit_wakes_as_many_more() -> None:
    following = Following()
    for key in ALL:
        following.note(key, BEHIND, ALL)
    assert following.take(A)
    assert following.note(B, replace(BEHIND, limit=3), ALL) == [C]
    assert following.take(B)


def test_the_same_news_wakes_nobody() -> None:
    following = Following()
    following.note(A, BEHIND, (A, B))
    assert following.note(B, APART, (A, B)) == [A]
    assert following.note(B, APART, (A, B)) == []


class World:
    """Services that roll for a while, are refused, or come to an end, and a queue that is worked in any order."""

    def __init__(self, seed: int, services: int, limit: int) -> None:
        self.dice = random.Random(seed)
        self.limit = limit
        self.following = Following()
        names = [f"s{number:02}" for number in range(services)]
        self.phase = {ObjectKey("EmbeddingService", "search", name): Phase.BEHIND for name in names}
        self.refused = {key for key in self.phase if self.dice.random() < 0.2}
        self.queue = set(self.phase)
        self.most = 0

    def run(self) -> None:
        while self.queue or Phase.ROLLING in self.phase.values():
            rolling = [key for key, phase in self.phase.items() if phase is Phase.ROLLING]
            if rolling and (not self.queue or self.dice.random() < 0.3):
                key = self.dice.choice(rolling)
                self.phase[key] = Phase.SETTLED
            else:
                key = self.dice.choice(sorted(self.queue))
            self.queue.discard(key)
            self.reconcile(key)
            self.most = max(self.most, list(self.phase.values()).count(Phase.ROLLING))

    def reconcile(self, key: ObjectKey) -> None:
        self.note(key, self.phase[key])
        if not self.following.take(key):
            return
        if key not in self.refused:
            self.phase[key] = Phase.ROLLING
        self.note(key, Phase.APART if key in self.refused else Phase.ROLLING)

    def note(self, key: ObjectKey, phase: Phase) -> None:
        standing = APART if phase is Phase.APART else Standing(phase, "npu", self.limit)
        self.queue |= set(self.following.note(key, standing, self.phase))


@pytest.mark.parametrize("seed", range(50))
def test_all_get_there_and_never_more_than_allowed_at_a_time(seed: int) -> None:
    limit = 1 + seed % 3
    world = World(seed, services=12, limit=limit)
    world.run()
    assert world.most == limit
    assert {key for key, phase in world.phase.items() if phase is Phase.BEHIND} == world.refused


class Counted(str):
    """A name that counts how often it is compared."""

    compared = 0

    def __lt__(self, other: str) -> bool:
        Counted.compared += 1
        return super().__lt__(other)


def test_what_one_of_many_says_costs_no_look_at_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is noted, takes its turn and settles: with so many at a time, each is compared with a few others."""
    monkeypatch.setattr(Counted, "compared", 0)
    services, limit, read = 1000, 10, 0
    everybody = [ObjectKey("EmbeddingService", "search", Counted(f"s{number:04}")) for number in range(services)]

    def all_services() -> Iterator[ObjectKey]:
        nonlocal read
        read += 1
        yield from everybody

    following = Following()
    behind, settled = replace(BEHIND, limit=limit), replace(SETTLED, limit=limit)
    for key in everybody:
        following.note(key, behind, all_services())
    turns = [key for key in everybody if following.take(key)]
    assert len(turns) == limit
    for key in turns:  # grows
        for woken in following.note(key, settled, all_services()):
            assert following.take(woken)
            turns.append(woken)
    assert turns == everybody
    assert read == 1
    assert Counted.compared < services * 50
