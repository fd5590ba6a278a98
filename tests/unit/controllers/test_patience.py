"""How long something has been so, at every look."""

from embedding_operator.controllers.patience import Patience
from embedding_operator.kube.resources import ObjectKey

ONE, OTHER = (ObjectKey("EmbeddingService", "search", name) for name in ("one", "other"))


def test_patience_is_over_when_it_was_so_at_every_look() -> None:
    now = [100.0]
    patience = Patience(15, clock=lambda: now[0])
    assert not patience.is_over(ONE)
    assert patience.look(ONE, True) == 15
    now[0] += 5
    assert patience.look(ONE, True) == 10
    now[0] += 10
    assert patience.is_over(ONE)
    assert patience.look(ONE, True) is None, "nothing more to wait for"
    assert not patience.is_over(OTHER)


def test_it_begins_anew_when_it_was_not_so_in_between() -> None:
    now = [0.0]
    patience = Patience(15, clock=lambda: now[0])
    patience.look(ONE, True)
    now[0] += 20
    assert patience.look(ONE, False) is None
    assert not patience.is_over(ONE)
    assert patience.look(ONE, True) == 15
