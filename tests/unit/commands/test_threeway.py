"""What `kubectl apply` would send for a manifest, as `diff` works it out."""

from typing import Any

import pytest

from embedding_operator.commands import CommandError
from embedding_operator.commands.threeway import LAST_APPLIED, applier, last_manifest, three_way


@pytest.mark.parametrize(
    ("last", "wanted", "live", "change"),
    [
        ({}, {"a": 1}, {"a": 1, "b": 2}, {}),  # what somebody else wrote stays
        ({"b": 2}, {"a": 1}, {"a": 1, "b": 2}, {"b": None}),  # what was in the last manifest goes
        ({"b": 2}, {"a": 1}, {"a": 1}, {}),  # unless it is gone
        ({"x": {"a": 1, "b": 1}}, {"x": {"a": 2}}, {"x": {"a": 1, "b": 1, "c": 1}}, {"x": {"a": 2, "b": None}}),
        ({}, {"x": [1]}, {"x": [1, 2]}, {"x": [1]}),
        ({"x": 1}, {"x": {"a": 1}}, {"x": 1}, {"x": {"a": 1}}),
    ],
)
def test_a_three_way_merge(last: Any, wanted: Any, live: Any, change: Any) -> None:
    assert three_way(last, wanted, live) == change


@pytest.mark.parametrize("text", ["{", "[]", "1", '{"spec": [1]}', '{"metadata": "x"}', "[" * 50_000])
def test_what_is_no_manifest_is_no_traceback(text: str) -> None:
    live = {"kind": "EmbeddingService", "metadata": {"namespace": "search", "name": "qwen"}}
    with pytest.raises(CommandError, match=f"EmbeddingService search/qwen: .*{LAST_APPLIED}.*apply once more"):
        last_manifest(live, text)


def test_the_last_manifest_is_what_was_applied() -> None:
    assert last_manifest({}, '{"spec": {"replicas": 1}, "metadata": null}')["spec"] == {"replicas": 1}


def test_who_applied_a_spec_is_told_by_the_record_of_the_api_server() -> None:
    fields = {"f:spec": {"f:replicas": {}}}
    entries = [
        {"manager": "operator", "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {}}},
        {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": fields},
        {"manager": "labels", "operation": "Apply", "fieldsV1": {"f:metadata": {}}},
        {"manager": "flux", "operation": "Apply", "fieldsV1": fields},
    ]
    assert applier({"metadata": {"managedFields": entries}}) == "flux"
    assert applier({"metadata": {"managedFields": entries[:3]}}) is None
    assert applier({"metadata": {}}) is None
