"""Revisions are read back as they were stored; what is not ours to read is none."""

import copy
from typing import Any

import pytest

from embedding_operator.planning import revision
from tests.unit.planning import given

STORED = given.child(given.plan(given.service(), given.seen(cache=given.cache())), "ControllerRevision")


def test_a_revision_reads_back_and_is_written_again_as_it_was() -> None:
    read = revision.parse(copy.deepcopy(STORED))
    assert read is not None
    metadata = {key: value for key, value in STORED["metadata"].items() if key != "name"}
    assert revision.controller_revision(metadata, read) == STORED


def test_what_a_newer_operator_resolved_is_written_again_too() -> None:
    """`data` cannot be changed: dropping a field that this version does not know would be refused."""
    newer = copy.deepcopy(STORED)
    newer["data"]["resolved"]["inventedLater"] = [1]
    newer["data"] |= {"inventedLater": {"a": 1}, "later": "x"}
    read = revision.parse(newer)
    assert read is not None
    assert revision.controller_revision({}, read)["data"] == newer["data"]


@pytest.mark.parametrize(
    "change",
    [
        {"data": None},
        {"data": "text"},
        {"data": {}},
        {"revision": None},
        {"data": STORED["data"] | {"template": "text"}},
        {"data": STORED["data"] | {"digest": {}}},
        {"data": STORED["data"] | {"resolved": {"profile": []}}},
        {"data": STORED["data"] | {"weights": {"path": 1}}},
    ],
    ids=["no data", "text", "empty", "no number", "template", "digest", "resolved", "weights"],
)
def test_what_cannot_be_read_is_no_revision(change: dict[str, Any]) -> None:
    assert revision.parse({key: value for key, value in (STORED | change).items() if value is not None}) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("securityContext", {"runAsUser": 7}), ("deletionPolicy", "Delete"), ("ttlAfterUnused", "1h")],
)
def test_what_does_not_reach_the_pods_makes_no_revision(field: str, value: Any) -> None:
    cache = {"claimName": "model-weights"}
    before = given.service(cache=cache)["spec"]
    assert revision.spec_hash(given.service(cache=cache | {field: value})["spec"]) == revision.spec_hash(before)
    assert revision.spec_hash(given.service(cache={"claimName": "other"})["spec"]) != revision.spec_hash(before)
