"""The applier against a real API server: what is sent, what is not, and whose names are respected."""

import asyncio

import pytest

from embedding_operator.kube.apply import NOBODYS_VERSION, Applier
from embedding_operator.kube.cache import Cache
from embedding_operator.kube.compact import unpacked
from embedding_operator.kube.errors import ApiError, NameTaken
from embedding_operator.kube.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    MODEL_CACHES,
    SERVICES,
    by_kind,
    key_of,
)
from tests.unit.planning.test_golden import SERVICES as PLANNED
from tests.unit.planning.test_golden import rendered

from .kube_support import config_map, deployment, install_crds, owned_by, raw, service

MERGE = "application/merge-patch+json"


@pytest.fixture
def applier(client):
    return Applier(client, Cache())


@pytest.fixture
async def owner(client, namespace):
    """Any object will do as the owner; the applier does not look into it."""
    return await client.apply(config_map(namespace, "owner"))


async def edit(client, resource, namespace, name, patch):
    """What a person with kubectl edit does; the watch then tells the cache."""
    path = resource.path(namespace, name) + "?fieldManager=kubectl-edit"
    assert await raw(client, "PATCH", path, patch, MERGE) == 200


async def watched(applier, client, obj):
    applier._cache.upsert(await client.get(key_of(obj)))


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
    [known] = applier._cache.owned(owner["metadata"]["uid"])
    assert unpacked(known)["spec"]["replicas"] == 0


async def test_another_wish_is_sent(applier, namespace, owner):
    await applier.apply(owned_by(deployment(namespace), owner))
    applied = await applier.apply(owned_by(deployment(namespace, replicas=3), owner))
    assert unpacked(applied)["spec"]["replicas"] == 3
    assert applier.counts == {"applied": 2}


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


async def test_what_many_want_at_once_is_sent_once(applier, client, namespace):
    shared = config_map(namespace, "scripts", launch="code")
    await asyncio.gather(*(applier.apply(shared) for _ in range(5)))
    assert applier.counts == {"applied": 1, "skipped": 4}


async def test_a_shared_object_whose_labels_were_taken_off_is_still_ours(applier, client, namespace):
    shared = config_map(namespace, "scripts", launch="code")
    made = await applier.create(shared)
    await edit(client, CONFIG_MAPS, namespace, "scripts", {"metadata": {"labels": None}})
    bare = (await client.get(key_of(made)))["metadata"]
    applier._cache.discard(key_of(made), bare["uid"], bare["resourceVersion"])
    assert (await applier.create(shared))["metadata"]["uid"] == made["metadata"]["uid"]


async def test_what_somebody_else_adds_is_left_alone(applier, client, namespace, owner):
    desired = owned_by(_budget(namespace), owner)
    await applier.apply(desired)
    metadata = {"labels": {"theirs": "1"}, "annotations": {"theirs": "1"}}
    await edit(client, DISRUPTION_BUDGETS, namespace, "x", {"metadata": metadata})
    await watched(applier, client, desired)
    kept = await applier.apply(desired)
    assert (kept["metadata"]["labels"]["theirs"], kept["metadata"]["annotations"]["theirs"]) == ("1", "1")
    assert applier.counts["skipped"] == 1


async def restarted(applier, client, *children):
    """The applier of the next operator, which knows what a first list showed."""
    successor = Applier(client, Cache())
    for child in children:
        await watched(successor, client, child)
    return successor


def planned(name, namespace):
    """What the planner makes of a whole service."""
    return [{**child, "metadata": {**child["metadata"], "namespace": namespace}} for child in rendered(name)]


@pytest.mark.parametrize("name", PLANNED)
async def test_the_next_operator_sends_nothing_that_is_in_force(applier, client, namespace, owner, name):
    children = [owned_by(child, owner) for child in planned(name, namespace)]
    assert len(children) >= 4
    for child in children:
        await applier.apply(child)
    successor = await restarted(applier, client, *children)
    for child in children:
        await successor.apply(child)
    assert successor.counts == {"skipped": len(children)}


@pytest.mark.parametrize(
    "patch",
    [
        [{"op": "replace", "path": "/spec/replicas", "value": 5}],
        [{"op": "remove", "path": "/spec/template/spec/containers/0/env"}],
        [{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--theirs"}],
        [{"op": "remove", "path": "/metadata/ownerReferences"}],
    ],
)
async def test_what_was_edited_while_no_operator_ran_is_put_back(applier, client, namespace, owner, patch):
    (desired,) = (owned_by(c, owner) for c in planned("ascend-910b", namespace) if c["kind"] == "Deployment")
    before = await applier.apply(desired)
    path = DEPLOYMENTS.path(namespace, desired["metadata"]["name"]) + "?fieldManager=kubectl-edit"
    assert await raw(client, "PATCH", path, patch, "application/json-patch+json") == 200
    successor = await restarted(applier, client, desired)
    after = await successor.apply(desired)
    assert successor.counts == {"applied": 1}
    assert (after["spec"], after["metadata"]["ownerReferences"]) == (
        before["spec"],
        before["metadata"]["ownerReferences"],
    )


async def test_what_was_deleted_is_made_again(applier, client, namespace, owner):
    desired = owned_by(deployment(namespace), owner)
    first = await applier.apply(desired)
    await client.delete(key_of(desired))
    applier._cache.discard(key_of(desired))
    second = await applier.apply(desired)
    assert second["metadata"]["uid"] != first["metadata"]["uid"]


@pytest.mark.parametrize("child", [deployment, service, config_map])
async def test_a_strangers_object_is_not_touched(applier, client, namespace, owner, child):
    theirs = child(namespace, "x")
    theirs["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "Helm"}
    if "spec" in theirs:
        theirs["spec"]["selector"] = {"app": "theirs"}
    if child is deployment:
        theirs["spec"]["selector"] = {"matchLabels": {"app": "theirs"}}
        theirs["spec"]["template"]["metadata"]["labels"] = {"app": "theirs"}
    path = by_kind(theirs["kind"]).path(namespace)
    assert await raw(client, "POST", f"{path}?fieldManager=helm", theirs) == 201
    created = await client.get(key_of(theirs))

    with pytest.raises(NameTaken) as caught:
        await applier.apply(owned_by(child(namespace), owner))
    assert caught.value.owner == "Helm (its label app.kubernetes.io/managed-by)"
    assert f"{created['kind']} {namespace}/x" in str(caught.value)
    after = await client.get(key_of(created))
    assert after["metadata"]["uid"] == created["metadata"]["uid"]
    assert "embedding-operator" not in {entry["manager"] for entry in after["metadata"]["managedFields"]}
    assert applier.counts == {}


@pytest.mark.parametrize("known", [True, False])
async def test_another_services_child_is_not_touched(applier, client, namespace, owner, known):
    """The same field manager wrote it, so the API server would see no conflict."""
    other = await client.apply(config_map(namespace, "other"))
    theirs = await Applier(client, Cache()).apply(owned_by(service(namespace), other))
    if known:
        await watched(applier, client, theirs)
    with pytest.raises(NameTaken) as caught:
        await applier.apply(owned_by(service(namespace), owner))
    assert caught.value.owner == "ConfigMap other"
    assert (await client.get(key_of(theirs)))["metadata"]["ownerReferences"][0]["name"] == "other"


async def test_a_strangers_object_without_any_conflicting_field_is_not_merged_into(applier, client, namespace, owner):
    bare = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": namespace}}
    path = CONFIG_MAPS.path(namespace) + "?fieldManager=kubectl-create"
    assert await raw(client, "POST", path, bare) == 201
    with pytest.raises(NameTaken, match="somebody else"):
        await applier.apply(owned_by(config_map(namespace, a="ours"), owner))
    assert "data" not in await client.get(key_of(bare))


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("child", [deployment, service, config_map])
async def test_a_first_apply_needs_no_look_for_the_server_itself_refuses_it_where_there_is_one(
    client, namespace, owner, child, force
):
    desired = owned_by(child(namespace), owner)
    made = await Applier(client, Cache()).apply(desired)
    assert client.requests["get", desired["kind"]] == 0
    desired["metadata"]["resourceVersion"] = NOBODYS_VERSION
    with pytest.raises(ApiError) as caught:
        await client.apply(desired, force=force)
    assert caught.value.is_conflict
    [writer] = (await client.get(key_of(made)))["metadata"]["managedFields"][:1]
    assert (writer["manager"], writer["operation"]) == ("embedding-operator", "Apply")


async def test_a_name_that_became_free_is_used(applier, client, namespace, owner):
    other = await client.apply(config_map(namespace, "other"))
    theirs = await client.apply(owned_by(deployment(namespace), other))
    await watched(applier, client, theirs)
    await client.delete(key_of(theirs))  # the watch has not told of it yet
    made = await applier.apply(owned_by(deployment(namespace), owner))
    assert made["metadata"]["uid"] != theirs["metadata"]["uid"]


async def test_what_a_stranger_makes_between_our_look_and_our_apply_is_not_merged_into(
    applier, client, namespace, owner, monkeypatch
):
    other = await client.apply(config_map(namespace, "other"))
    await watched(applier, client, await client.apply(owned_by(config_map(namespace), other)))
    bare = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": namespace}}
    await client.delete(key_of(bare))
    look = client.get

    async def look_and_be_overtaken(key):
        seen = await look(key)
        assert await raw(client, "POST", CONFIG_MAPS.path(namespace) + "?fieldManager=kubectl-create", bare) == 201
        return seen

    monkeypatch.setattr(client, "get", look_and_be_overtaken)
    with pytest.raises(ApiError) as caught:
        await applier.apply(owned_by(config_map(namespace, a="ours"), owner))
    assert caught.value.is_conflict
    assert "data" not in await look(key_of(bare))


async def test_after_a_restart_our_own_edited_child_is_taken_back(client, namespace, owner):
    desired = owned_by(deployment(namespace), owner)
    await Applier(client, Cache()).apply(desired)
    await edit(client, DEPLOYMENTS, namespace, "x", {"spec": {"replicas": 5}})
    fresh = Applier(client, Cache())  # the watch has not told of it yet
    assert unpacked(await fresh.apply(desired))["spec"]["replicas"] == 0


async def test_children_of_an_owners_earlier_life_are_adopted(applier, client, namespace, owner):
    await applier.apply(owned_by(deployment(namespace), owner))
    await client.delete(key_of(owner))
    again = await client.apply(config_map(namespace, "owner"))
    # The garbage collector may be faster and take the child; then it is made anew.
    adopted = await applier.apply(owned_by(deployment(namespace), again))
    assert [ref["uid"] for ref in adopted["metadata"]["ownerReferences"]] == [again["metadata"]["uid"]]


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


async def test_deleting_takes_exactly_the_object_that_was_seen(applier, client, namespace, owner):
    desired = owned_by(config_map(namespace), owner)
    old = await applier.apply(desired)
    await client.delete(key_of(old))
    new = await client.apply(desired)
    assert not await applier.delete(old)
    assert await applier.delete(new)


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


def _model_cache(namespace):
    return {
        "apiVersion": "embedding-operator.io/v1alpha1",
        "kind": "ModelCache",
        "metadata": {"name": "weights", "namespace": namespace},
        "spec": {"source": {"path": {"path": "models/a"}}, "storage": {"claimName": "c"}},
    }


def _with_status(obj, **status):
    kept = {name: obj["metadata"][name] for name in ("name", "namespace", "uid")}
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": kept, "status": status}


async def test_a_status_is_written_once(applier, client, namespace):
    await install_crds(client)
    cache = await client.create(_model_cache(namespace))
    applier._cache.upsert(cache)
    wanted = _with_status(cache, observedGeneration=1, files=3)
    written = await applier.apply_status(wanted)
    assert written["status"] == {"observedGeneration": 1, "files": 3}
    assert await applier.apply_status(wanted) == written
    assert applier.counts == {"status": 1, "status_skipped": 1}
    assert written["metadata"]["generation"] == 1

    fewer = await applier.apply_status(_with_status(cache, observedGeneration=1))
    assert fewer["status"] == {"observedGeneration": 1}


@pytest.mark.parametrize("watched_deletion", [True, False])
async def test_a_status_is_never_written_into_a_namesake(applier, client, namespace, watched_deletion):
    await install_crds(client)
    old = await client.create(_model_cache(namespace))
    applier._cache.upsert(old)
    await client.delete(key_of(old))
    new = await client.create(_model_cache(namespace))
    if watched_deletion:
        applier._cache.upsert(new)
    with pytest.raises(ApiError) as caught:
        await applier.apply_status(_with_status(old, observedGeneration=1))
    assert caught.value.is_not_found if watched_deletion else caught.value.is_conflict
    assert "status" not in await client.get(key_of(old))


async def test_a_status_planned_for_an_older_spec_is_not_written(applier, client, namespace):
    await install_crds(client)
    cache = await client.create(_model_cache(namespace))
    applier._cache.upsert(cache)
    await edit(client, MODEL_CACHES, namespace, "weights", {"spec": {"download": {"parallelism": 4}}})
    wanted = _with_status(cache, observedGeneration=1)
    with pytest.raises(ApiError) as caught:
        await applier.apply_status(wanted)
    assert caught.value.is_conflict
    await watched(applier, client, cache)
    assert (await applier.apply_status(wanted))["status"] == {"observedGeneration": 1}


async def test_a_status_of_something_deleted_makes_nothing(applier, client, namespace):
    await install_crds(client)
    old = await client.create(_model_cache(namespace))
    applier._cache.upsert(old)
    await client.delete(key_of(old))
    with pytest.raises(ApiError) as caught:
        await applier.apply_status(_with_status(old, observedGeneration=1))
    assert caught.value.is_not_found or caught.value.is_conflict
    assert await client.get(key_of(old)) is None


async def test_a_status_with_a_field_that_the_kind_does_not_have_is_refused(applier, client, namespace):
    await install_crds(client)
    cache = await client.create(_model_cache(namespace))
    applier._cache.upsert(cache)
    with pytest.raises(ApiError) as caught:
        await applier.apply_status(_with_status(cache, nonsense=1))
    assert caught.value.is_invalid


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
