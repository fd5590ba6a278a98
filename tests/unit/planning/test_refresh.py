"""Given the annotation embedding-operator.io/refresh on a service, a new look at its branch, for it alone."""

from typing import Any

import pytest

from embedding_operator.api.service import EmbeddingService
from embedding_operator.planning.weights import cache_name, model_cache
from tests.unit.planning import given

REFRESH = "embedding-operator.io/refresh"
SERVING = given.stored(given.plan(given.service(), given.seen(cache=given.cache())))
READY = given.deployment(replicas=4, ready=4)


def service(refresh: str | None, **spec: Any) -> dict[str, Any]:
    obj = given.service(**spec)
    obj["metadata"]["annotations"] = {} if refresh is None else {REFRESH: refresh}
    return obj


def name(refresh: str | None, **spec: Any) -> str:
    return cache_name(EmbeddingService.from_dict(service(refresh, **spec)))


def test_each_value_is_another_cache_and_none_is_the_one_that_others_share() -> None:
    assert len({name(value) for value in (None, "2026-01-02", "2026-01-03")}) == 3
    assert name("2026-01-02") == name("2026-01-02")
    assert name("") == name(None) == cache_name(EmbeddingService.from_dict(given.service()))


def test_the_new_cache_has_the_same_source_and_says_which_look_it_is() -> None:
    def made(refresh: str | None) -> dict[str, Any]:
        return model_cache(EmbeddingService.from_dict(service(refresh)), given.profiles()["ascend-910b"].spec.pod)

    assert made("again")["spec"] == made(None)["spec"]
    assert made("again")["metadata"]["annotations"] == {REFRESH: "again"}
    assert "annotations" not in made(None)["metadata"]


def test_who_names_its_cache_has_asked_for_that_one() -> None:
    assert name("again", model={"cacheRef": {"name": "mine"}}, cache=None) == "mine"


STALLED = [
    {"type": "Ready", "status": "False", "reason": "ChecksumMismatch", "message": "x: expected a, got b"},
    {"type": "Stalled", "status": "True", "reason": "ChecksumMismatch", "message": "x: expected a, got b"},
]


@pytest.mark.parametrize(
    ("cache", "reason", "words"),
    [
        (None, "WaitingForWeights", "does not exist yet"),
        (given.cache(staged=False), "WaitingForWeights", "not ready"),
        (given.cache(staged=False, conditions=STALLED), "CacheStalled", "x: expected a, got b"),
    ],
)
def test_until_the_new_weights_are_proven_all_is_as_it_was_and_the_service_says_why(
    cache: Any, reason: str, words: str
) -> None:
    seen = given.seen(cache=cache, revisions=SERVING, deployment=READY)
    planned = given.plan(service("again"), seen)
    before = given.plan(given.service(), given.seen(cache=given.cache(), revisions=SERVING, deployment=READY))
    assert planned.apply == before.apply
    assert planned.delete == before.delete
    conditions = given.conditions(planned)
    assert conditions["Ready"] == given.conditions(before)["Ready"]
    assert conditions["WeightsReady"][:2] == ("False", reason)
    assert words in conditions["WeightsReady"][2]
    assert planned.status.model.digest == given.DIGEST


def test_other_weights_roll_the_pods_and_the_same_ones_do_not() -> None:
    moved = given.plan(service("again"), given.seen(cache=given.cache(digest="sha256:" + "cd" * 32), revisions=SERVING))
    assert given.stored(moved)[0].name != SERVING[0].name
    same = given.plan(service("again"), given.seen(cache=given.cache(), revisions=SERVING))
    assert given.stored(same) == SERVING
