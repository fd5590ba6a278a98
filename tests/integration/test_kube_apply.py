"""The applier against a real API server: what is sent, what is not, and what is put back."""

import asyncio

import pytest

from embedding_operator.kube.apply import Applier
from embedding_operator.kube.cache import Cache
from embedding_operator.kube.compact import unpacked
from embedding_operator.kube.errors import ApiError, NameTaken
from embedding_operator.kube.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    SERVICES,
    by_kind,
    key_of,
)
from tests.integration.kube_support import (
    config_map,
    deployment,
    edit,
    owned_by,
    service,
    watched,
)


@pytest.mark.parametrize("child", [deployment, service, config_map])
async def test_the_second_apply_of_the_same_is_not_sent(applier, client, namespace, owner, child):
    desired = owned_by(child(namespace), owner)
    client.requests.clear()
    first = await applier.apply(desired)
    second = await applier.apply(desired)
    assert first == second
    assert applier.counts == {"applied": 1, "skipped": 1}
    assert client.requests["apply", desired["kind"]] == 1


async def test_the_answer_is_in_the_cache_before_any_watch_tells(applier, namespace, owner):
    desired = owned_by(deployment(namespace), owner)
    await applier.apply(desired)
    known = applier._cache.get(key_of(desired))
    assert unpacked(known)["spec"]["replicas"] == 0


async def test_another_wish_is_sent(applier, namespace, owner):
    await applier.apply(owned_by(deployment(namespace), owner))
    applied = await applier.apply(owned_by(deployment(namespace, replicas=3), owner))
    assert unpacked(applied)["spec"]["replicas"] == 3
    assert applier.counts == {"applied": 2}


async def test_what_many_want_at_once_is_sent_once(applier, client, namespace):
    shared = config_map(namespace, "scripts", launch="code")
    await asyncio.gather(*(applier.apply(shared) for _ in range(5)))
    assert applier.counts == {"applied": 1, "skipped": 4}


async def test_refusals_of_our_own_object_are_the_servers(applier, namespace, owner):
    await applier.apply(owned_by(deployment(namespace), owner))
    wrong = owned_by(deployment(namespace), owner)
    wrong["spec"]["selector"] = {"matchLabels": {"a": "b"}}
    wrong["spec"]["template"]["metadata"]["labels"] = {"a": "b"}
    for again in range(2):
        with pytest.raises(ApiError) as caught:
            await applier.apply(wrong)
        assert caught.value.is_invalid, again
        assert "field is immutable" in caught.value.message


async def test_what_is_created_once_is_never_written_again(applier, client, namespace, owner):
    job = owned_by(_job(namespace), owner)
    first = await applier.create(job)
    assert await applier.create(job) == first
    assert client.requests["create", "Job"] == 1
    after_restart = Applier(client, Cache())
    assert (await after_restart.create(job))["metadata"]["uid"] == first["metadata"]["uid"]
    other = await client.apply(config_map(namespace, "other"))
    with pytest.raises(NameTaken, match="ConfigMap owner"):
        await Applier(client, Cache()).create(owned_by(_job(namespace), other))


@pytest.mark.parametrize("is_known", [True, False])
async def test_what_a_former_owner_of_the_name_left_makes_room(client, namespace, owner, is_known):
    """It says nothing of this one. Kubernetes collects it in a moment, but not if it cannot find the owner's kind."""
    left = owned_by(_job(namespace), owner)
    former_owner = {"apiVersion": "gone.example.com/v1", "kind": "ConfigMap", "name": "owner", "uid": "a former life"}
    left["metadata"]["ownerReferences"] = [former_owner]
    cache = Cache()
    former = await client.create(left)
    if is_known:
        cache.upsert(former)
    client.requests.clear()
    made = await Applier(client, cache).create(owned_by(_job(namespace), owner))
    assert client.requests["delete", "Job"] == 1
    assert made["metadata"]["uid"] != former["metadata"]["uid"]
    assert made["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"]


async def test_deleting_takes_exactly_the_object_that_was_seen(applier, client, namespace, owner):
    desired = owned_by(config_map(namespace), owner)
    old = await applier.apply(desired)
    await client.delete(key_of(old))
    new = await client.apply(desired)
    assert not await applier.delete(old)
    assert await applier.delete(new)


@pytest.mark.parametrize(
    ("resource", "child", "patch"),
    [
        (DEPLOYMENTS, deployment, {"spec": {"replicas": 5}}),
        (DEPLOYMENTS, deployment, {"metadata": {"labels": {"embedding-operator.io/service": "wrong"}}}),
        (DEPLOYMENTS, deployment, {"metadata": {"ownerReferences": None}}),
        (SERVICES, service, {"spec": {"selector": {"embedding-operator.io/service": "wrong"}}}),
        (CONFIG_MAPS, config_map, {"metadata": {"labels": None}}),
    ],
)
async def test_what_somebody_else_changes_is_put_back(applier, client, namespace, owner, resource, child, patch):
    desired = owned_by(child(namespace), owner)
    before = await applier.apply(desired)
    await edit(client, resource, namespace, "x", patch)
    await watched(applier, client, desired)
    assert applier._cache.get(key_of(desired)) != before
    after = await applier.apply(desired)
    assert applier.counts["applied"] == 2
    for field in ("labels", "ownerReferences"):
        assert after["metadata"].get(field) == before["metadata"].get(field)
    assert after.get("spec") == before.get("spec")


@pytest.mark.parametrize("child", [deployment, service, config_map])
async def test_a_child_whose_labels_were_taken_off_is_marked_again_and_seen_again(
    applier, client, namespace, owner, child
):
    """A watch by label calls that a deletion."""
    desired = owned_by(child(namespace), owner)
    made = await applier.apply(desired)
    await edit(client, by_kind(made["kind"]), namespace, "x", {"metadata": {"labels": None}})
    bare = (await client.get(key_of(made)))["metadata"]
    applier._cache.discard(key_of(made), bare["uid"], bare["resourceVersion"])
    again = await applier.apply(desired)
    assert again["metadata"]["labels"] == made["metadata"]["labels"]
    assert again["metadata"]["uid"] == made["metadata"]["uid"]
    assert key_of(made) in applier._cache


async def test_a_child_that_was_edited_and_hidden_from_the_watch_is_taken_back(applier, client, namespace, owner):
    desired = owned_by(deployment(namespace), owner)
    made = await applier.apply(desired)
    await edit(client, DEPLOYMENTS, namespace, "x", {"metadata": {"labels": None}, "spec": {"replicas": 5}})
    bare = (await client.get(key_of(made)))["metadata"]
    applier._cache.discard(key_of(made), bare["uid"], bare["resourceVersion"])
    again = await applier.apply(desired)
    assert (unpacked(again)["spec"]["replicas"], again["metadata"]["labels"]) == (0, made["metadata"]["labels"])


async def test_what_somebody_else_adds_is_left_alone(applier, client, namespace, owner):
    desired = owned_by(_budget(namespace), owner)
    await applier.apply(desired)
    metadata = {"labels": {"theirs": "1"}, "annotations": {"theirs": "1"}}
    await edit(client, DISRUPTION_BUDGETS, namespace, "x", {"metadata": metadata})
    await watched(applier, client, desired)
    kept = await applier.apply(desired)
    assert (kept["metadata"]["labels"]["theirs"], kept["metadata"]["annotations"]["theirs"]) == ("1", "1")
    assert applier.counts["skipped"] == 1


async def test_what_was_deleted_is_made_again(applier, client, namespace, owner):
    desired = owned_by(deployment(namespace), owner)
    first = await applier.apply(desired)
    await client.delete(key_of(desired))
    applier._cache.discard(key_of(desired))
    second = await applier.apply(desired)
    assert second["metadata"]["uid"] != first["metadata"]["uid"]


def _budget(namespace):
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": "x",
            "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": "embedding-operator"},
        },
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"embedding-operator.io/service": "x"}}},
    }


def _job(namespace):
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "stage-x",
            "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": "embedding-operator"},
        },
        "spec": {
            "suspend": True,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "stage", "image": "none:1"}]}},
        },
    }


async def test_an_entry_of_a_list_that_got_another_key_by_hand_is_written_over(applier, client, namespace, owner):
    """Joined by the key, the two would have one name, which the API server refuses; and what was written over it must
    not keep a field that is not wished for any more."""
    await applier.apply(owned_by(service(namespace, port=80), owner))
    await edit(client, SERVICES, namespace, "x", {"spec": {"ports": [{"name": "http", "port": 81}]}})
    desired = owned_by(service(namespace, port=80), owner)
    await watched(applier, client, desired)
    healed = await applier.apply(desired)
    assert [(one["name"], one["port"]) for one in healed["spec"]["ports"]] == [("http", 80)]
    assert applier.counts["written_over"] == 1
    moved = await applier.apply(owned_by(service(namespace, port=82), owner))
    assert [(one["name"], one["port"]) for one in moved["spec"]["ports"]] == [("http", 82)]
    assert applier.counts["written_over"] == 1
    now = await client.get(key_of(desired))
    assert "embedding-operator-repair" not in {entry["manager"] for entry in now["metadata"]["managedFields"]}


async def test_whoever_is_killed_while_he_writes_over_leaves_no_owner_behind(applier, client, namespace, owner):
    desired = owned_by(service(namespace, port=80), owner)
    await applier.apply(desired)
    await edit(client, SERVICES, namespace, "x", {"spec": {"ports": [{"name": "http", "port": 81}]}})
    await watched(applier, client, desired)

    async def killed(*_):
        raise RuntimeError("killed")

    applier._disown, disown = killed, applier._disown
    with pytest.raises(RuntimeError, match="killed"):
        await applier.apply(desired)
    assert "embedding-operator-repair" in await managers(client, desired)
    applier._disown = disown
    await watched(applier, client, desired)  # as whoever comes after it lists it
    await applier.apply(desired)
    assert "embedding-operator-repair" not in await managers(client, desired)
    await watched(applier, client, desired)
    before = applier.counts["applied"]
    await applier.apply(desired)
    assert applier.counts["applied"] == before, "all is in force"


async def managers(client, obj):
    now = await client.get(key_of(obj))
    return {entry["manager"] for entry in now["metadata"]["managedFields"]}


async def test_what_is_refused_as_it_is_wished_changes_nothing(applier, client, namespace, owner):
    await applier.apply(owned_by(service(namespace, port=80), owner))
    with pytest.raises(ApiError) as refused:
        await applier.apply(owned_by(service(namespace, port=70000), owner))
    assert refused.value.status == 422
    assert "70000" in refused.value.message
    assert "written_over" not in applier.counts
