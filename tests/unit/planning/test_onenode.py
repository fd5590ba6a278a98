"""Claims that one node, or one pod, can mount at a time."""

from typing import Any

import pytest

from tests.unit.planning import given

ON_CLAIM = {"embedding-operator.io/claim": "model-weights"}
TOGETHER = {
    "labelSelector": {
        "matchLabels": ON_CLAIM,
        "matchExpressions": [{"key": "embedding-operator.io/service", "operator": "Exists"}],
    },
    "topologyKey": "kubernetes.io/hostname",
}


@pytest.mark.parametrize(
    ("modes", "together"),
    [(None, False), (["ReadWriteMany"], False), (["ReadWriteOnce", "ReadOnlyMany"], False), (["ReadWriteOnce"], True)],
)
def test_all_pods_on_a_claim_that_one_node_can_mount_are_asked_for_on_one_node(
    modes: list[str] | None, together: bool
) -> None:
    other = {"topologyKey": "zone"}
    affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [other]}, "nodeAffinity": {"a": 1}}
    service = given.service(scheduling={"affinity": affinity})
    cache = given.cache(**({"accessModes": modes} if modes else {}))
    template = given.child(given.plan(service, given.seen(cache=cache)), "Deployment")["spec"]["template"]
    pod = template["spec"]
    wanted = [other, TOGETHER] if together else [other]
    assert (template["metadata"]["labels"].items() >= ON_CLAIM.items()) is together
    assert pod["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] == wanted
    assert pod["affinity"]["nodeAffinity"] == {"a": 1}


def on_one_node(*pods: dict[str, Any], holders: tuple[str, ...] = ()) -> tuple[str, str]:
    """Reason and message of a service on a ReadWriteOnce claim."""
    service, cache = given.service(replicas=1), given.cache(accessModes=["ReadWriteOnce"])
    revisions = given.stored(given.plan(service, given.seen(cache=cache)))
    seen = given.seen(cache=cache, revisions=revisions, pods=pods, holders=holders)
    _, reason, message = given.conditions(given.plan(service, seen))["Ready"]
    return reason, message


def test_a_pod_that_has_another_node_than_its_claim_says_so() -> None:
    starting = given.pod("qwen-1", phase="Pending", conditions=[], node="b")
    reason, message = on_one_node(starting, holders=("a",))
    assert reason == "ClaimNotShared"
    assert "pod qwen-1 is on node b, and pods on a have mounted claim 'model-weights'" in message
    assert "use a ReadWriteMany claim" in message
    assert on_one_node(starting, holders=("b",))[0] == "Starting"
    assert on_one_node(starting)[0] == "Starting"


def test_a_pod_that_finds_no_room_on_the_node_of_its_claim_says_what_to_do() -> None:
    def unscheduled(words: str) -> dict[str, Any]:
        condition = {"type": "PodScheduled", "status": "False", "message": words}
        return given.pod("qwen-1", phase="Pending", conditions=[condition], node=None)

    reason, message = on_one_node(unscheduled("0/2 nodes are available: 1 node(s) didn't match pod affinity rules"))
    assert reason == "Unschedulable"
    assert message.endswith(
        "all pods on claim 'model-weights' must be on one node, for it is not ReadWriteMany: use one that is, or make "
        "room on that node"
    )
    for words in ("2 Insufficient cpu", "2 node(s) didn't match Pod's node affinity/selector"):
        assert "ReadWriteMany" not in on_one_node(unscheduled(f"0/2 nodes are available: {words}"))[1]


def test_weights_that_are_not_on_the_claim_any_more_say_what_to_do() -> None:
    words = 'failed to create subPath directory for volumeMount "weights" of container "vllm"'
    waiting = {"state": {"waiting": {"reason": "CreateContainerConfigError", "message": words}}}
    starting = given.pod("qwen-1", phase="Pending", conditions=[], containerStatuses=[waiting])
    reason, message = on_one_node(starting)
    assert reason == "CrashLooping"
    assert f": the weights are not on the claim any more: {words}; where the claim was replaced" in message
    assert "`kubectl delete mcache modelscope-" in message


def test_several_replicas_on_a_claim_for_one_pod_are_refused() -> None:
    seen = given.seen(cache=given.cache(accessModes=["ReadWriteOncePod"]))
    refused = given.conditions(given.plan(given.service(), seen))
    assert refused["Stalled"][1] == "ClaimNotShared"
    assert "write spec.replicas: 1, or use a ReadWriteMany claim" in refused["Ready"][2]
    assert "Stalled" not in given.conditions(given.plan(given.service(replicas=1), seen))
