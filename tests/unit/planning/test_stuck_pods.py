"""Pods of Jobs that wait for what nobody wrote into their status: told as those of services are."""

from typing import Any

import pytest

from embedding_operator.planning.benchplan import plan_benchmark
from tests.unit.planning import benchmarks, caches, given, jobs

JsonObject = dict[str, Any]
SCHEDULED = {"type": "PodScheduled", "status": "True"}
MOUNTING: JsonObject = {
    "phase": "Pending",
    "conditions": [SCHEDULED, {"type": "PodReadyToStartContainers", "status": "False"}],
}
NEW: JsonObject = {"phase": "Pending"}
VOLUMES = ("VolumesNotMounted", "waits on node n1 for its volumes, or its network")
SCHEDULER = ("Unschedulable", "does the one of its schedulerName run?")
WAITING = pytest.mark.parametrize(
    ("node", "status", "told"), [("n1", MOUNTING, VOLUMES), (None, NEW, SCHEDULER)], ids=["volumes", "scheduler"]
)


@WAITING
def test_of_a_stager(node: str | None, status: JsonObject, told: tuple[str, str]) -> None:
    cache = given.cache(staged=False)
    pod = given.pod("p", node=node, **({"conditions": []} | status))
    observed: JsonObject = {"jobs": [caches.stage_job(cache)], "pods": [pod]}
    assert caches.ready(caches.plan(cache, **observed))[1] == "Staging"
    _, reason, message = caches.ready(caches.plan(cache, **observed, stuck={"p"}))
    assert reason == told[0]
    assert told[1] in message


def test_of_a_stager_whose_claim_another_node_has_mounted_that_is_the_cause() -> None:
    cache = given.cache(staged=False, accessModes=["ReadWriteOnce"])
    observed: JsonObject = {"jobs": [caches.stage_job(cache)], "pods": [given.pod("p", **MOUNTING)], "stuck": {"p"}}
    assert caches.ready(caches.plan(cache, **observed))[1] == "VolumesNotMounted"
    assert caches.ready(caches.plan(cache, **observed, nodes=["n2"]))[1] == "ClaimNotShared"


@WAITING
@pytest.mark.parametrize("phase", ["split", "embed", "finish"])
def test_of_each_phase_of_a_job(phase: str, node: str | None, status: JsonObject, told: tuple[str, str]) -> None:
    cluster = jobs.Cluster(jobs.job())
    cluster.step()
    if phase != "split":
        cluster.embed()
    if phase == "finish":
        cluster.of("embed")["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
        cluster.step()
    name = cluster.pod(phase, **status)
    cluster.pods[-1]["spec"] = {"nodeName": node}
    cluster.step(pages={})
    usual = cluster.message()
    cluster.step(pages={}, stuck={name})
    assert cluster.conditions()["Ready"] == ("False", told[0])
    assert told[1] in cluster.message()
    cluster.step(pages={})
    assert cluster.message() == usual


@WAITING
def test_of_a_benchmark(node: str | None, status: JsonObject, told: tuple[str, str]) -> None:
    made = benchmarks.job_of(plan_benchmark(benchmarks.benchmark(), benchmarks.seen()))
    made = made | {"metadata": made["metadata"] | {"uid": "j-1"}}
    pod = given.pod("bench-x", node=node, **({"conditions": []} | status))
    pod["metadata"]["ownerReferences"] = [{"uid": "j-1"}]
    observed: JsonObject = {"jobs": [made], "pods": [pod]}
    for stuck, expected in (((), "Measuring"), ({"bench-x"}, told[0])):
        planned = plan_benchmark(benchmarks.benchmark(), benchmarks.seen(**observed, stuck=stuck))
        assert benchmarks.ready(planned)[1] == expected
    assert told[1] in benchmarks.ready(planned)[2]
