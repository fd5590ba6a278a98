"""Given a spec and what was observed, the objects, deletions and revisions that follow."""

import copy
from typing import Any

import pytest

from embedding_operator.planning import revision
from embedding_operator.planning.revision import ANNOTATION
from tests.unit.planning import given


def test_without_staged_weights_nothing_is_made_and_the_service_says_what_it_waits_for() -> None:
    planned = given.plan(given.service(), given.seen(cache=given.cache(staged=False)))
    assert planned.apply == ()
    conditions = given.conditions(planned)
    assert conditions["Ready"][:2] == ("False", "WaitingForWeights")
    assert conditions["Reconciling"][0] == "True"
    assert "Stalled" not in conditions


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
