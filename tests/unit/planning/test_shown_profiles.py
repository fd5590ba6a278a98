"""The profiles that docs/ascend.md shows for sites: what each of them says is in the pod."""

from typing import Any

import pytest

from embedding_operator.api.profile import RuntimeProfile
from tests.unit.planning import given
from tests.unit.test_docs import ROOT, manifests

PROFILES = [one for one in manifests(ROOT / "docs" / "ascend.md") if one["kind"] == "RuntimeProfile"]


def pod_of(profile: dict[str, Any], count: int = 1) -> dict[str, Any]:
    """The pod template of a service of the profile that asks for no more than a number of devices."""
    name, repo = profile["metadata"]["name"], "Qwen/Qwen3-Embedding-0.6B"
    service = given.service(
        model={"source": {"modelScope": {"repo": repo}}}, runtime={"profile": name}, parallelism={"tensor": count}
    )
    seen = given.seen(profiles={name: RuntimeProfile.from_dict(profile)}, cache=given.cache(repo=repo))
    template: dict[str, Any] = given.child(given.plan(service, seen), "Deployment")["spec"]["template"]
    return template


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile["metadata"]["name"])
def test_what_a_sites_profile_says_is_in_the_pod(profile: dict[str, Any]) -> None:
    accelerator, runtime, site = (profile["spec"][part] for part in ("accelerator", "runtime", "pod"))
    count = min(accelerator.get("allowedCounts") or [1])
    template = pod_of(profile, count)
    spec = template["spec"]
    (container,) = spec["containers"]
    devices = {accelerator["resourceName"]: str(count)} | {
        part: str(amount) for part, amount in accelerator.get("slice", {}).items()
    }
    for kind in ("requests", "limits"):
        got = container["resources"][kind]
        assert {name: amount for name, amount in got.items() if "/" in name} == devices
    assert container["image"] == runtime["image"]
    assert spec.get("imagePullSecrets", []) == runtime.get("imagePullSecrets", [])
    assert spec["nodeSelector"] == site["nodeSelector"]
    assert spec.get("schedulerName") == site.get("schedulerName")
    assert spec.get("runtimeClassName") == site.get("runtimeClassName")
    assert site.get("labels", {}).items() <= template["metadata"]["labels"].items()
    assert site.get("annotations", {}).items() <= template["metadata"]["annotations"].items()
    mounted = [volume["hostPath"]["path"] for volume in spec["volumes"] if "hostPath" in volume]
    assert mounted == site.get("hostMounts", [])
    assert f"--dtype {profile['spec']['serving']['dtype'].lower()}" in " ".join(container["args"])


def test_each_kind_of_site_has_its_profile() -> None:
    """What the page promises; without it an empty list of profiles would pass."""
    resources = {profile["spec"]["accelerator"]["resourceName"] for profile in PROFILES}
    assert {"example.com/npu", "huawei.com/ascend-1980", "huawei.com/Ascend310P-4c.3cpu"} <= resources
    pods = [profile["spec"]["pod"] for profile in PROFILES]
    for field in ("runtimeClassName", "schedulerName", "labels", "annotations"):
        assert any(field in pod for pod in pods), field
    assert any("slice" in profile["spec"]["accelerator"] for profile in PROFILES)
    assert any("imagePullSecrets" in profile["spec"]["runtime"] for profile in PROFILES)


def test_a_root_that_is_read_only_leaves_the_server_one_place_to_write() -> None:
    site = next(one for one in PROFILES if one["metadata"]["name"] == "ascend-910b-runtime")
    work = {"name": "ASCEND_WORK_PATH", "value": "/tmp/ascend"}
    pod = site["spec"]["pod"] | {"readOnlyRootFilesystem": True, "env": [work]}
    template = pod_of(site | {"spec": site["spec"] | {"pod": pod}})
    (container,) = template["spec"]["containers"]
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
    assert {"name": "HOME", "value": "/tmp"} in container["env"]
    assert work in container["env"]
    writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert sorted(writable) == ["/dev/shm", "/tmp", "/var/run/embedding-operator"]


def test_without_that_word_nothing_is_mounted_over_what_the_image_has() -> None:
    (container,) = pod_of(PROFILES[0])["spec"]["containers"]
    assert "/tmp" not in [mount["mountPath"] for mount in container["volumeMounts"]]
    assert "HOME" not in [variable["name"] for variable in container["env"]]
