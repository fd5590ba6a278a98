"""The applier on a real API server that has the name already: whose it is, and that only ours is touched."""

import pytest

from embedding_operator.kube.apply import NOBODYS_VERSION, Applier
from embedding_operator.kube.cache import Cache
from embedding_operator.kube.errors import ApiError, NameTaken
from embedding_operator.kube.resources import (
    CONFIG_MAPS,
    by_kind,
    key_of,
)
from tests.integration.kube_support import config_map, deployment, edit, owned_by, raw, service, watched


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


async def test_a_strangers_object_without_any_conflicting_field_is_not_merged_into(applier, client, namespace, owner):
    bare = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": namespace}}
    path = CONFIG_MAPS.path(namespace) + "?fieldManager=kubectl-create"
    assert await raw(client, "POST", path, bare) == 201
    with pytest.raises(NameTaken, match="somebody else"):
        await applier.apply(owned_by(config_map(namespace, a="ours"), owner))
    assert "data" not in await client.get(key_of(bare))


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


async def test_a_shared_object_whose_labels_were_taken_off_is_still_ours(applier, client, namespace):
    shared = config_map(namespace, "scripts", launch="code")
    made = await applier.create(shared)
    await edit(client, CONFIG_MAPS, namespace, "scripts", {"metadata": {"labels": None}})
    bare = (await client.get(key_of(made)))["metadata"]
    applier._cache.discard(key_of(made), bare["uid"], bare["resourceVersion"])
    assert (await applier.create(shared))["metadata"]["uid"] == made["metadata"]["uid"]


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
