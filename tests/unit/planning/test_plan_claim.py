"""Given a ModelCache and the claim that it is on: whether it comes, who can mount it, and where the stager goes."""

import pytest

from embedding_operator.api.modelcache import ModelCache
from embedding_operator.planning.stagejob import StagingSite, job, job_name
from tests.unit.planning import given
from tests.unit.planning.caches import plan, ready, stage_job


def path_cache() -> ModelCache:
    obj = given.cache(staged=False).to_dict()
    obj["spec"]["source"] = {"path": {"path": "models/mini"}}
    return ModelCache.from_dict(obj)


def test_weights_that_are_there_already_are_mounted_read_only_and_stay_their_owners() -> None:
    spec = job(path_cache(), StagingSite("x:1"))["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["volumeMounts"][0] == {"name": "cache", "mountPath": "/cache", "readOnly": True}
    assert "fsGroup" not in spec["securityContext"]


UNSCHEDULED = {"type": "PodScheduled", "status": "False", "message": "pod has unbound immediate PersistentVolumeClaims"}


def test_a_claim_without_a_volume_is_told_as_that_and_not_as_a_lack_of_nodes() -> None:
    cache = given.cache(staged=False)
    pod = given.pod("stage-x", phase="Pending", conditions=[UNSCHEDULED])
    planned = plan(cache, jobs=[stage_job(cache)], pods=[pod], claim_exists=True, claim_phase="Pending")
    assert ready(planned)[1] == "ClaimPending"
    assert "`kubectl describe pvc model-weights` tells why" in ready(planned)[2]
    bound = plan(cache, jobs=[stage_job(cache)], pods=[pod], claim_exists=True, claim_phase="Bound")
    assert ready(bound)[1] == "Unschedulable"
    starting = given.pod("stage-x", phase="Pending", conditions=[])  # the first consumer binds it in a moment
    soon = plan(cache, jobs=[stage_job(cache)], pods=[starting], claim_exists=True, claim_phase="Pending")
    assert ready(soon)[1] == "Staging"


def test_a_stager_on_another_node_than_those_who_have_mounted_the_claim_says_so() -> None:
    cache = given.cache(staged=False, accessModes=["ReadWriteOnce"])
    pod = given.pod("stage-x", phase="Pending", conditions=[], node="c")

    def told(*nodes: str, phase: str = "Pending") -> tuple[str, str]:
        seen = pod | {"status": pod["status"] | {"phase": phase}}
        _, reason, message = ready(plan(cache, jobs=[stage_job(cache)], pods=[seen], nodes=nodes))
        return reason, message

    reason, message = told("a", "b", "c")
    assert reason == "ClaimNotShared"
    assert message.startswith("pod stage-x is on node c, and pods on a, b have mounted claim 'model-weights'")
    assert told("c")[0] == "Staging"
    assert told()[0] == "Staging"
    assert told("a", phase="Running")[0] == "Staging"  # a file system that can, whatever the claim says


def test_how_the_claim_may_be_mounted_is_remembered() -> None:
    cache = given.cache(staged=False)
    assert plan(cache, claim_exists=True, claim_modes=["ReadWriteOnce"]).status.access_modes == ("ReadWriteOnce",)
    assert plan(given.cache(accessModes=["ReadWriteOnce"])).status.access_modes == ("ReadWriteOnce",)


@pytest.mark.parametrize(("modes", "joins"), [(["ReadWriteOnce"], True), (["ReadWriteMany"], False), ([], False)])
def test_on_a_claim_that_one_node_can_mount_the_stager_goes_where_the_pods_are(modes: list[str], joins: bool) -> None:
    cache = given.cache(staged=False)
    (made,) = plan(cache, claim_exists=True, claim_modes=modes, users=["b", "a"]).create
    affinity = made["spec"]["template"]["spec"].get("affinity")
    assert (affinity is not None) is joins
    on_claim = {"embedding-operator.io/claim": "model-weights"}
    assert (made["spec"]["template"]["metadata"]["labels"].items() >= on_claim.items()) is joins
    if joins:
        (preferred,) = affinity["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
        wanted = preferred["podAffinityTerm"]["labelSelector"]
        assert wanted["matchLabels"] == on_claim
        assert wanted["matchExpressions"] == [{"key": "embedding-operator.io/service", "operator": "Exists"}]
    assert made["metadata"]["name"] == job_name(cache)  # where it goes makes no other Job
