"""The devices of a pod, and what it gets of its node with them.

A container may hold one device resource, as much of it in limits as in requests, and one part of a device at most. What
would be otherwise is refused here: device plugins say it when a pod is on its node, in words that reach nobody.
"""

import re

from embedding_operator.api.conditions import Reason
from embedding_operator.api.json import JsonObject
from embedding_operator.api.profile import Accelerator, RuntimeProfile
from embedding_operator.api.quantity import parse_quantity, times
from embedding_operator.api.service import EmbeddingService
from embedding_operator.planning.errors import PlanError

_CHIPS = (("310P", "310P"), ("910B", "910B"), ("A3|910C", "A3"), ("950", "950"), ("910A", "910A"))
_TEMPLATE = re.compile(r"-\d+c(\.[a-z0-9.]+)?$")  # of a static vNPU: huawei.com/Ascend310P-2c.1cpu
_VENDOR = "huawei.com/"


def chip_of(accelerator: Accelerator) -> str:
    """The chip's generation, out of what the profile says: `910B3` is 910B. Its resource tells where chip is absent."""
    said = (accelerator.chip or accelerator.resource_name or "").upper()
    return next((chip for pattern, chip in _CHIPS if re.search(pattern, said)), "")


def device_of(profile: RuntimeProfile) -> str | None:
    """The resource of which a pod gets its devices; None without an accelerator."""
    accelerator = profile.spec.accelerator
    if accelerator.type == "None":
        return None
    if accelerator.resource_name is None:
        raise PlanError(
            Reason.PROFILE_INVALID,
            f"RuntimeProfile {profile.metadata.name} has an accelerator without resourceName: "
            "write the resource that the device plugin offers, like huawei.com/Ascend910",
        )
    return accelerator.resource_name


def check_count(devices: int, profile: RuntimeProfile) -> None:
    """Raise PlanError for a number of devices that no pod can have here."""
    name, allowed = profile.metadata.name, profile.spec.accelerator.allowed_counts
    if allowed and devices not in allowed:
        raise PlanError(
            Reason.DEVICE_COUNT_NOT_ALLOWED,
            f"spec.parallelism.tensor is {devices}, but profile {name} "
            f"allows {', '.join(map(str, allowed))} devices per pod",
        )
    part = _part(profile.spec.accelerator)
    if devices > 1 and part is not None:
        raise PlanError(
            Reason.DEVICE_COUNT_NOT_ALLOWED,
            f"spec.parallelism.tensor is {devices}, but profile {name} gives a part of a device ({part}), of which a "
            "container may hold one: write 1, or choose a profile of whole devices",
        )


def resources(service: EmbeddingService, profile: RuntimeProfile, devices: int) -> JsonObject:
    """Requests and limits: per device from the profile, then the service's own words, then the devices."""
    per_device = profile.spec.pod.resources_per_device
    own = service.spec.runtime.resources
    name = device_of(profile)
    for one in (*(own.requests or {}), *(own.limits or {})):
        _refuse_device(one, name, profile)
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    if per_device.cpu:
        requests["cpu"] = times(per_device.cpu, devices)
    if per_device.memory:
        requests["memory"] = limits["memory"] = times(per_device.memory, devices)
    requests.update(own.requests or {})
    if own.requests and "memory" in own.requests and "memory" not in (own.limits or {}):
        limits.pop("memory", None)  # a larger request than the profile's limit would be refused
    limits.update(own.limits or {})
    for resource in (requests.keys() & limits.keys()) - (own.requests or {}).keys():
        # a limit below what the profile requests would be refused; it is what the service says
        requests[resource] = min(requests[resource], limits[resource], key=parse_quantity)
    _refuse_huge_pages_alone(requests | limits, profile)
    if name is not None:
        asked = {name: str(devices)} | {
            part: str(amount) for part, amount in (profile.spec.accelerator.slice or {}).items()
        }
        requests |= asked
        limits |= asked
    return {key: value for key, value in (("requests", requests), ("limits", limits)) if value}


def _refuse_huge_pages_alone(amounts: dict[str, str], profile: RuntimeProfile) -> None:
    """An API server takes them of a container with cpu or memory only."""
    pages = next((one for one in amounts if one.startswith("hugepages-")), None)
    if pages is not None and not amounts.keys() & {"cpu", "memory"}:
        raise PlanError(
            Reason.INVALID_SPEC,
            f"spec.runtime.resources has {pages}, but neither it nor profile {profile.metadata.name} has cpu or "
            "memory, which a pod with huge pages needs: write memory, too",
        )


def _part(accelerator: Accelerator) -> str | None:
    """The resource that stands for a part of a device, if these are parts."""
    name = accelerator.resource_name or ""
    return next(iter(accelerator.slice or ()), name if _TEMPLATE.search(name) else None)


def _refuse_device(resource: str, device: str | None, profile: RuntimeProfile) -> None:
    """Devices are counted by `parallelism`; written as a resource they would be a second kind, or another number."""
    is_ours = device is not None and (resource == device or resource.startswith(f"{device}-"))
    if is_ours or resource.startswith(_VENDOR):
        raise PlanError(
            Reason.INVALID_SPEC,
            f"spec.runtime.resources has {resource}, but a pod gets its devices by its profile "
            f"({profile.metadata.name}: {device or 'none'}) and holds no second kind: remove it, and write their "
            "number as spec.parallelism.tensor",
        )
