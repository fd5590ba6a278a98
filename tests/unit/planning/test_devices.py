"""The devices of a pod: one kind of them, as many in limits as in requests, and one part of a device at most."""

from typing import Any

import pytest

from embedding_operator.api.conditions import Reason
from embedding_operator.planning.profiles import ASCEND_310P, ASCEND_910B, ASCEND_950, ASCEND_A3, CPU
from tests.unit.planning.test_resolve import refusal, resolved

SLICE = {"resourceName": "huawei.com/Ascend910B3", "slice": {"huawei.com/Ascend910B3-memory": 32768}}


@pytest.mark.parametrize(
    ("profile", "counts", "refused"),
    [
        (ASCEND_910B, [1, 2, 4, 8], [3, 16]),
        (ASCEND_A3, [1, 2, 4, 6, 8, 10, 12, 14, 16], [3, 5, 7, 18]),
        (ASCEND_310P, [1, 2, 3, 4], []),
        (ASCEND_950, [1, 2, 4, 8], [3, 16]),
    ],
    ids=lambda value: value["metadata"]["name"] if isinstance(value, dict) else None,
)
def test_a_pod_has_as_many_devices_as_its_chip_gives_to_one(
    profile: dict[str, Any], counts: list[int], refused: list[int]
) -> None:
    device = profile["spec"]["accelerator"]["resourceName"]
    for count in counts:
        got = resolved(profile, parallelism={"tensor": count}).resources
        assert (got["requests"][device], got["limits"][device]) == (str(count), str(count))
    for count in refused:
        assert refusal(profile=profile, parallelism={"tensor": count})[0] == Reason.DEVICE_COUNT_NOT_ALLOWED


def test_a_slice_is_asked_for_beside_its_device_in_requests_and_limits() -> None:
    got = resolved(site={"accelerator": SLICE, "pod": {"resourcesPerDevice": {}}}).resources
    asked = {"huawei.com/Ascend910B3": "1", "huawei.com/Ascend910B3-memory": "32768"}
    assert got == {"requests": asked, "limits": asked}


@pytest.mark.parametrize(
    ("accelerator", "part"),
    [
        (SLICE, "huawei.com/Ascend910B3-memory"),
        ({"resourceName": "huawei.com/Ascend310P-2c"}, "huawei.com/Ascend310P-2c"),
        ({"resourceName": "huawei.com/Ascend310P-4c.4cpu.dvpp"}, "huawei.com/Ascend310P-4c.4cpu.dvpp"),
        ({"resourceName": "huawei.com/Ascend910-12c.3cpu.32g"}, "huawei.com/Ascend910-12c.3cpu.32g"),
    ],
)
def test_of_parts_of_a_device_a_pod_has_one(accelerator: dict[str, Any], part: str) -> None:
    site = {"accelerator": {"allowedCounts": None} | accelerator}
    assert resolved(site=site).resources["limits"][part]
    reason, message = refusal(site=site, parallelism={"tensor": 2})
    assert reason == Reason.DEVICE_COUNT_NOT_ALLOWED
    assert f"a part of a device ({part})" in message
    assert message.endswith("write 1, or choose a profile of whole devices")


@pytest.mark.parametrize("name", ["huawei.com/Ascend310P-V", "huawei.com/Ascend910B4-1", "huawei.com/ascend-1980"])
def test_a_dash_makes_no_part(name: str) -> None:
    assert resolved(site={"accelerator": {"resourceName": name}}, parallelism={"tensor": 2}).tensor_parallel == 2


@pytest.mark.parametrize("kind", ["requests", "limits"])
@pytest.mark.parametrize(
    ("site", "resource"),
    [
        ({}, "huawei.com/Ascend910"),
        ({}, "huawei.com/Ascend310P"),
        ({"accelerator": {"resourceName": "example.com/npu"}}, "example.com/npu"),
        ({"accelerator": {"resourceName": "example.com/npu"}}, "huawei.com/Ascend910"),
        ({"accelerator": SLICE}, "huawei.com/Ascend910B3-memory"),
        ({"accelerator": {"resourceName": "example.com/npu"}}, "example.com/npu-core"),
    ],
)
def test_a_service_cannot_ask_for_devices_as_resources(kind: str, site: dict[str, Any], resource: str) -> None:
    reason, message = refusal(site=site, runtime={"resources": {kind: {resource: "1"}}})
    assert reason == Reason.INVALID_SPEC
    assert message.startswith(f"spec.runtime.resources has {resource}, but a pod gets its devices by its profile")
    assert message.endswith("write their number as spec.parallelism.tensor")


def test_on_a_profile_without_devices_there_are_none_to_ask_for() -> None:
    _, message = refusal(profile=CPU, runtime={"resources": {"limits": {"huawei.com/Ascend910": "1"}}})
    assert "(cpu: none)" in message


def test_what_is_no_accelerator_is_the_services_affair() -> None:
    own = {"requests": {"rdma/hca": "1"}, "limits": {"rdma/hca": "1"}}
    got = resolved(site={"accelerator": {"resourceName": "example.com/npu"}}, runtime={"resources": own}).resources
    assert (got["requests"]["rdma/hca"], got["limits"]["rdma/hca"]) == ("1", "1")


def test_huge_pages_need_memory_beside_them_from_whoever_gives_it() -> None:
    own = {"resources": {"limits": {"hugepages-2Mi": "1Gi"}}}
    assert "memory" in resolved(ASCEND_910B, runtime=own).resources["limits"]
    bare = {"pod": {"resourcesPerDevice": {}}}
    reason, message = refusal(site=bare, runtime=own)
    assert (reason, message.endswith(": write memory, too")) == (Reason.INVALID_SPEC, True)
    more = {"resources": {"limits": {"hugepages-2Mi": "1Gi", "memory": "4Gi"}}}
    assert resolved(site=bare, runtime=more).resources["limits"]["hugepages-2Mi"] == "1Gi"
