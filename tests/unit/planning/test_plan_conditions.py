"""Given a spec and what was observed, what the service's conditions say of it."""

from typing import Any

import pytest

from embedding_operator.api.conditions import Reason
from embedding_operator.planning.errors import PlanError
from tests.unit.planning import given


def test_a_service_tells_why_its_weights_cannot_come_but_not_how_far_a_download_is() -> None:
    def told(reason: str, message: str) -> str:
        ready = {"type": "Ready", "status": "False", "reason": reason, "message": message}
        cache = given.cache(staged=False, conditions=[ready])
        return given.conditions(given.plan(given.service(), given.seen(cache=cache)))["Ready"][2]

    missing = "PersistentVolumeClaim 'model-wieghts' does not exist in namespace search: create it"
    assert told("ClaimNotFound", missing).endswith(missing)
    assert told("Downloading", "42 %, 7.1 GB of 17.0 GB").endswith("is not ready: Downloading")


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"runtime": {"profile": "absent"}}, "ProfileNotFound"),
        ({"runtime": {}}, "NoDefaultProfile"),
        ({"model": {"cacheRef": {"name": "absent"}}, "cache": None}, "CacheNotFound"),
    ],
)
def test_nobody_is_asked_for_what_may_be_applied_in_a_moment(spec: dict[str, Any], reason: str) -> None:
    planned = given.plan(given.service(**spec), given.seen(may_come=True))
    assert planned.lacks_reference
    assert given.conditions(planned)["Reconciling"][1] == reason
    assert "Stalled" not in given.conditions(planned)
    assert "Stalled" in given.conditions(given.plan(given.service(**spec), given.seen()))


def test_what_is_wrong_in_itself_asks_somebody_at_once() -> None:
    planned = given.plan(given.service(parallelism={"tensor": 3}), given.seen(may_come=True))
    assert not planned.lacks_reference
    assert given.conditions(planned)["Stalled"][1] == "DeviceCountNotAllowed"


def test_pods_that_serve_are_told_though_their_revision_was_deleted_and_none_can_be_made() -> None:
    running = given.deployment(replicas=4, ready=4)
    planned = given.plan(given.service(), given.seen(cache=given.cache(), profiles={}, deployment=running))
    assert given.conditions(planned)["Stalled"][1] == "ProfileNotFound"
    assert given.conditions(planned)["Available"][0] == "True"
    assert planned.status.endpoint == "http://qwen.search.svc:8000/v1"
    assert planned.apply == ()


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        ({"parallelism": {"tensor": 3}}, "DeviceCountNotAllowed", "1, 2, 4, 8"),
        ({"runtime": {"profile": "ascend-910b", "image": "example.com/x:main"}}, "InvalidSpec", "runtime.version"),
        ({"runtime": {"profile": "ascend-910b", "version": "0.9.1"}}, "InvalidSpec", "0.11.0 or newer"),
        ({"runtime": {}}, "NoDefaultProfile", "default-profile=true"),
        ({"model": {"cacheRef": {"name": "gone"}}, "cache": None}, "CacheNotFound", "'gone'"),
    ],
)
def test_what_cannot_be_planned_stalls_with_words_that_say_what_to_do(
    spec: dict[str, Any], reason: str, words: str
) -> None:
    cache = None if "model" in spec else given.cache()
    conditions = given.conditions(given.plan(given.service(**spec), given.seen(cache=cache)))
    assert conditions["Stalled"][:2] == ("True", reason)
    assert words in conditions["Stalled"][2]
    assert conditions["Ready"][0] == "False"


def test_what_cannot_work_is_told_before_the_weights_are_staged() -> None:
    staging = given.seen(cache=given.cache(staged=False))
    conditions = given.conditions(given.plan(given.service(parallelism={"tensor": 3}), staging))
    assert conditions["Stalled"][1] == "DeviceCountNotAllowed"
    assert conditions["WeightsReady"][1] == "WaitingForWeights"


def test_what_the_api_server_refused_stalls_in_its_words() -> None:
    refused = PlanError(Reason.APPLY_REFUSED, "the API server refused: spec.ports: Invalid")
    conditions = given.conditions(given.plan(given.service(), given.seen(cache=given.cache(), refused=refused)))
    assert conditions["Stalled"][1:] == ("ApplyRefused", "the API server refused: spec.ports: Invalid")


@pytest.mark.parametrize(
    ("spec", "deployment", "pods", "ready", "reason", "message"),
    [
        (
            {},
            given.deployment(replicas=4, ready=4),
            ["n1", "n2"],
            "True",
            "Serving",
            "4 of 4 replicas serving on 2 nodes",
        ),
        (
            {"replicas": 1},
            given.deployment(replicas=1, ready=1),
            ["n1"],
            "True",
            "Serving",
            "1 of 1 replicas serving on 1 node",
        ),
        ({}, given.deployment(replicas=4, ready=3), ["n1"], "False", "ReplicasUnavailable", "3 of 4"),
        ({}, given.deployment(replicas=4, ready=4, updated=2), ["n1"], "False", "RollingOut", "2 of the newest"),
        ({}, given.deployment(replicas=4, ready=0), [], "False", "Starting", "0 of 4"),
        ({}, given.deployment(replicas=2, ready=2), ["n1"], "False", "Scaling", "2 of 4"),
        # a number that the Deployment's controller has not seen yet is no rollout
        (
            {},
            given.deployment(replicas=2, ready=2, observedGeneration=1),
            ["n1"],
            "False",
            "Scaling",
            "2 of 4",
        ),
        ({}, given.deployment(replicas=4, ready=4, observedGeneration=1), ["n1"], "False", "RollingOut", "4 of 4"),
        ({}, given.deployment(replicas=5, ready=4, updated=1), ["n1"], "False", "RollingOut", "1 of the newest"),
        ({}, None, [], "False", "Starting", "0 of 4"),
        (
            {},
            given.deployment(
                replicas=0,
                ready=0,
                conditions=[{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: gpus"}],
            ),
            [],
            "False",
            "PodsRefused",
            "0 of 4 replicas serving; pods cannot be made: a quota of the namespace is used up: exceeded quota: gpus; "
            "have ResourceQuota gpus raised",
        ),
        ({"suspend": True}, given.deployment(replicas=0, ready=0), [], "True", "Suspended", "no pods run"),
        ({"replicas": 0}, given.deployment(replicas=0, ready=0), [], "True", "ScaledToZero", "no pods run"),
        ({"replicas": 0}, given.deployment(replicas=2, ready=2), ["n1"], "False", "Scaling", "2 pods are ending"),
    ],
)
def test_ready_follows_the_deployment(
    spec: dict[str, Any], deployment: Any, pods: list[str], ready: str, reason: str, message: str
) -> None:
    observed = given.seen(
        cache=given.cache(),
        deployment=deployment,
        pods=[given.pod(f"p{index}", node=node) for index, node in enumerate(pods)],
    )
    conditions = given.conditions(given.plan(given.service(**spec), observed))
    assert conditions["Ready"][:2] == (ready, reason)
    assert message in conditions["Ready"][2]
    assert ("Reconciling" in conditions) is (ready == "False")


def test_an_exceeded_deadline_stalls_with_the_pods_own_trouble() -> None:
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}}
    observed = given.seen(
        cache=given.cache(),
        deployment=given.deployment(
            replicas=4, ready=0, conditions=[{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]
        ),
        pods=[given.pod("p1", ready=False, containerStatuses=[waiting])],
    )
    conditions = given.conditions(given.plan(given.service(), observed))
    assert conditions["Stalled"][1] == "ProgressDeadlineExceeded"
    assert "pod p1: the registry has no such image: not found; correct" in conditions["Stalled"][2]


def test_a_deadline_that_a_former_spec_exceeded_does_not_stall_the_mended_one() -> None:
    """Whoever waits for the mended manifest (Flux, kubectl wait) would give up on Stalled at once."""
    deployment = given.deployment(
        replicas=4, ready=0, conditions=[{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]
    )
    deployment["metadata"]["generation"] += 1  # applied just now, and not seen by its controller yet
    conditions = given.conditions(given.plan(given.service(), given.seen(cache=given.cache(), deployment=deployment)))
    assert "Stalled" not in conditions
    assert conditions["Ready"][1] == "Starting"


def test_a_service_goes_on_serving_when_its_model_cache_was_deleted() -> None:
    kept = given.stored(given.plan(given.service(), given.seen(cache=given.cache())))
    observed = given.seen(
        cache=None, revisions=kept, deployment=given.deployment(replicas=4, ready=4), pods=[given.pod("p")]
    )
    conditions = given.conditions(given.plan(given.service(), observed))
    assert conditions["Ready"][0] == "True"
    assert conditions["WeightsReady"][0] == "False"


def test_a_model_cache_that_cannot_be_read_is_named_and_not_called_missing() -> None:
    problem = PlanError(Reason.CACHE_STALLED, "ModelCache shared cannot be read: spec.source: is required")
    spec = {"model": {"cacheRef": {"name": "shared"}}, "cache": None}
    conditions = given.conditions(given.plan(given.service(**spec), given.seen(refused=problem)))
    assert conditions["Stalled"][1:] == ("CacheStalled", problem.message)


@pytest.mark.parametrize(
    ("exposure", "told"),
    [
        ({}, None),
        ({"apiKeySecretRef": {"name": "embedding-keys"}}, "create what is missing of embedding-keys"),
        (
            {"apiKeySecretRef": {"name": "keys"}, "tls": {"secretRef": {"name": "cert"}}},
            "create what is missing of keys, cert, with tls.crt and tls.key",
        ),
    ],
)
def test_a_pod_whose_volumes_do_not_come_may_wait_for_a_secret_which_is_named(
    exposure: dict[str, Any], told: str | None
) -> None:
    service = given.service(exposure=exposure)
    kept = given.stored(given.plan(service, given.seen(cache=given.cache())))
    waiting = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"},
        {"type": "PodReadyToStartContainers", "status": "False"},
    ]
    pods = [given.pod("p", phase="Pending", conditions=waiting)]
    seen = given.seen(cache=given.cache(), revisions=kept, pods=pods, stuck=frozenset({"p"}))
    _, reason, message = given.conditions(given.plan(service, seen))["Ready"]
    assert reason == "VolumesNotMounted"
    assert ("a Secret that is not there" in message) is (told is not None)
    assert message.endswith(told or "has the kubelet's words")
