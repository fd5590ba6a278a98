"""The history of a service as people read it: what each revision runs, and what was changed for it."""

import dataclasses
from typing import Any

import pytest

from embedding_operator.planning import history, revision
from embedding_operator.planning.history import Entry
from tests.unit.planning import given

OTHER = "sha256:" + "cd" * 32


def stored(*specs: Any, **observed: Any) -> list[dict[str, Any]]:
    """The ControllerRevisions that one spec after the other makes."""
    made: list[dict[str, Any]] = []
    for spec in specs:
        known = [one for one in map(revision.parse, made) if one]
        seen = given.seen(**({"cache": given.cache(), "revisions": known} | observed))
        now = given.child(given.plan(spec, seen), "ControllerRevision")
        made = [one for one in made if one["metadata"]["name"] != now["metadata"]["name"]] + [now]
    return made


def entries(*specs: Any, pods: Any = (), **observed: Any) -> list[Entry]:
    return history.history(stored(*specs, **observed), pods)


def test_each_revision_says_what_was_changed_for_it() -> None:
    first = given.service()
    longer = given.service(serving={"maxModelLen": 8192})
    newer = given.service(runtime={"profile": "ascend-910b", "version": "0.32.0", "args": ["--enforce-eager"]})
    assert [one.changes for one in entries(first, longer, newer)] == [
        (),
        ('serving: unset -> {"maxModelLen": 8192}',),
        (
            'runtime.args: unset -> ["--enforce-eager"]',
            "runtime.version: unset -> 0.32.0",
            'serving: {"maxModelLen": 8192} -> unset',
        ),
    ]


def test_an_edited_profile_and_other_weights_are_told_too() -> None:
    (one,) = (parsed for parsed in map(revision.parse, stored(given.service())) if parsed)
    edited = dataclasses.replace(one, number=2, profile_hash="other")
    assert list(history.changes(one, edited)) == ["RuntimeProfile ascend-910b was edited"]
    commit = "1f2e3d4c" * 5
    rolled = dataclasses.replace(one, number=2, digest=OTHER, weights=one.weights | {"revision": commit})
    assert list(history.changes(one, rolled)) == ["weights: 9c3d -> 1f2e3d4c1f2e"]


def test_without_a_stored_spec_what_came_of_it_tells() -> None:
    """Revisions of versions that kept no spec."""
    one, two = (
        parsed
        for parsed in map(revision.parse, stored(given.service(), given.service(serving={"dtype": "Float16"})))
        if parsed
    )
    before = dataclasses.replace(one, spec=None)
    assert "dtype: bfloat16 -> float16" in list(history.changes(before, two))
    assert list(history.changes(before, dataclasses.replace(two, spec=one.spec, resolved=one.resolved))) == []


def test_a_long_value_is_cut() -> None:
    (change,) = history.differences({"args": None}, {"args": ["x" * 100]})
    assert change == f'args: unset -> ["{"x" * 45}…'


def test_who_runs_what_is_told_by_the_pods() -> None:
    first, second = stored(given.service(), given.service(serving={"maxModelLen": 512}))
    pods = [given.pod("b"), given.pod("a", ready=False), given.pod("c")]
    for pod, made in zip(pods, (first, first, second), strict=True):
        pod["metadata"]["annotations"] = {revision.ANNOTATION: made["metadata"]["name"]}
    old, new = history.history([second, first], [*pods, given.pod("strange")])
    assert (old.pods, old.ready, old.current) == (("a", "b"), 1, False)
    assert (new.pods, new.ready, new.current) == (("c",), 1, True)


def test_what_cannot_be_read_is_passed_over() -> None:
    assert history.history([{"metadata": {"name": "x"}, "data": None}], []) == []


@pytest.mark.parametrize(
    ("version", "told"),
    [("a" * 40, "a" * 12), ("sha256:" + "b" * 64, "b" * 12), ("v1.0", "v1.0"), ("release-2026-11", "release-2026-11")],
)
def test_a_commit_is_shortened_and_a_name_is_not(version: str, told: str) -> None:
    assert history.short(version) == told
