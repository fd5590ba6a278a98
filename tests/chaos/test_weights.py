"""What happens to objects while their weights are on the way; the stager is a real one, held up by a slow hub."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.chaos.conftest import Undisturbed
from tests.chaos.faults import kill_containers, killed
from tests.chaos.scene import Scene, patiently, report
from tests.chaos.test_staging import is_there, runs
from tests.e2e.product import HUB, QWEN, Place, Product
from tests.integration.operating import until

pytestmark = pytest.mark.cluster

FILE = "*.safetensors"
OTHER = "sentence-transformers/all-MiniLM-L6-v2"
CACHE: dict[str, Any] = {
    "apiVersion": "embedding-operator.io/v1alpha1",
    "kind": "ModelCache",
    "metadata": {"name": "weights"},
    "spec": {
        "source": {"modelScope": {"repo": QWEN, "endpoint": HUB}},
        "storage": {"claimName": "model-weights"},
    },
}


@contextmanager
def slow_hub(product: Product, bytes_per_second: int = 100_000) -> Iterator[None]:
    """80 seconds a file, if nothing else is said."""
    product.fault("slow", match=FILE, value=bytes_per_second)
    try:
        yield
    finally:
        product.no_faults()


def is_under_way(place: Place) -> bool:
    return bool(list(place.directory.glob(".staging/*/partials/*.partial")))


def is_verified(place: Place) -> bool:
    return bool(place.condition("mcache", "weights")["reason"] == "Verified")


def files_of(place: Place) -> list[str]:
    """All files on the volume, but for signatures."""
    found = [path.relative_to(place.directory) for path in place.directory.rglob("*") if path.is_file()]
    return sorted(str(path) for path in found if ".users" not in path.parts)


# ---- in `make test`


def test_a_namespace_that_is_deleted_while_weights_are_staged_ends_with_all_that_was_in_it(product: Product) -> None:
    scene = Scene(product)
    with slow_hub(product):
        scene.serve(cache={"claimName": "model-weights", "deletionPolicy": "Delete"})
        until(lambda: is_under_way(scene.place), 120)
        (cache,) = scene.place.items("modelcache")
        assert cache["metadata"]["finalizers"]
        product.kubectl("delete", "namespace", scene.place.name, "--wait=false")
        until(lambda: not product.kubectl("get", "namespace", scene.place.name, "--ignore-not-found").strip(), 120)
        until(lambda: scene.strays() == [], 60)
    assert not list(scene.place.directory.glob("modelscope/**/manifest.json"))


def test_two_namespaces_race_for_one_directory_and_the_first_that_goes_leaves_it_to_the_other(product: Product) -> None:
    one = product.place()
    other = product.place(beside=one)
    delete = {"deletionPolicy": "Delete"}
    with slow_hub(product, 2_000_000):
        for place in (one, other):
            place.apply(CACHE | {"spec": CACHE["spec"] | delete})
    until(lambda: is_verified(one) and is_verified(other), 180)
    published = [name for name in files_of(one) if name.endswith("manifest.json")]
    assert len(published) == 1
    assert not [name for name in files_of(one) if name.startswith(".staging")]
    before = files_of(one)
    one.kubectl("delete", "mcache", "weights", "--timeout=120s")
    assert files_of(other) == before


# ---- in `make test-long`


@pytest.mark.long
def test_caches_that_are_deleted_while_they_are_staged_leave_what_their_policy_says(product: Product) -> None:
    retain, delete = product.place(), product.place()
    with slow_hub(product):
        retain.apply(CACHE)
        delete.apply(CACHE | {"spec": CACHE["spec"] | {"deletionPolicy": "Delete"}})
        until(lambda: is_under_way(retain) and is_under_way(delete), 120)
        retain.kubectl("delete", "mcache", "weights", "--timeout=60s")
        delete.kubectl("delete", "mcache", "weights", "--timeout=300s")
        until(lambda: not retain.items("pods", "app.kubernetes.io/name=model-staging"), 120)
    assert files_of(delete) == []
    assert is_under_way(retain)
    retain.apply(CACHE)
    delete.apply(CACHE | {"spec": CACHE["spec"] | {"deletionPolicy": "Delete"}})
    until(lambda: is_verified(retain) and is_verified(delete), 180)
    assert files_of(retain) == files_of(delete)
    assert not is_under_way(retain)
    delete.kubectl("delete", "mcache", "weights", "--timeout=180s")
    assert files_of(delete) == []


@pytest.mark.long
@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_the_cache_of_a_service_is_deleted_while_it_is_staged_and_the_service_gets_another(
    product: Product, undisturbed: Undisturbed, policy: str
) -> None:
    scene = Scene(product)
    with slow_hub(product):
        scene.serve(cache={"claimName": "model-weights", "deletionPolicy": policy})
        until(lambda: is_under_way(scene.place), 120)
        (first,) = scene.place.items("modelcache")
        scene.place.kubectl("delete", "mcache", first["metadata"]["name"], "--timeout=300s")
    scene.until_serving(2)
    (second,) = scene.place.items("modelcache")
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    scene.answers_rightly(undisturbed.vectors)
    assert not [name for name in files_of(scene.place) if name.startswith(".staging")]


@pytest.mark.long
def test_a_spec_that_changes_while_weights_are_staged_is_served_from_the_new_ones(product: Product) -> None:
    scene = Scene(product)
    with slow_hub(product):
        scene.serve()
        until(lambda: is_under_way(scene.place), 120)
        scene.serve(model={"source": {"modelScope": {"repo": OTHER, "endpoint": HUB}}, "servedName": QWEN})
        until(lambda: len(scene.place.items("modelcache")) == 2, 60)
    scene.until_serving(2)
    status = (scene.place.get("emb", "qwen") or {})["status"]
    used = {one["metadata"]["name"] for one in scene.place.items("modelcache") if one["status"].get("usedBy")}
    assert used == {status["model"]["cache"]}
    (cache,) = [one for one in scene.place.items("modelcache") if one["metadata"]["name"] in used]
    assert cache["spec"]["source"]["modelScope"]["repo"] == OTHER
    assert scene.vectors()


@pytest.mark.long
def test_the_api_server_is_away_for_a_minute_while_weights_are_staged(
    product: Product, undisturbed: Undisturbed
) -> None:
    ends_meanwhile, goes_on = Scene(product), Scene(product)
    with slow_hub(product, 300_000):  # half a minute: its end, and what it says then, fall into the time away
        ends_meanwhile.serve()
        until(lambda: is_under_way(ends_meanwhile.place), 120)
    with slow_hub(product):
        goes_on.serve()
        until(lambda: is_under_way(goes_on.place), 120)
        with killed(product.cluster, "kube-apiserver"):
            before = is_there(goes_on)
            time.sleep(60)
            assert is_there(goes_on) > before, "a stager needs no API server"
    for scene in (ends_meanwhile, goes_on):
        patiently(lambda scene=scene: scene.is_serving(2))  # type: ignore[misc]
        scene.settles(undisturbed.served)
        scene.answers_rightly(undisturbed.vectors)
    attempts = [len(scene.staging_pods()) for scene in (ends_meanwhile, goes_on)]
    report("the API server away while staging", pods=attempts)
    assert attempts == [1, 1], "nobody had to begin again"


@pytest.mark.long
def test_the_stagers_pod_is_killed_three_times_and_no_byte_is_lost(product: Product, undisturbed: Undisturbed) -> None:
    scene = Scene(product)
    kept = [0]
    with slow_hub(product):
        scene.serve()
        for by in ("process", "pod", "process"):
            kept.append(killed_stager(scene, by, kept[-1]))
    report("the stager killed", kept=[f"{count / 1e6:.1f} MB" for count in kept[1:]])
    scene.until_serving(2)
    scene.settles(undisturbed.served)
    scene.answers_rightly(undisturbed.vectors)


def killed_stager(scene: Scene, by: str, present: int) -> int:
    """Kill it once it has fetched some more; how many bytes are there when the next one has begun."""
    until(lambda: runs(scene) and is_there(scene) > present + 500_000, 240)
    pods = [pod for pod in scene.staging_pods() if is_running(pod)]
    present = is_there(scene)
    if by == "process":
        assert kill_containers(scene.cluster, pods)
    else:
        names = [pod["metadata"]["name"] for pod in pods]
        scene.place.kubectl("delete", "pods", *names, "--force", "--grace-period=0")
    dead = {pod["metadata"]["uid"] for pod in pods}
    until(lambda: any(is_running(pod) and pod["metadata"]["uid"] not in dead for pod in scene.staging_pods()), 120)
    assert is_there(scene) >= present
    return present


def is_running(pod: dict[str, Any]) -> bool:
    return (pod.get("status") or {}).get("phase") == "Running"
