"""`spec.runtime.podTemplate`: what is merged how, and what is refused with what to write instead."""

import copy
from typing import Any

import pytest

from embedding_operator.planning import podtemplate
from tests.unit.planning import given

JsonObject = dict[str, Any]


def planned(staged: bool = True, **template: Any) -> Any:
    service = given.service(runtime={"profile": "ascend-910b", "podTemplate": template})
    return given.plan(service, given.seen(cache=given.cache(staged=staged)))


def pod(**template: Any) -> JsonObject:
    made: JsonObject = given.child(planned(**template), "Deployment")["spec"]["template"]
    return made


PLAIN = given.child(given.plan(given.service(), given.seen(cache=given.cache())), "Deployment")["spec"]["template"]


def server(template: JsonObject) -> JsonObject:
    (found,) = [one for one in template["spec"]["containers"] if one["name"] == "vllm"]
    return found  # type: ignore[no-any-return]


def named(entries: list[JsonObject], key: str = "name") -> list[str]:
    return [entry[key] for entry in entries]


def test_without_it_the_pod_is_as_it_was() -> None:
    made = pod()
    for one in (made, (plain := copy.deepcopy(PLAIN))):
        del one["metadata"]["annotations"]["embedding-operator.io/revision"]
    assert made == plain


def test_metadata_is_added_to() -> None:
    made = pod(metadata={"labels": {"mesh": "on"}, "annotations": {"mesh.example.com/port": "8000"}})["metadata"]
    assert made["labels"] == PLAIN["metadata"]["labels"] | {"mesh": "on"}
    assert made["annotations"]["mesh.example.com/port"] == "8000"
    assert made["annotations"].keys() > PLAIN["metadata"]["annotations"].keys()


def test_objects_are_merged_field_by_field_and_the_rest_is_replaced() -> None:
    made = pod(
        spec={"securityContext": {"fsGroup": 7}, "runtimeClassName": "kata", "hostAliases": [{"ip": "10.0.0.1"}]}
    )
    assert made["spec"]["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}, "fsGroup": 7}
    assert made["spec"]["runtimeClassName"] == "kata"
    assert made["spec"]["hostAliases"] == [{"ip": "10.0.0.1"}]
    assert made["spec"]["volumes"] == PLAIN["spec"]["volumes"]


def test_the_servers_container_is_met_by_its_name_and_others_come_after_it() -> None:
    sidecar = {"name": "agent", "image": "example.com/agent:1"}
    container = {"name": "vllm", "securityContext": {"readOnlyRootFilesystem": True}, "stdin": True}
    made = pod(spec={"containers": [sidecar, container], "initContainers": [sidecar]})
    assert named(made["spec"]["containers"]) == ["vllm", "agent"]
    assert made["spec"]["containers"][1] == made["spec"]["initContainers"][0] == sidecar
    assert server(made)["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
    assert server(made)["args"] == server(PLAIN)["args"]


def test_entries_of_lists_are_met_by_their_keys() -> None:
    secret = {"name": "OMP_NUM_THREADS", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    volume = {"name": "scratch", "emptyDir": {}}
    mount = {"name": "scratch", "mountPath": "/tmp"}
    offline = {"name": "HF_HUB_OFFLINE", "value": "0"}
    made = pod(
        spec={
            "containers": [{"name": "vllm", "env": [secret, offline], "volumeMounts": [mount]}],
            "volumes": [volume],
        }
    )
    assert named(server(made)["env"]) == [*named(server(PLAIN)["env"]), "OMP_NUM_THREADS"]
    assert offline in server(made)["env"]
    assert server(made)["env"][-1] == secret
    assert made["spec"]["volumes"] == [*PLAIN["spec"]["volumes"], volume]
    assert server(made)["volumeMounts"] == [*server(PLAIN)["volumeMounts"], mount]


def test_a_probe_may_be_slower_and_asks_the_same() -> None:
    made = pod(spec={"containers": [{"name": "vllm", "livenessProbe": {"failureThreshold": 30}}]})
    assert server(made)["livenessProbe"] == server(PLAIN)["livenessProbe"] | {"failureThreshold": 30}


def test_what_is_nested_deeper_than_the_pod_is_passed_on() -> None:
    deep: JsonObject = {}
    for _ in range(100_000):
        deep = {"a": deep}
    made = podtemplate.merged(PLAIN, {"spec": {"hostAliases": deep, "securityContext": {"x": deep}}})
    assert made["spec"]["hostAliases"] is made["spec"]["securityContext"]["x"] is deep
    while deep:  # or Python itself would take it apart too deep
        deep = deep.pop("a")


def vllm(**container: Any) -> JsonObject:
    return {"containers": [{"name": "vllm"} | container]}


SERVER = "spec.containers[vllm]"


@pytest.mark.parametrize(
    ("spec", "where", "instead"),
    [
        ({"nodeSelector": {}}, "spec.nodeSelector", "write spec.scheduling.nodeSelector"),
        ({"tolerations": []}, "spec.tolerations", "write spec.scheduling.tolerations"),
        ({"affinity": {}}, "spec.affinity", "write spec.scheduling.affinity"),
        (
            {"topologySpreadConstraints": []},
            "spec.topologySpreadConstraints",
            "write spec.scheduling.topologySpread",
        ),
        ({"priorityClassName": ""}, "spec.priorityClassName", "write spec.scheduling.priorityClassName"),
        ({"schedulerName": ""}, "spec.schedulerName", "write spec.scheduling.schedulerName"),
        ({"imagePullSecrets": []}, "spec.imagePullSecrets", "write spec.runtime.imagePullSecrets"),
        (
            {"terminationGracePeriodSeconds": 1},
            "spec.terminationGracePeriodSeconds",
            "write spec.rollout.drainTimeout",
        ),
        ({"enableServiceLinks": True}, "spec.enableServiceLinks", "leave it out"),
        ({"ephemeralContainers": []}, "spec.ephemeralContainers", "leave it out"),
        ({"volumes": [{"name": "weights"}]}, "spec.volumes[weights]", "choose another name"),
        ({"volumes": [{"name": "host-0"}]}, "spec.volumes[host-0]", "choose another name"),
        (vllm(image="x"), f"{SERVER}.image", "write spec.runtime.image"),
        (vllm(command=[]), f"{SERVER}.command", "leave it out"),
        (vllm(args=[]), f"{SERVER}.args", "write spec.runtime.args"),
        (vllm(resources={}), f"{SERVER}.resources", "write spec.runtime.resources"),
        (vllm(ports=[]), f"{SERVER}.ports", "leave it out"),
        (vllm(startupProbe={"exec": {}}), f"{SERVER}.startupProbe.exec", "leave it out"),
        (vllm(readinessProbe={"grpc": {}}), f"{SERVER}.readinessProbe.grpc", "leave it out"),
        (vllm(lifecycle={"preStop": {}}), f"{SERVER}.lifecycle.preStop", "leave it out"),
        (
            vllm(env=[{"name": "EMBEDDING_OPERATOR_X"}]),
            f"{SERVER}.env[EMBEDDING_OPERATOR_X]",
            "leave it out",
        ),
        (
            vllm(volumeMounts=[{"name": "v", "mountPath": "/dev"}]),
            f"{SERVER}.volumeMounts[/dev]",
            "mount it elsewhere, /dev/shm is mounted there",
        ),
        (
            vllm(volumeMounts=[{"name": "v", "mountPath": "/dev/shm/x/"}]),
            f"{SERVER}.volumeMounts[/dev/shm/x/]",
            "mount it elsewhere, /dev/shm is mounted there",
        ),
    ],
)
def test_what_is_the_operators_is_refused_with_what_to_write_instead(
    spec: JsonObject, where: str, instead: str
) -> None:
    expected = f"spec.runtime.podTemplate.{where} is the operator's: {instead}"
    for staged in (True, False):  # and not only after an hour of staging
        assert given.conditions(planned(staged, spec=spec))["Stalled"][1:] == ("InvalidSpec", expected)


@pytest.mark.parametrize("group", ["labels", "annotations"])
@pytest.mark.parametrize("key", ["embedding-operator.io/service", "app.kubernetes.io/name"])
def test_the_operators_own_metadata_is_refused(group: str, key: str) -> None:
    """As the schema does, for objects that were stored before it."""
    told = given.conditions(planned(metadata={group: {key: "x"}}))["Stalled"][2]
    assert told == f"spec.runtime.podTemplate.metadata.{group}[{key}] is the operator's: write others"


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"containers": {}}, ".containers must be a list of objects"),
        ({"containers": ["x"]}, ".containers must be a list of objects"),
        ({"containers": [{"image": "x"}]}, ".containers[0] must have a name"),
        ({"volumes": [{"name": 1}]}, ".volumes[0] must have a name"),
        ({"securityContext": 1}, ".securityContext must be an object"),
        ({"securityContext": None}, ".securityContext is null, but a merge takes nothing away: write a value"),
        (
            {"containers": [{"name": "vllm", "stdin": True}, {"name": "vllm", "tty": True}]},
            ".containers[vllm] is written twice: write one with all that is wanted",
        ),
        (
            vllm(env=[{"name": "HF_HUB_OFFLINE", "value": "0"}, {"name": "HF_HUB_OFFLINE", "value": "1"}]),
            ".containers[vllm].env[HF_HUB_OFFLINE] is written twice: write one with all that is wanted",
        ),
        (vllm(lifecycle=[1]), ".containers[vllm].lifecycle must be an object"),
        (vllm(volumeMounts=[{"name": "v"}]), ".containers[vllm].volumeMounts[0] must have a mountPath"),
    ],
)
def test_what_cannot_be_merged_says_where(spec: JsonObject, problem: str) -> None:
    told = given.conditions(planned(spec=spec))["Stalled"]
    assert told[1:] == ("InvalidSpec", f"spec.runtime.podTemplate.spec{problem}")


def test_all_that_is_set_is_said_by_name() -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": vllm(stdin=True, env=[{"name": "X", "value": "1"}])}
    assert list(podtemplate.said(template)) == [
        ("metadata.labels.a", "b"),
        ("spec.containers[vllm].stdin", True),
        ("spec.containers[vllm].env[X].value", "1"),
    ]
