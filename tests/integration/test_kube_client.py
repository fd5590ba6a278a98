"""The client against a real API server."""

import asyncio

import pytest

from embedding_operator.kube.errors import ApiError, LeaseLost
from embedding_operator.kube.resources import CONFIG_MAPS, DEPLOYMENTS, SERVICES, ObjectKey, key_of

from .kube_support import Wire, client_of, config_map, deployment, namespace_of, raw, service


async def test_what_is_applied_can_be_read_and_deleted(client, namespace):
    applied = await client.apply(config_map(namespace, a="1"))
    key = key_of(applied)
    assert key == ObjectKey("ConfigMap", namespace, "x")
    assert (await client.get(key))["data"] == {"a": "1"}
    assert await client.delete(key)
    assert await client.get(key) is None
    assert not await client.delete(key)


async def test_an_object_of_a_kind_that_is_not_there_is_not_told_as_gone(client, namespace):
    with pytest.raises(ApiError) as caught:
        await client.get(ObjectKey("HTTPRoute", namespace, "x"))
    assert caught.value.is_kind_missing


async def test_only_the_fields_that_were_sent_are_ours(client, namespace):
    await client.apply(config_map(namespace, a="1", b="1"))
    applied = await client.apply(config_map(namespace, a="2"))
    assert applied["data"] == {"a": "2"}
    [entry] = applied["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("embedding-operator", "Apply")


async def test_misspelt_fields_are_refused_with_the_servers_words(client, namespace):
    wrong = deployment(namespace)
    wrong["spec"]["replica"] = 2
    with pytest.raises(ApiError) as caught:
        await client.apply(wrong)
    assert caught.value.is_invalid
    assert ".spec.replica" in caught.value.message


async def test_a_value_that_the_server_refuses_is_invalid(client, namespace):
    wrong = service(namespace, port=70000)
    with pytest.raises(ApiError) as caught:
        await client.apply(wrong)
    assert caught.value.status == 422
    assert "70000" in caught.value.message


async def test_an_unforced_apply_does_not_take_fields_over(client, namespace):
    await client.create(config_map(namespace, a="theirs"))
    await raw(
        client,
        "PATCH",
        CONFIG_MAPS.path(namespace, "x") + "?fieldManager=somebody",
        {"data": {"a": "edited"}},
        "application/merge-patch+json",
    )
    with pytest.raises(ApiError) as caught:
        await client.apply(config_map(namespace, a="ours"), force=False)
    assert caught.value.is_conflict
    assert (await client.apply(config_map(namespace, a="ours")))["data"] == {"a": "ours"}


async def test_a_status_is_applied_beside_the_spec(client, namespace):
    applied = await client.apply(service(namespace))
    condition = {
        "type": "example.org/Tried",
        "status": "True",
        "reason": "Tried",
        "message": "",
        "lastTransitionTime": "2026-11-01T10:00:00Z",
    }
    metadata = {"name": "x", "namespace": namespace, "uid": applied["metadata"]["uid"]}
    status = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "status": {"conditions": [condition]}}
    answer = await client.apply_status(status)
    assert answer["status"]["conditions"] == [condition]
    assert answer["spec"]["ports"][0]["port"] == 80


async def test_deleting_by_uid_spares_a_namesake(client, namespace):
    old = await client.apply(config_map(namespace))
    await client.delete(key_of(old))
    new = await client.apply(config_map(namespace))
    assert not await client.delete(key_of(old), uid=old["metadata"]["uid"])
    assert (await client.get(key_of(new)))["metadata"]["uid"] == new["metadata"]["uid"]
    assert await client.delete(key_of(new), uid=new["metadata"]["uid"])


async def test_creating_twice_and_replacing_what_changed_are_conflicts(client, namespace):
    created = await client.create(config_map(namespace, a="1"))
    with pytest.raises(ApiError) as caught:
        await client.create(config_map(namespace))
    assert caught.value.is_already_exists

    replaced = await client.replace({**created, "data": {"a": "2"}})
    assert replaced["data"] == {"a": "2"}
    with pytest.raises(ApiError) as caught:
        await client.replace({**created, "data": {"a": "3"}})
    assert caught.value.is_conflict
    assert not caught.value.is_already_exists


async def test_lists_come_in_chunks_with_kinds_and_a_version(client, namespace):
    for number in range(7):
        await client.apply(config_map(namespace, f"m{number}"))
    other = config_map(namespace, "unmarked")
    del other["metadata"]["labels"]
    await client.create(other)
    client.requests.clear()

    listing = await client.list(CONFIG_MAPS, namespace, "app.kubernetes.io/managed-by=embedding-operator", chunk=3)
    assert [key_of(item) for item in listing.items] == [ObjectKey("ConfigMap", namespace, f"m{n}") for n in range(7)]
    assert all(item["apiVersion"] == "v1" for item in listing.items)
    assert listing.resource_version.isdecimal()
    assert client.requests == {("list", "ConfigMap"): 3}


async def test_lists_reach_over_all_namespaces(client, namespace):
    await client.apply(config_map(namespace, "here"))
    async with namespace_of(client) as elsewhere:
        await client.apply(config_map(elsewhere, "there"))
        keys = [key_of(item) for item in (await client.list(CONFIG_MAPS)).items]
    assert ObjectKey("ConfigMap", namespace, "here") in keys
    assert ObjectKey("ConfigMap", elsewhere, "there") in keys


async def test_resource_versions_are_numbers_that_grow(client, namespace):
    """The cache relies on it to tell old news from new."""
    first = await client.apply(config_map(namespace, "one"))
    second = await client.apply(deployment(namespace, "two"))
    third = await client.list(SERVICES, namespace)
    versions = [
        int(first["metadata"]["resourceVersion"]),
        int(second["metadata"]["resourceVersion"]),
        int(third.resource_version),
    ]
    assert versions == sorted(versions)


async def test_without_the_lease_nothing_is_written_but_all_is_read(client, namespace):
    client.gate = lambda: False
    for write in (
        client.apply(config_map(namespace)),
        client.create(config_map(namespace)),
        client.apply_status(deployment(namespace)),
        client.delete(ObjectKey("ConfigMap", namespace, "x")),
    ):
        with pytest.raises(LeaseLost):
            await write
    assert await client.get(ObjectKey("ConfigMap", namespace, "x")) is None
    client.gate = lambda: True
    await client.apply(config_map(namespace))


async def test_a_write_that_waited_for_its_turn_asks_for_the_lease_when_it_is_sent(control_plane, tmp_path):
    wire = Wire(control_plane.url)
    async with (
        wire.relaying(control_plane.kubeconfig, tmp_path) as kubeconfig,
        client_of(kubeconfig, concurrency=1) as client,
        namespace_of(client) as namespace,
    ):
        leading = True
        client.gate = lambda: leading
        wire.stall()
        reading = asyncio.create_task(client.list(DEPLOYMENTS, namespace))
        writing = asyncio.create_task(client.apply(config_map(namespace)))
        await asyncio.sleep(0.1)
        leading = False
        wire.resume()
        await reading
        with pytest.raises(LeaseLost):
            await writing


async def test_an_api_server_that_does_not_answer_is_a_temporary_error(control_plane, tmp_path):
    wire = Wire(control_plane.url)
    async with (
        wire.relaying(control_plane.kubeconfig, tmp_path) as kubeconfig,
        client_of(kubeconfig, timeout=0.5) as client,
    ):
        await client.list(CONFIG_MAPS, "default")
        wire.stall()
        with pytest.raises(ApiError) as caught:
            await client.list(CONFIG_MAPS, "default")
        assert (caught.value.status, caught.value.reason) == (0, "Timeout")
        assert caught.value.is_temporary
        wire.resume()
        await client.list(CONFIG_MAPS, "default")


async def test_connections_that_break_are_temporary_errors(control_plane, tmp_path):
    wire = Wire(control_plane.url)
    async with (
        wire.relaying(control_plane.kubeconfig, tmp_path) as kubeconfig,
        client_of(kubeconfig) as client,
    ):
        await client.list(CONFIG_MAPS, "default")
        wire.stall()
        reading = asyncio.create_task(client.apply(config_map("default", "never")))
        await asyncio.sleep(0.1)
        wire.cut()
        with pytest.raises(ApiError) as caught:
            await reading
        assert (caught.value.status, caught.value.reason) == (0, "Unreachable")
        wire.resume()
        await client.list(CONFIG_MAPS, "default")


async def test_a_wrong_token_is_forbidden(control_plane, tmp_path):
    wrong = tmp_path / "kubeconfig"
    wrong.write_text(control_plane.kubeconfig.read_text().replace(control_plane.admin_token, "nonsense"))
    async with client_of(wrong) as client:
        with pytest.raises(ApiError) as caught:
            await client.list(CONFIG_MAPS, "default")
    assert caught.value.is_forbidden
