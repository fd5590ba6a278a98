"""What keeps pods from serving is told with its cure, as kubelet, scheduler and server really say it."""

from __future__ import annotations

from typing import Any

import pytest

from embedding_operator.planning.crashes import CRASHES
from tests.e2e.product import Place, Product
from tests.integration.operating import until
from tests.standins.vllm import failures

pytestmark = pytest.mark.cluster

WHAT = {one.name: one.what for one in CRASHES}


def double(**runtime: Any) -> dict[str, Any]:
    return {"runtime": Place.runtime() | runtime}


def failing(name: str) -> dict[str, Any]:
    return double(env=[{"name": "VLLM_DOUBLE_FAILS", "value": name}])


def told(place: Place, name: str, reason: str, words: str) -> None:
    """Wait until a service says why it does not serve."""
    said: list[str] = []

    def is_told() -> bool:
        condition = place.condition("emb", name)
        said[:] = [f"{condition['reason']}: {condition['message']}"]
        return condition["reason"] == reason and words in condition["message"]

    try:
        until(is_told, 240)
    except AssertionError:
        raise AssertionError(f"{name} says: {said}") from None


def test_why_pods_do_not_serve_is_told_with_its_cure(product: Product) -> None:
    place = product.place()
    place.double("memory", replicas=1, **failing("OutOfDeviceMemory"))
    until(lambda: place.condition("emb", "memory", "WeightsReady")["status"] == "True", 240)
    place.double("driver", replicas=1, **failing("DriverNotMounted"))
    place.double("image", replicas=1, **double(image="registry.invalid/vllm:v0.23.0"))
    place.double("nowhere", replicas=1, scheduling={"nodeSelector": {"rack": "none"}})
    told(place, "memory", "CrashLooping", f"{WHAT['OutOfDeviceMemory']} (NPU out of memory. Tried to allocate 3.47 GiB")
    told(place, "driver", "CrashLooping", f"{WHAT['DriverNotMounted']} (libascend_hal.so: cannot open shared object")
    told(place, "image", "ImagePullFailed", "the node does not reach the registry: ")
    told(place, "nowhere", "Unschedulable", "; label them as pod.nodeSelector of the RuntimeProfile")


@pytest.mark.long
def test_every_way_in_which_a_server_ends_is_told_apart(product: Product) -> None:
    place = product.place()
    ways = {name.lower(): name for name in (*failures.ENGINE, *failures.SERVER)}
    for service, name in ways.items():
        place.double(service, replicas=1, **failing(name))
    place.double("flag", replicas=1, **double(args=["--no-such-flag-anywhere"]))
    place.double("oom", replicas=1, **double(resources={"requests": {"cpu": "20m"}, "limits": {"memory": "24Mi"}}))
    for service, name in ways.items():
        told(place, service, "CrashLooping", WHAT[name])
    told(place, "flag", "CrashLooping", WHAT["FlagUnknown"])
    told(place, "oom", "CrashLooping", WHAT["OutOfMemory"])


@pytest.mark.long
def test_what_a_pod_waits_for_is_told(product: Product) -> None:
    place = product.place()
    place.double("devices", replicas=3, parallelism={"tensor": 8})  # of which two nodes have eight each
    told(place, "devices", "Unschedulable", "; free some of huawei.com/Ascend910, add nodes")
    place.kubectl("delete", "emb/devices")
    mounts = {"name": "vllm", "volumeMounts": [{"name": "absent", "mountPath": "/absent"}]}
    volume = {"volumes": [{"name": "absent", "secret": {"secretName": "absent"}}], "containers": [mounts]}
    place.double("volume", replicas=1, **double(podTemplate={"spec": volume}))
    variable = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "absent", "key": "key"}}}
    container = {"containers": [{"name": "vllm", "env": [variable]}]}
    place.double("reference", replicas=1, **double(podTemplate={"spec": container}))
    told(place, "reference", "CrashLooping", "a Secret or ConfigMap that the pod names is not there: ")
    told(place, "volume", "VolumesNotMounted", "waits on node ")
    place.kubectl("create", "secret", "generic", "absent", "--from-literal=key=x")
    for name in ("volume", "reference"):
        until(lambda name=name: place.ready(name), 240)  # type: ignore[misc]
    place.kubectl("create", "quota", "none", "--hard=requests.huawei.com/Ascend910=2")
    place.double("more", replicas=1)
    told(place, "more", "PodsRefused", "have ResourceQuota none raised")
