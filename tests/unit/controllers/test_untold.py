"""Notes for Events are given out once, and are forgotten where nobody works."""

from embedding_operator.controllers.untold import Untold
from embedding_operator.kube.resources import ObjectKey

ONE, OTHER = (ObjectKey("EmbeddingService", "search", name) for name in ("one", "other"))


def test_each_note_is_given_out_once() -> None:
    untold = Untold(clock=lambda: 0.0)
    untold.add(ONE, "a")
    untold.add(OTHER, "b")
    untold.add(ONE, "c")
    assert untold.take(ONE) == ["a", "c"]
    assert untold.take(ONE) == []
    assert untold.take(OTHER) == ["b"]


def test_what_nobody_told_in_time_is_forgotten_and_there_is_a_bound() -> None:
    now = [0.0]
    untold = Untold(clock=lambda: now[0])
    for number in range(1000):
        untold.add(ONE, str(number))
    assert untold.take(ONE)[-1] == "999"
    untold.add(ONE, "old")
    now[0] += 3600
    untold.add(OTHER, "new")
    assert untold.take(ONE) == []
    assert untold.take(OTHER) == ["new"]
