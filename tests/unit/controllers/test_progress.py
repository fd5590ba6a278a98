"""How often a stager is asked how far it is."""

from embedding_operator.controllers.progress import Looks
from embedding_operator.kube.resources import ObjectKey

ONE, OTHER = ObjectKey("ModelCache", "search", "one"), ObjectKey("ModelCache", "search", "other")


def test_each_stager_is_asked_at_most_every_five_seconds_however_often_its_cache_is_looked_at() -> None:
    now = [100.0]
    looks = Looks(clock=lambda: now[0])
    assert (looks.is_due(ONE), looks.is_due(ONE), looks.is_due(OTHER)) == (True, False, True)
    now[0] = 104.9
    assert not looks.is_due(ONE)
    now[0] = 105.0
    assert (looks.is_due(ONE), looks.is_due(ONE)) == (True, False)
