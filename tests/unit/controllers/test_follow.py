"""A follower whose watches bring what a test likes; the clock jumps."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest

from embedding_operator.controllers import follow as follower
from embedding_operator.controllers.resync import Resync
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import PODS, ObjectKey, Resource
from embedding_operator.kube.watching import News
from tests.unit.controllers import given

BOOKMARK = News("BOOKMARK", {"kind": "Pod", "metadata": {"resourceVersion": "9"}})
EXPIRED = ApiError(410, "Expired", "too old resource version")
Said = News | Exception


class Listing(Resync):
    """Lists nothing, each time at another version."""

    def __init__(self) -> None:
        super().__init__(given.context(), {PODS: ""})
        self.versions[PODS, None] = "1"
        self.lists = 0

    async def list(self, resource: Resource, namespace: str | None) -> str:
        self.lists += 1
        return f"listed {self.lists}"


def followed(
    monkeypatch: pytest.MonkeyPatch, says: Callable[[int], list[Said]], seconds: float
) -> tuple[Listing, list[tuple[float, str]]]:
    """Follow pods for so long. Returns who was asked to list, and when watches began and from which version."""
    watches: list[tuple[float, str]] = []
    resync = Listing()

    async def watch(_client: Any, _kind: Resource, _in: Any, _selector: str, version: str) -> AsyncIterator[list[News]]:
        watches.append((asyncio.get_running_loop().time(), version))
        for said in says(len(watches)):
            if isinstance(said, Exception):
                raise said
            yield [said]

    async def for_a_while() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await follower.follow(resync._context, resync, PODS, None, "")

    monkeypatch.setattr(follower, "watch", watch)
    given.timeless(for_a_while())
    return resync, watches


def pauses(watches: list[tuple[float, str]]) -> list[float]:
    return [later - earlier for (earlier, _), (later, _) in itertools.pairwise(watches)]


@pytest.mark.parametrize("said", [[], [ApiError(500, "InternalError", "etcd is away")]], ids=["nothing", "an error"])
def test_watches_that_bring_nothing_follow_each_other_ever_more_slowly(
    monkeypatch: pytest.MonkeyPatch, said: list[Said]
) -> None:
    _, watches = followed(monkeypatch, lambda _: said, 600.0)
    assert max(pauses(watches)[:1]) <= 0.5 * 2
    assert min(pauses(watches)[6:]) >= 7.5
    assert {version for _, version in watches} == {"1"}


def test_after_news_the_next_watch_begins_soon_and_where_they_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    _, watches = followed(monkeypatch, lambda nth: [BOOKMARK] if nth > 8 else [], 600.0)
    assert {version for _, version in watches[9:]} == {"9"}
    assert max(pauses(watches)[8:]) <= 0.5


def test_a_forgotten_version_is_followed_by_one_list_and_a_watch_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    resync, watches = followed(monkeypatch, lambda nth: [EXPIRED] if nth == 2 else [BOOKMARK], 10.0)
    assert [version for _, version in watches[:4]] == ["1", "9", "listed 1", "9"]
    assert resync.lists == 1


def test_a_server_that_asks_to_wait_is_left_alone_for_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    _, watches = followed(monkeypatch, lambda _: [ApiError(429, "TooManyRequests", "slow down", 40.0)], 100.0)
    assert pauses(watches) == [40.0, 40.0]


def test_news_reach_the_cache_and_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = {"embedding-operator.io/service": "qwen"}
    pod = {"kind": "Pod", "metadata": {"name": "x", "namespace": "a", "resourceVersion": "7", "labels": labels}}
    resync, _ = followed(monkeypatch, lambda _: [News("ADDED", pod)], 5.0)
    assert ObjectKey("Pod", "a", "x") in resync._context.cache
    assert len(resync._context.queue) == 1


@pytest.mark.parametrize(("optional", "lists"), [((), 0), ((PODS,), 1)])
def test_a_right_that_is_taken_away_is_asked_for_by_a_list_where_one_can_do_without(
    monkeypatch: pytest.MonkeyPatch, optional: tuple[Resource, ...], lists: int
) -> None:
    """Which looks again every few minutes, where a watch would be tried, and refused, every few seconds."""
    monkeypatch.setattr(follower, "OPTIONAL_KINDS", optional)
    refused = ApiError(403, "Forbidden", "pods is forbidden")
    resync, _ = followed(monkeypatch, lambda nth: [refused] if nth == 1 else [BOOKMARK], 10.0)
    assert resync.lists == lists
