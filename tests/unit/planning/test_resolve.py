"""What a service gets: its own words over its profile's over what is built in."""

from typing import Any

import pytest

from embedding_operator.api.conditions import Reason
from embedding_operator.api.profile import RuntimeProfile
from embedding_operator.api.service import EmbeddingService
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.profiles import ASCEND_910B, CPU
from embedding_operator.planning.resolve import Resolution, resolve
from tests.unit.planning import given

DIGEST = f"sha256:{'0' * 64}"


def resolved(profile: dict[str, Any] = ASCEND_910B, site: dict[str, Any] | None = None, **spec: Any) -> Resolution:
    """A service on a profile of which `site` replaces parts."""
    changed = profile["spec"] | {part: profile["spec"][part] | change for part, change in (site or {}).items()}
    service = EmbeddingService.from_dict(given.service(**spec))
    return resolve(service, RuntimeProfile.from_dict(profile | {"spec": changed}), given.cache().spec.source)


def refusal(**arguments: Any) -> tuple[str, str]:
    with pytest.raises(PlanError) as caught:
        resolved(**arguments)
    assert "\n" not in caught.value.message
    return str(caught.value.reason), caught.value.message


@pytest.mark.parametrize(
    ("tensor", "own", "requests", "limits"),
    [
        (1, {}, {"cpu": "22", "memory": "100Gi"}, {"memory": "100Gi"}),
        (4, {}, {"cpu": "88", "memory": "400Gi"}, {"memory": "400Gi"}),
        (1, {"requests": {"cpu": "8"}}, {"cpu": "8", "memory": "100Gi"}, {"memory": "100Gi"}),
        # more than the profile's limit: no limit is better than a pod that is refused
        (1, {"requests": {"memory": "200Gi"}}, {"cpu": "22", "memory": "200Gi"}, {}),
        (1, {"limits": {"memory": "200Gi"}}, {"cpu": "22", "memory": "100Gi"}, {"memory": "200Gi"}),
        # less than the profile's request: the request follows, else the pod would be refused
        (1, {"limits": {"memory": "32Gi"}}, {"cpu": "22", "memory": "32Gi"}, {"memory": "32Gi"}),
        (1, {"limits": {"cpu": 4}}, {"cpu": "4", "memory": "100Gi"}, {"memory": "100Gi", "cpu": "4"}),
        (1, {"limits": {"cpu": "22000m"}}, {"cpu": "22", "memory": "100Gi"}, {"memory": "100Gi", "cpu": "22000m"}),
        # what the service says of both is the service's affair
        (
            1,
            {"requests": {"cpu": "9"}, "limits": {"cpu": "8"}},
            {"cpu": "9", "memory": "100Gi"},
            {"memory": "100Gi", "cpu": "8"},
        ),
    ],
)
def test_resources_are_the_profiles_per_device_and_the_services_words_win(
    tensor: int, own: dict[str, Any], requests: dict[str, str], limits: dict[str, str]
) -> None:
    device = {"huawei.com/Ascend910": str(tensor)}
    got = resolved(parallelism={"tensor": tensor}, runtime={"resources": own}).resources
    assert got == {"requests": requests | device, "limits": limits | device}


def test_without_a_device_nothing_is_asked_of_a_device_plugin() -> None:
    got = resolved(CPU)
    assert got.resource_name is None
    assert got.resources == {"requests": {"cpu": "4", "memory": "8Gi"}, "limits": {"memory": "8Gi"}}


def test_a_profile_that_says_nothing_of_resources_leaves_them_out() -> None:
    assert resolved(CPU, {"pod": {"resourcesPerDevice": {}}}).resources == {}


@pytest.mark.parametrize(
    ("site", "runtime", "image", "version"),
    [
        ({}, {}, "quay.io/ascend/vllm-ascend:v0.23.0", "0.23.0"),
        ({}, {"version": "0.18.0"}, "quay.io/ascend/vllm-ascend:v0.18.0", "0.18.0"),
        ({"image": "example.com:5000/a:v0.23.0-a3"}, {"version": "0.18.0"}, "example.com:5000/a:v0.18.0-a3", "0.18.0"),
        ({"image": f"example.com/a@{DIGEST}"}, {}, f"example.com/a@{DIGEST}", "0.23.0"),
        ({"image": f"example.com/a@{DIGEST}"}, {"version": "0.23.0"}, f"example.com/a@{DIGEST}", "0.23.0"),
        ({}, {"image": "example.com/own:v0.18.0"}, "example.com/own:v0.18.0", "0.18.0"),
        ({}, {"image": "example.com/own:main", "version": "0.32.0"}, "example.com/own:main", "0.32.0"),
    ],
)
def test_the_image_and_its_version(site: dict[str, str], runtime: dict[str, str], image: str, version: str) -> None:
    got = resolved(site={"runtime": site}, runtime=runtime)
    assert (got.image, got.version) == (image, version)


def test_a_version_that_cannot_be_put_into_the_profiles_image_is_refused() -> None:
    """Else the pod would run another version than the one that its flags, and the status, are for."""
    reason, message = refusal(
        site={"runtime": {"image": f"example.com/a:v0.23.0@{DIGEST}"}}, runtime={"version": "0.18.0"}
    )
    assert reason == Reason.INVALID_SPEC
    assert message.endswith("write spec.runtime.image as well")


@pytest.mark.parametrize(
    ("site", "runtime", "reason", "where"),
    [
        ({}, {"version": "0.9.1"}, "InvalidSpec", "set spec.runtime.version to 0.11.0 or newer"),
        ({}, {"image": "example.com/a:v0.9.1"}, "InvalidSpec", "set spec.runtime.version to 0.11.0 or newer"),
        (
            {"version": "0.9.1"},
            {},
            "ProfileInvalid",
            "set runtime.version of RuntimeProfile ascend-910b to 0.11.0 or newer",
        ),
    ],
)
def test_a_version_that_is_too_old_is_refused_where_it_was_written(
    site: dict[str, str], runtime: dict[str, str], reason: str, where: str
) -> None:
    said = refusal(site={"runtime": site}, runtime=runtime)
    assert said[0] == reason
    assert where in said[1]


def test_an_accelerator_without_a_resource_is_the_profiles_mistake() -> None:
    reason, message = refusal(site={"accelerator": {"resourceName": None}})
    assert reason == Reason.PROFILE_INVALID
    assert "RuntimeProfile ascend-910b" in message


@pytest.mark.parametrize(("group", "field"), [("rollout", "drainTimeout"), ("serving", "maxConnectionAge")])
def test_what_is_no_duration_is_refused_with_its_field(group: str, field: str) -> None:
    reason, message = refusal(**{group: {field: "soon"}})
    assert reason == Reason.INVALID_SPEC
    assert message.startswith(f"spec.{group}.{field} must be a duration")


@pytest.mark.parametrize(
    ("site", "own", "reason", "message"),
    [
        ([], ["--task", "embed"], "InvalidSpec", "spec.runtime.args has --task, which vLLM 0.23.0 does not know"),
        ([], ["--disable_log_requests"], "InvalidSpec", "spec.runtime.args has --disable-log-requests"),
        ([], ["--no-trust-request-mm-kwargs"], "InvalidSpec", "(of the releases known here, 0.32.0, 0.33.0 do)"),
        (["--swap-space=4"], [], "ProfileInvalid", "serving.args of RuntimeProfile ascend-910b has --swap-space"),
    ],
)
def test_a_flag_that_the_version_lacks_is_refused_before_every_pod_ends_by_it(
    site: list[str], own: list[str], reason: str, message: str
) -> None:
    said = refusal(site={"serving": {"args": site}}, runtime={"args": own})
    assert said[0] == reason
    assert message in said[1]


@pytest.mark.parametrize(
    "args",
    [["--invented", "--task-force"], ["-tp", "2"], ["--hf-overrides.is_matryoshka", "true"], ["--seed=1", "--x y"]],
)
def test_a_flag_that_nobody_here_knows_is_the_services_affair(args: list[str]) -> None:
    assert resolved(runtime={"args": args}).extra_args == tuple(args)


def test_the_services_words_come_last_and_win() -> None:
    got = resolved(
        site={
            "serving": {"dtype": "Float16", "args": ["--a"]},
            "pod": {
                "env": [{"name": "A", "value": "site"}, {"name": "B"}],
                "nodeSelector": {"zone": "1", "chip": "910B"},
                "tolerations": [{"key": "npu", "operator": "Exists"}],
                "schedulerName": "volcano",
            },
            "runtime": {"imagePullSecrets": [{"name": "site"}]},
        },
        runtime={
            "args": ["--b"],
            "env": [{"name": "A", "value": "own"}],
            "imagePullSecrets": [{"name": "own"}],
        },
        serving={"dtype": "Auto"},
        scheduling={
            "nodeSelector": {"zone": "2"},
            "tolerations": [{"key": "npu", "operator": "Exists"}, {"key": "x", "operator": "Exists"}],
            "schedulerName": "mine",
        },
    )
    assert got.extra_args == ("--a", "--b")
    assert got.env == {"A": "own", "B": ""}
    assert got.pull_secrets == ("own",)
    assert got.dtype == "auto"
    assert got.node_selector == {"zone": "2", "chip": "910B"}
    assert [toleration["key"] for toleration in got.tolerations][:2] == ["npu", "x"]
    assert got.scheduler == "mine"
