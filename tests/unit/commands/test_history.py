"""What `embedding-operator history` prints, and how `rollback` shows what it would change."""

import io
import json
from datetime import UTC, datetime

import pytest

from embedding_operator.commands import history as commanded
from embedding_operator.commands import rollback
from embedding_operator.commands.ages import age
from embedding_operator.commands.difference import unified
from embedding_operator.commands.terminal import Screen
from embedding_operator.planning.history import history
from tests.unit.planning import given
from tests.unit.planning.test_history import stored

SCREEN = Screen(io.StringIO())
NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


def test_the_table_has_a_line_for_each_revision_and_marks_the_current_one() -> None:
    made = stored(given.service(), given.service(serving={"maxModelLen": 512}, aliases=None))
    for one, created in zip(made, ("2026-03-01T12:00:00Z", "2026-03-04T11:00:00Z"), strict=True):
        one["metadata"]["creationTimestamp"] = created
    head, first, second = commanded.table(history(made, []), NOW, SCREEN)
    assert head.split() == ["CURRENT", "REVISION", "CREATED", "AGE", "PODS", "IMAGE", "VLLM", "WEIGHTS", "CHANGE"]
    assert first.split() == [
        "1",
        "2026-03-01T12:00:00Z",
        "3d",
        "0/0",
        "quay.io/ascend/vllm-ascend:v0.23.0",
        "0.23.0",
        "9c3d",
    ]
    assert second.startswith("*         2          2026-03-04T11:00:00Z   60m")
    assert second.endswith('serving: unset -> {"maxModelLen": 512}')


def test_many_changes_are_counted_in_the_table_and_all_in_json() -> None:
    tuned = given.service(
        serving={"maxModelLen": 512}, task="Embed", parallelism={"tensor": 2}, scheduling={"schedulerName": "volcano"}
    )
    entries = history(stored(given.service(), tuned), [])
    assert commanded.table(entries, NOW, SCREEN)[2].endswith("; and 1 more")
    described = json.loads(json.dumps(commanded.described(entries[1])))
    assert len(described["changes"]) == 4
    assert described["spec"]["parallelism"] == {"tensor": 2}
    assert (described["revision"], described["current"], described["weights"]["revision"]) == (2, True, "9c3d")


def test_without_revisions_it_is_said_when_the_first_comes() -> None:
    assert commanded.table([], NOW, SCREEN) == ["no revisions yet: the first is made once the weights are staged"]


@pytest.mark.parametrize(
    ("created", "told"),
    [
        ("2026-03-04T11:59:50Z", "10s"),
        ("2026-03-04T12:00:01Z", "0s"),
        ("2026-03-04T11:58:00Z", "2m"),
        ("2026-03-04T10:00:00Z", "2h"),
        ("2026-03-01T12:00:00Z", "3d"),
        ("", "<unknown>"),
    ],
)
def test_ages_are_told_as_kubectl_does(created: str, told: str) -> None:
    assert age(created, NOW) == told


def test_a_difference_shows_the_spec_and_our_annotations_alone() -> None:
    before = {"metadata": {"annotations": {"theirs": "x"}, "resourceVersion": "1"}, "spec": {"replicas": 1}}
    after = {
        "metadata": {"annotations": {"theirs": "y", "embedding-operator.io/rollback-to": "qwen-1"}},
        "spec": {"replicas": 2},
    }
    lines = unified(rollback._compared(before), rollback._compared(after), "now", "after")
    changed = [line for line in lines if line[0] in "+-" and line[:3] not in ("---", "+++")]
    assert changed == [
        "-  annotations: {}",
        "+  annotations:",
        "+    embedding-operator.io/rollback-to: qwen-1",
        "-  replicas: 1",
        "+  replicas: 2",
    ]
