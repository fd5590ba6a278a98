"""Statuses on a real API server: written once, and only for the very version that they were planned for."""

import pytest

from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import (
    MODEL_CACHES,
    key_of,
)
from tests.integration.kube_support import edit, install_crds, watched


def _model_cache(namespace):
    return {
        "apiVersion": "embedding-operator.io/v1alpha1",
        "kind": "ModelCache",
        "metadata": {"name": "weights", "namespace": namespace},
        "spec": {"source": {"path": {"path": "models/a"}}, "storage": {"claimName": "c"}},
    }


READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Verified",
    "message": "",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}
UNTOUCHED = {"observedGeneration": -1}


def _with_status(obj, **status):
    kept = {name: obj["metadata"][name] for name in ("name", "namespace", "uid")}
    said = {**status, "conditions": [READY]}
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": kept, "status": said}


def _said(obj):
    """The status but for its conditions, which the schema puts where nobody has."""
    assert [one["type"] for one in obj["status"]["conditions"]] == ["Ready"]
    return {name: value for name, value in obj["status"].items() if name != "conditions"}


async def test_a_status_is_written_once(applier, client, namespace):
    await install_crds(client)
    cache = await client.create(_model_cache(namespace))
    applier._cache.upsert(cache)
    wanted = _with_status(cache, observedGeneration=1, files=3)
    written = await applier.apply_status(wanted)
    assert _said(written) == {"observedGeneration": 1, "files": 3}
    assert await applier.apply_status(wanted) == written
    assert applier.counts == {"status": 1, "status_skipped": 1}
    assert written["metadata"]["generation"] == 1

    fewer = await applier.apply_status(_with_status(cache, observedGeneration=1))
    assert _said(fewer) == {"observedGeneration": 1}


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
    assert _said(await client.get(key_of(old))) == UNTOUCHED


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
    assert _said(await applier.apply_status(wanted)) == {"observedGeneration": 1}


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
