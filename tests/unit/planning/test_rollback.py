"""Going back: the spec that is written, what the plan then makes of it, and what speaks against it."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from embedding_operator.api import names
from embedding_operator.planning import revision, rollback
from embedding_operator.planning.history import history
from embedding_operator.planning.revision import Revision, pod_spec
from embedding_operator.planning.rollback import RollbackError
from tests.unit.planning import given
from tests.unit.planning.test_history import OTHER, entries

JsonObject = dict[str, Any]
FIRST = given.service()
SECOND = given.service(serving={"maxModelLen": 512})


def parsed(*specs: Any, **observed: Any) -> list[Revision]:
    return [entry.revision for entry in entries(*specs, **observed)]


def annotated(service: JsonObject, **annotations: str) -> JsonObject:
    named = {getattr(names, f"{name}_ANNOTATION"): value for name, value in annotations.items()}
    return service | {"metadata": service["metadata"] | {"annotations": named, "resourceVersion": "7"}}


def edited(**spec: Any) -> Any:
    """All built-in profiles with another content."""
    return given.profiles(pod={"env": [{"name": "EDITED", "value": "1"}]}, **spec)


def test_the_template_comes_back_as_it_was_though_the_profile_was_edited() -> None:
    first, second = parsed(FIRST, SECOND)
    now = annotated(FIRST, ROLLBACK=first.name)
    seen = given.seen(cache=given.cache(), revisions=[first, second], profiles=edited())
    planned = given.plan(now, seen)
    (made,) = given.stored(planned)
    assert made == dataclasses.replace(first, number=3)
    assert given.child(planned, "Deployment")["spec"]["template"] == first.template
    assert "rollback-to holds them" in given.conditions(planned)["UpdateAvailable"][2]
    again = given.plan(now, dataclasses.replace(seen, revisions=[made, second]))
    assert given.stored(again) == [made]  # and it stays so, with the number that it has by now
    (anew,) = given.stored(given.plan(FIRST, seen))
    assert anew.template != first.template  # without the annotation the edited profile is adopted


def test_a_former_content_of_the_profile_comes_back_under_the_same_spec() -> None:
    first = parsed(FIRST)
    toggled = given.stored(given.plan(SECOND, given.seen(cache=given.cache(), revisions=first, profiles=edited())))
    adopted = given.stored(
        given.plan(FIRST, given.seen(cache=given.cache(), revisions=first + toggled, profiles=edited()))
    )
    seen = given.seen(cache=given.cache(), revisions=first + toggled + adopted, profiles=edited())
    (made,) = given.stored(given.plan(annotated(FIRST, ROLLBACK=first[0].name), seen))
    assert (made.name, made.number) == (first[0].name, 4)


def test_another_spec_ends_it() -> None:
    first, second = parsed(FIRST, SECOND)
    seen = given.seen(cache=given.cache(), revisions=[first, second])
    assert given.stored(given.plan(annotated(SECOND, ROLLBACK=first.name), seen)) == [second]


@pytest.mark.parametrize("cache", [given.cache(digest=OTHER), given.cache(staged=False), None])
def test_no_pod_is_rolled_to_weights_that_are_not_proven_to_be_there(cache: Any) -> None:
    first, second = parsed(FIRST, SECOND)
    seen = given.seen(cache=cache, revisions=[first, second])
    (made,) = given.stored(given.plan(annotated(FIRST, ROLLBACK=first.name), seen))
    assert made.name != first.name


def test_a_revision_that_runs_stays_while_its_weights_are_staged_again() -> None:
    first, second = parsed(FIRST, SECOND)
    back = dataclasses.replace(first, number=3)
    seen = given.seen(cache=given.cache(staged=False), revisions=[back, second], profiles=edited())
    assert given.stored(given.plan(annotated(FIRST, ROLLBACK=first.name), seen)) == [back]


@pytest.mark.parametrize(
    ("asked", "number", "found"),
    [(SECOND, None, 1), (SECOND, 1, 1), (SECOND, 2, 2), (given.service(task="Classify"), None, 2)],
    ids=["the one before", "by number", "the current one", "what runs, where the spec made none yet"],
)
def test_which_revision_is_meant(asked: Any, number: int | None, found: int) -> None:
    assert rollback.target(entries(FIRST, SECOND), asked["spec"], number).number == found


@pytest.mark.parametrize(
    ("made", "number", "problem"),
    [
        ([], None, "there is no earlier revision to go back to (stored: none)"),
        ([FIRST], None, "there is no earlier revision to go back to (stored: 1)"),
        ([FIRST, SECOND], 7, "there is no revision 7: choose one of those that are stored (1, 2)"),
    ],
)
def test_a_revision_that_is_not_there_is_refused(made: Any, number: int | None, problem: str) -> None:
    with pytest.raises(RollbackError) as caught:
        rollback.target(entries(*made), FIRST["spec"], number)
    assert str(caught.value) == problem


def without_spec(revisions: list[Revision]) -> list[JsonObject]:
    return [revision.controller_revision({}, dataclasses.replace(one, spec=None)) for one in revisions]


def test_one_without_its_spec_is_refused_unless_the_spec_is_that() -> None:
    stored = history(without_spec(parsed(FIRST, SECOND)), [])
    with pytest.raises(RollbackError, match="did not keep the spec with it: apply the manifest of that time"):
        rollback.target(stored, SECOND["spec"], 1)
    chosen = rollback.target(stored, FIRST["spec"], 1)
    assert rollback.patch(annotated(FIRST), chosen) == {
        "metadata": {"resourceVersion": "7", "annotations": {names.ROLLBACK_ANNOTATION: chosen.name}}
    }


def test_a_revision_without_spec_is_written_again_as_it_was_stored() -> None:
    """Older versions stored none, and `data` cannot be changed."""
    (old,) = without_spec(parsed(FIRST))
    assert "spec" not in old["data"]
    read = revision.parse(old)
    assert read is not None
    assert revision.controller_revision({}, read)["data"] == old["data"]


def test_what_does_not_reach_the_pods_stays_as_it_is() -> None:
    cache = {"claimName": "model-weights", "subPath": "a", "securityContext": {"runAsUser": 7}}
    then = given.service(cache=cache, rollout={"drainTimeout": "30s"}, replicas=4)["spec"]
    now = given.service(
        cache={"claimName": "other", "securityContext": {"runAsUser": 8}},
        rollout={"strategy": "Surge"},
        serving={"maxModelLen": 512},
        replicas=9,
        suspend=True,
        exposure={"service": {"port": 80}},
    )["spec"]
    assert rollback.restored(now, pod_spec(then)) == {
        "model": then["model"],
        "runtime": then["runtime"],
        "cache": {"claimName": "model-weights", "subPath": "a", "securityContext": {"runAsUser": 8}},
        "rollout": {"drainTimeout": "30s", "strategy": "Surge"},
        "replicas": 9,
        "suspend": True,
        "exposure": {"service": {"port": 80}},
    }


def test_between_a_source_and_a_reference_the_cache_comes_and_goes() -> None:
    own = given.service(cache={"claimName": "c", "securityContext": {"runAsUser": 7}})["spec"]
    shared = given.service(model={"cacheRef": {"name": "w"}}, cache=None)["spec"]
    assert rollback.restored(own, pod_spec(shared)) == shared
    assert rollback.restored(shared, pod_spec(own))["cache"] == {"claimName": "c"}


GROUPS = st.fixed_dictionaries(
    {},
    optional={
        "model": st.fixed_dictionaries({}, optional={"servedName": st.sampled_from("ab"), "source": st.just({"x": 1})}),
        "cache": st.fixed_dictionaries(
            {}, optional={name: st.integers(0, 2) for name in ("claimName", "subPath", "securityContext")}
        ),
        "rollout": st.fixed_dictionaries(
            {}, optional={name: st.integers(0, 2) for name in ("drainTimeout", "strategy", "revisionHistoryLimit")}
        ),
        "serving": st.fixed_dictionaries({}, optional={"maxModelLen": st.integers(0, 2), "pooling": st.just({})}),
        "replicas": st.integers(0, 3),
        "exposure": st.fixed_dictionaries(
            {},
            optional={
                "service": st.just({"port": 80}),
                "apiKeySecretRef": st.sampled_from([{"name": "keys"}, {"name": "others"}]),
                "tls": st.just({"secretRef": {"name": "certificate"}}),
            },
        ),
    },
)


@forall(GROUPS, GROUPS)
def test_what_is_restored_is_what_the_revision_was_made_of(now: JsonObject, then: JsonObject) -> None:
    """Or it would be rendered anew: its hash is looked for."""
    assert revision.spec_hash(rollback.restored(now, pod_spec(then))) == revision.spec_hash(then)


def test_the_refresh_that_chose_the_weights_comes_back_too() -> None:
    (first,) = parsed(annotated(FIRST, REFRESH="march"))
    assert first.refresh == "march"
    change = rollback.patch(annotated(FIRST, REFRESH="june"), first)
    assert change["metadata"]["annotations"][names.REFRESH_ANNOTATION] == "march"
    (plain,) = parsed(FIRST)
    assert rollback.patch(annotated(FIRST, REFRESH="june"), plain)["metadata"]["annotations"] == {
        names.ROLLBACK_ANNOTATION: plain.name,
        names.REFRESH_ANNOTATION: None,
    }


@pytest.mark.parametrize(
    ("cache", "told"),
    [
        (given.cache(), ""),
        (None, "is gone): they are staged again"),
        (given.cache(staged=False), "is not ready): the pods stay as they are"),
        (given.cache(digest=OTHER, revision="new"), "holds other weights by now (new)"),
    ],
)
def test_weights_that_are_gone_are_told(cache: Any, told: str) -> None:
    (first,) = parsed(FIRST)
    said = rollback.weights_lost(first, cache)
    assert told in said
    assert bool(told) is bool(said)


KEYS, TLS = {"apiKeySecretRef": {"name": "keys"}}, {"tls": {"secretRef": {"name": "cert"}}}


@pytest.mark.parametrize(
    ("then", "now", "told"),
    [
        ({}, KEYS, ["that revision has no spec.exposure.apiKeySecretRef: the service answers whoever reaches it"]),
        (
            {"service": {"port": 8080}},
            TLS,
            ["that revision has no spec.exposure.tls: the service is reached without TLS"],
        ),
        (
            KEYS,
            {"apiKeySecretRef": {"name": "others"}},
            ['spec.exposure.apiKeySecretRef becomes {"name": "keys"} again: clients must be ready for it'],
        ),
        (KEYS | TLS, KEYS | TLS | {"service": {"port": 8080}}, []),
        (
            KEYS | TLS,
            {},
            [
                'spec.exposure.apiKeySecretRef becomes {"name": "keys"} again: clients must be ready for it',
                'spec.exposure.tls becomes {"secretRef": {"name": "cert"}} again: clients must be ready for it',
            ],
        ),
    ],
)
def test_what_becomes_of_keys_and_tls_is_told(then: JsonObject, now: JsonObject, told: list[str]) -> None:
    (first,) = parsed(given.service(exposure=then))
    service = given.service(exposure=now)
    assert rollback.guards_changed(service, first) == told
    after = rollback.restored(service["spec"], first.spec or {}).get("exposure") or {}
    for field in ("apiKeySecretRef", "tls"):
        assert after.get(field) == then.get(field), "what is told is what is done"
    assert rollback.guards_changed(service, dataclasses.replace(first, spec=None)) == []


def test_who_writes_the_fields_is_told_unless_it_is_a_person() -> None:
    def entry(manager: str, fields: JsonObject, **more: str) -> JsonObject:
        return {"manager": manager, "operation": "Apply", "fieldsV1": fields} | more

    serving = {"f:spec": {"f:serving": {".": {}, "f:maxModelLen": {}}, "f:runtime": {"f:args": {}}}}
    managed = [
        entry("argocd-controller", serving),
        entry("kustomize-controller", {"f:spec": {"f:replicas": {}}}),
        entry("kubectl-client-side-apply", serving),
        entry("embedding-operator", {"f:status": {}}, subresource="status"),
        entry("helm", {"f:metadata": {}}),
    ]
    changed = {"serving": {"maxModelLen": None, "dtype": "Float16"}, "runtime": {"args": ["--x"]}}
    assert rollback.writers(managed, changed) == {
        "argocd-controller": ["spec.serving.maxModelLen", "spec.runtime.args"]
    }
