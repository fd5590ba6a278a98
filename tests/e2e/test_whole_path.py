"""From a manifest to vectors, with real kubelets and containerd; NPUs, hub and vLLM are stand-ins."""

from __future__ import annotations

import json
import stat

import pytest

from tests.e2e.product import QWEN, Place, Product
from tests.integration.operating import until

pytestmark = pytest.mark.cluster


def staged_directory(place: Place) -> str:
    cache = place.get("mcache", place.the_cache()) or {}
    return str(cache["status"]["path"])


def test_one_manifest_becomes_a_working_endpoint_on_two_nodes(product: Product) -> None:
    place = product.place()
    place.double(replicas=4)
    until(place.ready, 240)
    assert place.condition("emb", "qwen")["message"] == "4 of 4 replicas serving on 2 nodes"

    pods = place.items("pods", "embedding-operator.io/service=qwen")
    devices = [
        (
            pod["spec"]["nodeName"],
            place.kubectl("exec", pod["metadata"]["name"], "--", "printenv", "ASCEND_VISIBLE_DEVICES"),
        )
        for pod in pods
    ]
    assert len(set(devices)) == 4  # one device each, and no device twice on a node
    assert len(place.vectors("qwen", QWEN, ["a", "b", "c"])) == 3

    # what people type, against real kubelets
    tried = product.command(place, "try", "qwen", "a red shoe", "a red boot")
    assert "2 vectors of " in tried
    said = product.command(place, "logs", "qwen", "--tail", "50")
    assert {line.partition(" ")[0].rstrip() for line in said.splitlines()} >= {pod["metadata"]["name"] for pod in pods}
    assert "stager/" in said
    shown = product.command(place, "status", "qwen")
    assert shown.count(" ready ") == 4

    directory = place.directory / staged_directory(place)
    manifest = json.loads((directory / "manifest.json").read_text())
    assert {entry["path"] for entry in manifest["files"]} >= {"config.json", "model-00001-of-00004.safetensors"}
    assert all((directory / entry["path"]).stat().st_size == entry["size"] for entry in manifest["files"])
    assert all((directory / entry["path"]).stat().st_mode & stat.S_IROTH for entry in manifest["files"])
    assert [job["status"].get("succeeded") for job in place.items("job")] == [1]


def test_a_second_service_of_the_same_weights_stages_nothing(product: Product) -> None:
    place = product.place()
    place.double("one", replicas=1)
    until(lambda: place.ready("one"), 240)
    place.double("two", replicas=1)
    until(lambda: place.ready("two"), 120)
    assert len(place.items("job")) == 1
    cache = place.get("mcache", place.the_cache()) or {}
    assert [user["name"] for user in cache["status"]["usedBy"]] == ["one", "two"]


def test_weights_already_in_place_are_verified_and_used_where_they_are(product: Product) -> None:
    place = product.place()
    directory = place.directory / "site/my-model"
    directory.mkdir(parents=True)
    (directory / "config.json").write_text('{"hidden_size": 32}')
    (directory / "model.safetensors").write_bytes(b"x" * 1000)
    place.double(model={"source": {"path": {"path": "site/my-model"}}}, replicas=1)
    until(place.ready, 240)
    assert staged_directory(place) == "site/my-model"
    assert len(place.vectors("qwen", "my-model", ["hello"])[0]) == 32


def test_a_wrong_hash_at_the_hub_ends_in_a_clear_message_and_nothing_is_published(product: Product) -> None:
    place = product.place()
    product.fault("corrupt", match="model-00002-*")
    try:
        place.double(replicas=1)
        until(lambda: place.condition("emb", "qwen", "Stalled")["reason"] == "CacheStalled", 240)
    finally:
        product.no_faults()
    ready = place.condition("mcache", place.the_cache())
    assert ready["reason"] == "ChecksumMismatch"
    assert "model-00002-of-00004.safetensors" in ready["message"]
    assert "model-00002-of-00004.safetensors" in place.condition("emb", "qwen")["message"]
    assert not list(place.directory.glob("modelscope/*/*/manifest.json"))
    until(lambda: "ChecksumMismatch" in place.kubectl("get", "events"))
    # mended at the hub, and tried again by the words of the message
    command = ready["message"].split("`")[1].removeprefix("kubectl ").split()
    product.kubectl(*command)
    until(place.ready, 240)


def test_progress_is_shown_while_weights_are_downloaded(product: Product) -> None:
    place = product.place()
    product.fault("slow", match="*.safetensors", value=400_000)  # 20 s a file
    try:
        place.double(replicas=1)
        seen: set[str] = set()

        def half_way() -> bool:
            found = place.items("modelcache")
            progress = (found[0].get("status") or {}).get("progress") or {} if found else {}
            seen.add(str(progress.get("phase")))
            return 0 < progress.get("percent", 0) < 100

        until(half_way, 180)
        assert "Downloading" in seen
    finally:
        product.no_faults()
    until(place.ready, 240)


def test_a_new_revision_rolls_under_load_without_a_failed_request(product: Product) -> None:
    place = product.place()
    place.double(replicas=2, rollout={"drainTimeout": "60s"})
    until(place.ready, 240)
    url = f"http://qwen.{place.name}.svc:8000/v1"
    load = product.load(url, QWEN, "--clients", "6", "--seconds", "300", "--pause", "0.02")
    place.double(replicas=2, rollout={"drainTimeout": "60s"}, serving={"maxModelLen": 2048})
    until(lambda: place.condition("emb", "qwen")["reason"] == "RollingOut", 60)
    until(place.ready, 240)
    summary = product.end_load(load)
    assert summary["requests"] > 100
    assert summary["failed"] == 0, summary


def test_the_namespaces_of_users_may_enforce_the_restricted_standard_for_staging(product: Product) -> None:
    place = product.place("restricted")
    manifest = {
        "apiVersion": "embedding-operator.io/v1alpha1",
        "kind": "ModelCache",
        "metadata": {"name": "preload"},
        "spec": {
            "source": {"modelScope": {"repo": QWEN, "endpoint": "http://model-hub.model-hub.svc"}},
            "storage": {"claimName": "model-weights", "subPath": "models"},
        },
    }
    place.apply(manifest)
    until(lambda: place.condition("mcache", "preload")["status"] == "True", 180)
    assert list((place.directory / "models").glob("modelscope/*/*/manifest.json"))
