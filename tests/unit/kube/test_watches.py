"""Which watches are silent, told apart from those that fail and those that have nothing to say."""

from embedding_operator.kube.resources import HTTP_ROUTES, MODEL_CACHES, PODS
from embedding_operator.kube.watches import Watches

NEVER = float("-inf")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_watch_of_which_nothing_is_heard_is_silent() -> None:
    clock = Clock()
    watches = Watches(clock)
    watches.begun(PODS, "search")
    watches.begun(MODEL_CACHES)
    clock.now += 100
    watches.heard(MODEL_CACHES, events=0)
    assert list(watches.silent(longer_than=99, since=NEVER)) == [("pods in search", 100)]


def test_one_that_fails_or_begins_anew_is_not() -> None:
    clock = Clock()
    watches = Watches(clock)
    for turn in (watches.failed, watches.begun):
        turn(PODS)
        clock.now += 60
        assert list(watches.silent(longer_than=99, since=NEVER)) == []
    assert [(plural, [one.heard for one in all_]) for plural, all_ in watches.by_kind()] == [("pods", [1000])]


def test_silence_counts_from_when_the_api_server_last_answered_all_else() -> None:
    clock = Clock()
    watches = Watches(clock)
    watches.begun(PODS)
    clock.now += 10_000
    assert list(watches.silent(longer_than=99, since=clock.now - 50)) == []
    clock.now += 50
    assert list(watches.silent(longer_than=99, since=clock.now - 100)) == [("pods", 100)]


def test_nothing_is_expected_of_a_kind_that_the_cluster_does_not_have() -> None:
    clock = Clock()
    watches = Watches(clock)
    watches.begun(HTTP_ROUTES)
    watches.absent(HTTP_ROUTES)
    clock.now += 10_000
    assert list(watches.silent(longer_than=99, since=NEVER)) == []
    watches.begun(HTTP_ROUTES)
    clock.now += 100
    assert list(watches.silent(longer_than=99, since=NEVER)) == [("httproutes", 100)]
