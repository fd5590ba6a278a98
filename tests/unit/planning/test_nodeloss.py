"""Pods of a lost node are given up soon, unless somebody says when."""

from typing import Any

import pytest

from embedding_operator.api.service import EmbeddingService
from embedding_operator.planning.weights import model_cache
from tests.unit.planning import given

NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"


def tolerated(**scheduling: Any) -> dict[str, Any]:
    """For how long a pod endures each taint; None is for ever."""
    planned = given.plan(given.service(scheduling=scheduling), given.seen(cache=given.cache()))
    pod = given.child(planned, "Deployment")["spec"]["template"]["spec"]
    return {one.get("key"): one.get("tolerationSeconds") for one in pod["tolerations"]}


def test_a_lost_node_is_endured_for_a_minute_or_as_the_service_says() -> None:
    assert tolerated() == {NOT_READY: 60, UNREACHABLE: 60}
    assert tolerated(nodeLossToleration="5m") == {NOT_READY: 300, UNREACHABLE: 300}
    assert tolerated(nodeLossToleration="0s") == {NOT_READY: 0, UNREACHABLE: 0}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"key": "npu", "operator": "Exists"}, {"npu": None, NOT_READY: 60, UNREACHABLE: 60}),
        (
            {"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 7},
            {UNREACHABLE: 7, NOT_READY: 60},
        ),
        ({"key": UNREACHABLE, "operator": "Exists", "effect": "NoSchedule"}, {NOT_READY: 60, UNREACHABLE: 60}),
        ({"operator": "Exists"}, {None: None}),  # a pod that endures everything endures this
        ({"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 9}, {None: 9}),
    ],
)
def test_what_is_written_of_these_taints_wins(written: dict[str, Any], expected: dict[str, Any]) -> None:
    assert tolerated(tolerations=[written]) == expected


def test_the_stager_waits_as_kubernetes_does() -> None:
    """It would begin anew elsewhere while the lost one may still write."""
    service = EmbeddingService.from_dict(given.service(scheduling={"tolerations": [{"key": "npu"}]}))
    made = model_cache(service, given.profiles()["ascend-910b"].spec.pod)
    assert made["spec"]["stager"]["tolerations"] == [{"key": "npu"}]
