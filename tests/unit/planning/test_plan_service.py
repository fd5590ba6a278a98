"""Given a spec and what was observed, the objects, deletions and conditions that follow."""

import copy
from typing import Any

import pytest

from embedding_operator.api.conditions import Reason
from embedding_operator.planning import revision
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.revision import ANNOTATION
from tests.unit.planning import given


def test_without_staged_weights_nothing_is_made_and_the_service_says_what_it_waits_for() -> None:
    planned = given.plan(given.service(), given.seen(cache=given.cache(staged=False)))
    assert planned.apply == ()
    conditions = given.conditions(planned)
    assert conditions["Ready"][:2] == ("False", "WaitingForWeights")
    assert conditions["Reconciling"][0] == "True"
    assert "Stalled" not in conditions


def test_a_service_tells_why_its_weights_cannot_come_but_not_how_far_a_download_is() -> None:
    def told(reason: str, message: str) -> str:
        ready = {"type": "Ready", "status": "False", "reason": reason, "message": message}
        cache = given.cache(staged=False, conditions=[ready])
        return given.conditions(given.plan(given.service(), given.seen(cache=cache)))["Ready"][2]

    missing = "PersistentVolumeClaim 'model-wieghts' does not exist in namespace search: create it"
    assert told("ClaimNotFound", missing).endswith(missing)
    assert told("Downloading", "42 %, 7.1 GB of 17.0 GB").endswith("is not ready: Downloading")


def test_staged_weights_make_all_children_in_an_order_in_which_nothing_refers_to_what_is_missing() -> None:
    planned = given.plan(given.service(), given.seen(cache=given.cache()))
    assert given.kinds(planned) == [
        "ConfigMap",
        "ControllerRevision",
        "Service",
        "Deployment",
        "PodDisruptionBudget",
    ]
    owned = [one for one in planned.apply if "ownerReferences" in one["metadata"]]
    assert [one["kind"] for one in planned.apply if one not in owned] == ["ConfigMap"]  # shared, so owned by nobody
    assert all(len(one["metadata"]["ownerReferences"]) == 1 for one in owned)


def test_the_same_input_gives_the_same_plan() -> None:
    first, second = (given.plan(given.service(), given.seen(cache=given.cache())) for _ in range(2))
    assert first == second


def test_a_stored_revision_is_applied_as_it_is_whatever_the_renderer_would_say_today() -> None:
    first = given.plan(given.service(), given.seen(cache=given.cache()))
    kept = given.stored(first)
    kept[0].template["spec"]["containers"][0]["args"].append("--from-an-older-operator")
    again = given.plan(
        given.service(), given.seen(cache=given.cache(), revisions=kept, script_sources={"launch": "new"})
    )
    assert given.child(again, "Deployment")["spec"]["template"] == kept[0].template
    assert "ConfigMap" not in given.kinds(again)  # the older scripts are there already, and stay


@pytest.mark.parametrize(
    ("change", "rolls"),
    [
        ({"replicas": 9}, False),
        ({"exposure": {"service": {"port": 80}}}, False),
        ({"exposure": {"apiKeySecretRef": {"name": "embedding-keys"}}}, True),
        ({"exposure": {"tls": {"secretRef": {"name": "embedding-tls"}}}}, True),
        ({"rollout": {"strategy": "Surge", "minAvailable": 1, "revisionHistoryLimit": 2}}, False),
        ({"suspend": True}, False),
        ({"rollout": {"drainTimeout": "30s"}}, True),
        ({"serving": {"maxModelLen": 4096}}, True),
        ({"runtime": {"profile": "ascend-910b", "env": [{"name": "A", "value": "b"}]}}, True),
    ],
)
def test_only_what_reaches_the_pod_makes_a_new_revision(change: dict[str, Any], rolls: bool) -> None:
    kept = given.stored(given.plan(given.service(), given.seen(cache=given.cache())))
    planned = given.plan(given.service(**change), given.seen(cache=given.cache(), revisions=kept))
    (now,) = given.stored(planned)
    assert (now.name != kept[0].name) is rolls
    assert now.number == (2 if rolls else 1)


def test_new_weights_roll_the_pods_once_they_are_proven_and_not_before() -> None:
    kept = given.stored(given.plan(given.service(), given.seen(cache=given.cache())))
    spec = {"source": {"modelScope": {"repo": "Qwen/Qwen3-VL-Embedding-8B", "revision": "v2"}}}
    waiting = given.plan(given.service(model=spec), given.seen(cache=given.cache(staged=False), revisions=kept))
    assert given.child(waiting, "Deployment")["spec"]["template"] == kept[0].template
    assert given.conditions(waiting)["Ready"][1] == "WaitingForWeights"
    proven = given.plan(
        given.service(model=spec), given.seen(cache=given.cache(digest="sha256:" + "cd" * 32), revisions=kept)
    )
    assert given.child(proven, "Deployment")["spec"]["template"] != kept[0].template


def test_going_back_to_an_earlier_spec_brings_its_template_back_as_it_was() -> None:
    first = given.stored(given.plan(given.service(), given.seen(cache=given.cache())))
    changed = given.service(serving={"maxModelLen": 512})
    second = given.stored(given.plan(changed, given.seen(cache=given.cache(), revisions=first)))
    back = given.plan(given.service(), given.seen(cache=given.cache(), revisions=first + second))
    (now,) = given.stored(back)
    assert (now.name, now.number, now.template) == (first[0].name, 3, first[0].template)


def test_an_edited_profile_restarts_nothing_and_is_told() -> None:
    kept = given.stored(given.plan(given.service(), given.seen(cache=given.cache())))
    edited = {
        name: type(profile).from_dict(
            {"metadata": {"name": name}, "spec": profile.spec.to_dict() | {"serving": {"dtype": "Float16"}}}
        )
        for name, profile in given.profiles().items()
    }
    planned = given.plan(given.service(), given.seen(cache=given.cache(), revisions=kept, profiles=edited))
    assert given.child(planned, "Deployment")["spec"]["template"] == kept[0].template
    assert given.conditions(planned)["UpdateAvailable"][:2] == ("True", "NewerProfile")


def test_a_missing_profile_stalls_a_new_service_and_leaves_a_running_one_alone() -> None:
    gone = given.plan(given.service(), given.seen(cache=given.cache(), profiles={}))
    assert given.conditions(gone)["Stalled"][1] == "ProfileNotFound"
    assert "'ascend-910b'" in given.conditions(gone)["Stalled"][2]
    kept = given.stored(given.plan(given.service(), given.seen(cache=given.cache())))
    running = given.plan(given.service(), given.seen(cache=given.cache(), profiles={}, revisions=kept))
    assert "Stalled" not in given.conditions(running)
    assert given.child(running, "Deployment")["spec"]["template"] == kept[0].template


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


def test_who_deletes_the_last_revision_while_the_next_waits_for_weights_stops_no_pods() -> None:
    observed = given.seen(
        cache=given.cache(staged=False),
        deployment=given.deployment(replicas=4, ready=4),
        has_budget=True,
        pods=[given.pod("p")],
    )
    planned = given.plan(given.service(), observed)
    assert (planned.create, planned.apply, planned.delete) == ((), (), ())


def test_history_keeps_its_limit_and_whatever_live_pods_use() -> None:
    revisions = []
    for length in range(100, 900, 100):
        changed = given.service(serving={"maxModelLen": length}, rollout={"revisionHistoryLimit": 2})
        revisions += given.stored(given.plan(changed, given.seen(cache=given.cache(), revisions=revisions)))
    live = given.pod("old")
    live["metadata"]["annotations"] = {ANNOTATION: revisions[0].name}
    planned = given.plan(changed, given.seen(cache=given.cache(), revisions=revisions, pods=[live]))
    gone = [name for kind, name in planned.delete if kind == "ControllerRevision"]
    assert gone == [revision.name for revision in revisions[1:5]]


def test_one_replica_needs_no_disruption_budget() -> None:
    planned = given.plan(given.service(replicas=1), given.seen(cache=given.cache(), has_budget=True))
    assert "PodDisruptionBudget" not in given.kinds(planned)
    assert planned.delete == (("PodDisruptionBudget", "qwen"),)


@pytest.mark.parametrize(
    ("own", "site", "scheduler"),
    [(None, None, None), (None, "volcano", "volcano"), ("own", None, "own"), ("own", "volcano", "own")],
)
def test_pods_are_placed_by_the_services_scheduler_else_by_the_profiles(
    own: str | None, site: str | None, scheduler: str | None
) -> None:
    spec = given.service(scheduling={"schedulerName": own} if own else {})
    profiles = given.profiles(pod={"schedulerName": site} if site else {})
    planned = given.plan(spec, given.seen(cache=given.cache(), profiles=profiles))
    assert given.child(planned, "Deployment")["spec"]["template"]["spec"].get("schedulerName") == scheduler


def test_a_claim_template_becomes_a_claim_without_owner_once() -> None:
    spec = given.service(cache={"claimTemplate": {"size": "200Gi", "storageClassName": "nfs"}})
    planned = given.plan(spec, given.seen(cache=given.cache(staged=False)))
    (claim,) = planned.create
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert "ownerReferences" not in claim["metadata"]  # weights outlive the service
    assert given.plan(spec, given.seen(cache=given.cache(staged=False), has_claim=True)).create == ()


def test_planning_changes_nothing_that_it_was_given() -> None:
    spec, observed = given.service(), given.seen(cache=given.cache(), pods=[given.pod("p")])
    before = copy.deepcopy((spec, observed.pods))
    given.plan(spec, observed)
    assert (spec, observed.pods) == before


def test_a_model_cache_that_cannot_be_read_is_named_and_not_called_missing() -> None:
    problem = PlanError(Reason.CACHE_STALLED, "ModelCache shared cannot be read: spec.source: is required")
    spec = {"model": {"cacheRef": {"name": "shared"}}, "cache": None}
    conditions = given.conditions(given.plan(given.service(**spec), given.seen(refused=problem)))
    assert conditions["Stalled"][1:] == ("CacheStalled", problem.message)


def test_with_a_certificate_clients_are_told_to_speak_https() -> None:
    for exposure, scheme in (({}, "http"), ({"tls": {"secretRef": {"name": "embedding-tls"}}}, "https")):
        planned = given.plan(given.service(exposure=exposure), given.seen(cache=given.cache()))
        assert planned.status.endpoint == f"{scheme}://qwen.search.svc:8000/v1"
        (port,) = given.child(planned, "Service")["spec"]["ports"]
        assert (port["name"], port["appProtocol"]) == ("http", scheme)


def test_a_stored_spec_from_before_keys_and_certificates_has_the_hash_that_it_had() -> None:
    """Else the upgrade of the operator would restart every pod."""
    spec = given.service()["spec"]
    hashes = {revision.spec_hash(spec | exposure) for exposure in ({}, {"exposure": {"service": {"port": 80}}})}
    assert hashes == {revision.spec_hash(spec)} == {revision.content_hash(spec_of_pod(spec))}


def spec_of_pod(spec: dict[str, Any]) -> dict[str, Any]:
    """What was hashed before."""
    return {field: value for field, value in spec.items() if field != "replicas"} | {"rollout": {}}


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
