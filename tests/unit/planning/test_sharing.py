"""Given what services that share a ModelCache wish, what it must become."""

import copy
from typing import Any

import pytest

from embedding_operator.api.modelcache import ModelCache
from embedding_operator.api.service import EmbeddingService
from embedding_operator.planning.cacheplan import plan_cache
from embedding_operator.planning.cachestate import ObservedCache
from embedding_operator.planning.sharing import merge_patch
from embedding_operator.planning.stagejob import StagingSite, job_name
from embedding_operator.planning.weights import model_cache
from tests.unit.planning import given


def wish(**cache: Any) -> dict[str, Any]:
    """The spec of the ModelCache that a service with such a `cache` would make."""
    service = EmbeddingService.from_dict(given.service(cache={"claimName": "model-weights", **cache}))
    spec: dict[str, Any] = model_cache(service, given.profiles()["ascend-910b"].spec.pod)["spec"]
    return spec


def made(**spec: Any) -> ModelCache:
    """The ModelCache that was made for the first of them, in which somebody changed something."""
    metadata = {"name": "c", "namespace": "search", "labels": {"app.kubernetes.io/managed-by": "embedding-operator"}}
    return ModelCache.from_dict({"metadata": metadata, "spec": wish() | spec})


def changes(cache: ModelCache, *wishes: dict[str, Any]) -> dict[str, Any]:
    planned = plan_cache(cache, ObservedCache(wishes=wishes, claim_exists=True), StagingSite("x:1"))
    return planned.patch.get("spec") or {}


@pytest.mark.parametrize(
    ("has", "say", "becomes"),
    [
        (None, [None], None),
        (None, ["Delete"], "Delete"),
        ("Delete", ["Delete", "Delete"], None),
        ("Delete", ["Delete", "Retain"], "Retain"),
        ("Delete", ["Delete", None], "Retain"),
        ("Retain", ["Delete"], "Delete"),
        ("Delete", [None, None], "Retain"),  # nobody wants it any more, or somebody came who never did
        ("Delete", [None], "Retain"),
        ("Retain", [None], None),
    ],
)
def test_retain_wins(has: str | None, say: list[str | None], becomes: str | None) -> None:
    cache = made(**({"deletionPolicy": has} if has else {}))
    patch = changes(cache, *(wish(**({"deletionPolicy": one} if one else {})) for one in say))
    assert patch == ({"deletionPolicy": becomes} if becomes else {})


@pytest.mark.parametrize(("has", "say", "becomes"), [("Retain", "Delete", None), ("Delete", None, "Retain")])
def test_while_it_is_deleted_a_person_may_save_the_files_and_no_service_has_them_removed(
    has: str, say: str | None, becomes: str | None
) -> None:
    obj = made(deletionPolicy=has).to_dict()
    obj["metadata"] |= {"deletionTimestamp": "2026-01-02T03:04:05Z", "finalizers": ["embedding-operator.io/cleanup"]}
    patch = changes(ModelCache.from_dict(obj), wish(**({"deletionPolicy": say} if say else {})))
    assert patch == ({"deletionPolicy": becomes} if becomes else {})


@pytest.mark.parametrize(
    ("has", "say", "becomes"),
    [("1h", ["2h", "90m"], "2h"), ("2h", ["90m", None], "90m"), ("1h", [None], None), (None, ["30s"], "30s")],
)
def test_the_longest_time_wins(has: str | None, say: list[str | None], becomes: str | None) -> None:
    cache = made(**({"ttlAfterUnused": has} if has else {}))
    patch = changes(cache, *(wish(**({"ttlAfterUnused": one} if one else {})) for one in say))
    assert patch == ({"ttlAfterUnused": becomes} if becomes else {})


def test_who_stages_follows_the_services_and_makes_another_job() -> None:
    mended = wish(securityContext={"runAsUser": 1000})
    patch = changes(made(), mended)
    assert patch == {"stager": {"securityContext": {"runAsUser": 1000}}}
    assert job_name(made()) != job_name(made(stager=mended["stager"]))


def test_a_stager_that_somebody_still_wants_stays() -> None:
    assert changes(made(), wish(securityContext={"runAsUser": 1000}), wish()) == {}


def test_what_no_service_wants_any_more_goes() -> None:
    cache = made(stager={"nodeSelector": {"a": "1", "b": "2"}, "securityContext": {"runAsUser": 5}})
    assert changes(cache, wish())["stager"]["securityContext"] is None
    assert changes(cache, wish())["stager"]["nodeSelector"].items() >= {"a": None, "b": None}.items()


def test_nobody_changes_what_a_person_made_or_what_nobody_uses() -> None:
    mine = ModelCache.from_dict({"metadata": {"name": "c", "namespace": "search"}, "spec": wish()})
    assert changes(mine, wish(deletionPolicy="Delete")) == {}
    assert changes(made(deletionPolicy="Delete")) == {}


def patched(target: Any, patch: Any) -> Any:
    """RFC 7396, as the API server does it."""
    if not isinstance(patch, dict):
        return patch
    out = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = patched(out.get(key), value)
    return out


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({}, {"a": {"b": 1}}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}),
        ({"a": [1], "b": {"c": {"d": 1}}}, {"a": [2], "b": {"c": {}}}),
        ({"a": {"b": 1}}, {"a": 2}),
        ({"a": 1}, {"a": 1}),
    ],
)
def test_a_merge_patch_makes_the_one_into_the_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    patch = merge_patch(copy.deepcopy(old), new)
    assert patched(old, patch) == new
    assert (patch == {}) == (old == new)
