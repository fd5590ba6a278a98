"""When two looks at an object mean "nothing happened", and when an earlier operator's apply still stands."""

import pytest

from embedding_operator.kube.compact import Packed
from embedding_operator.kube.inforce import APPLIED_ANNOTATION, digest_of, fingerprint, is_held, marked
from tests.unit.kube.given import DESIRED, LABELS, OWNER, observed


@pytest.mark.parametrize(
    "change",
    [
        {"resourceVersion": "11"},  # a status update
        {"labels": {**LABELS, "theirs": "2"}},
        {"annotations": {"note": "1", "deployment.kubernetes.io/revision": "2"}},
        {"ownerReferences": [OWNER, {"kind": "Other", "name": "o", "uid": "u9"}]},
        {"managedFields": []},
    ],
)
def test_what_others_may_change_without_an_apply(change):
    assert fingerprint(DESIRED, observed(**change)) == fingerprint(DESIRED, observed())


@pytest.mark.parametrize(
    "change",
    [
        {"generation": 2},
        {"uid": "u2"},
        {"labels": {**LABELS, "color": "blue"}},
        {"labels": {"color": "red"}},
        {"labels": None},
        {"annotations": {}},
        {"annotations": {"note": "2"}},
        {"ownerReferences": []},
        {"ownerReferences": None},
    ],
)
def test_drift_that_an_apply_heals(change):
    assert fingerprint(DESIRED, observed(**change)) != fingerprint(DESIRED, observed())


def test_kinds_without_a_generation_are_watched_by_resource_version():
    before = observed(generation=None)
    assert fingerprint(DESIRED, observed(generation=None, resourceVersion="11")) != fingerprint(DESIRED, before)


def test_digests_ignore_the_order_of_keys_and_nothing_else():
    assert digest_of({"a": 1, "b": {"c": [1, 2]}}) == digest_of({"b": {"c": [1, 2]}, "a": 1})
    assert digest_of({"a": [1, 2]}) != digest_of({"a": [2, 1]})
    assert digest_of({"a": 1}) != digest_of({"a": "1"})


SPEC = {"replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "containers": [{"name": "x", "args": ["--a", "1"]}]}
WISH = {**DESIRED, "spec": SPEC}
DEFAULTED = {
    "replicas": 2,
    "selector": {"matchLabels": {"a": "b"}},
    "containers": [{"name": "x", "args": ["--a", "1"], "terminationMessagePath": "/dev/termination-log"}],
    "paused": False,
}


def stored(spec=DEFAULTED, digest=None, **changes):
    """WISH as the API server holds it after an apply."""
    found = observed(**changes)
    if "annotations" not in changes:
        found["metadata"]["annotations"][APPLIED_ANNOTATION] = digest or digest_of(WISH)
    return {"apiVersion": "apps/v1", **found, "spec": spec, "status": {"replicas": 2}}


def test_what_is_sent_carries_its_digest_and_the_wish_stays_as_it_was():
    digest = digest_of(WISH)
    sent = marked(WISH, digest)
    assert sent["metadata"]["annotations"] == {"note": "1", APPLIED_ANNOTATION: digest}
    assert APPLIED_ANNOTATION not in WISH["metadata"]["annotations"]
    assert {**sent, "metadata": None} == {**WISH, "metadata": None}


@pytest.mark.parametrize(
    "found",
    [
        stored(),
        stored(generation=7, resourceVersion="99"),
        stored(labels={**LABELS, "theirs": "2"}),
        stored(ownerReferences=[OWNER, {"kind": "Other", "name": "o", "uid": "u9"}]),
    ],
)
def test_an_earlier_apply_still_stands(found):
    assert is_held(found, WISH, digest_of(WISH))


@pytest.mark.parametrize(
    "found",
    [
        stored(digest="another"),
        stored(annotations={"note": "1"}),
        stored(labels={"color": "red"}),
        stored(ownerReferences=[]),
        stored({**DEFAULTED, "replicas": 3}),
        stored({**DEFAULTED, "selector": {}}),
        stored({**DEFAULTED, "containers": []}),
        stored({**DEFAULTED, "containers": [{"name": "x", "args": ["--a", "1", "--b"]}]}),
        stored({**DEFAULTED, "containers": [{"name": "x"}]}),
        stored({**DEFAULTED, "containers": [*DEFAULTED["containers"], {"name": "y"}]}),
        stored({**DEFAULTED, "containers": None}),
    ],
)
def test_an_earlier_apply_that_somebody_undid(found):
    assert not is_held(found, WISH, digest_of(WISH))


def test_what_is_packed_is_looked_into():
    assert is_held(stored(Packed(DEFAULTED)), WISH, digest_of(WISH))
    assert not is_held(stored(Packed({**DEFAULTED, "replicas": 3})), WISH, digest_of(WISH))


def test_what_nobody_can_change_is_not_looked_into():
    wish = {"kind": "ControllerRevision", "metadata": DESIRED["metadata"], "revision": 2, "data": {"a": 1}}
    found = stored(digest=digest_of(wish)) | {"kind": "ControllerRevision", "revision": 2, "data": None}
    assert is_held(found, wish, digest_of(wish))
    assert not is_held(found | {"revision": 3}, wish, digest_of(wish))
    assert not is_held({name: value for name, value in found.items() if name != "data"}, wish, digest_of(wish))
    assert not is_held(found, wish | {"data": {"a": 2}}, digest_of(wish | {"data": {"a": 2}}))


def test_a_field_that_is_not_desired_any_more_is_another_wish():
    fewer = {**WISH, "spec": {"replicas": 2}}
    assert not is_held(stored(), fewer, digest_of(fewer))
