"""Helm renders the chart, what it is told reaches the operator, and a real API server takes it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts.manifests import CHART, INSTALL, NAMESPACE, NAMESPACE_MANIFEST, install_manifest
from embedding_operator import cli
from embedding_operator.planning.profiles import CPU
from tests.chart import Strict, container, only, render
from tests.cluster.binaries import ensure_binaries
from tests.cluster.controlplane import ControlPlane


@pytest.fixture(scope="module")
def helm() -> Path:
    return ensure_binaries(["helm"])["helm"]


def test_lint_finds_nothing(helm: Path) -> None:
    done = subprocess.run([helm, "lint", "--strict", CHART], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_install_yaml_is_current(helm: Path) -> None:
    assert INSTALL.read_text() == install_manifest(helm), "run `make manifests`"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"replica": 1}, "additional properties 'replica' not allowed"),
        ({"image": {"tag": "latest"}}, "at '/image/tag'"),
        ({"profiles": {"gold": {"runtimes": {}}}}, "at '/profiles/gold'"),
        ({"profiles": {"Gold": CPU["spec"]}}, "at '/profiles': additional properties 'Gold' not allowed"),
        ({"podLabels": {"app.kubernetes.io/name": "x"}}, "at '/podLabels/app.kubernetes.io~1name'"),
        ({"annotations": {"helm.sh/hook": "x"}}, "at '/annotations/helm.sh~1hook'"),
        ({"staging": {"env": {"NO SPACE": "x"}}}, "at '/staging/env': additional properties 'NO SPACE' not allowed"),
        ({"defaultProfile": "gold"}, "defaultProfile: gold is none of the profiles in these values"),
        ({"serviceAccount": {"create": False}}, "serviceAccount.name: name the existing ServiceAccount"),
    ],
)
def test_wrong_values_are_refused_with_their_place(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        render(**values)


def test_the_operator_understands_its_arguments() -> None:
    objects = render(
        namespace="platform",
        watchNamespaces=["search", "ads"],
        logLevel="debug",
        staging={
            "env": {"NOTE": "with 'quotes' and \"more\""},
            "proxy": {"https": "http://proxy:3128", "noProxy": ".svc,10.0.0.0/8"},
            "endpoints": {"modelScope": "https://ms.example.com", "s3": "https://s3.example.com"},
            "caBundle": {"configMap": "company-ca"},
            "bytesPerSecond": "100Mi",
        },
    )
    arguments = cli.parsed(container(objects)["args"])
    assert arguments.namespace == ["search", "ads"]
    assert arguments.lease_name == "embedding-operator"  # in the pod's namespace: nothing else is said of it
    assert "--lease-namespace" not in str(container(objects)["args"])
    variables = {one["name"]: one for one in container(objects)["env"]}
    assert variables["POD_NAMESPACE"]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.namespace"}}
    assert arguments.log_level == "debug"
    assert dict(arguments.staging_env) == {
        "HTTPS_PROXY": "http://proxy:3128",
        "NO_PROXY": ".svc,10.0.0.0/8",
        "MODELSCOPE_ENDPOINT": "https://ms.example.com",
        "AWS_ENDPOINT_URL_S3": "https://s3.example.com",
        "NOTE": "with 'quotes' and \"more\"",
    }
    assert arguments.staging_ca_bundle == ("company-ca", "ca.crt")
    assert arguments.staging_bytes_per_second == 100 * 2**20


def test_a_proxy_with_a_password_is_named_by_its_secret() -> None:
    objects = render(staging={"proxy": {"secret": {"name": "site-proxy"}, "noProxy": ".svc"}})
    arguments = cli.parsed(container(objects)["args"])
    assert arguments.staging_proxy_secret == ("site-proxy", "proxy")
    assert arguments.staging_env == [("NO_PROXY", ".svc")]


def test_nothing_is_said_of_the_network_by_default() -> None:
    assert [argument for argument in container(render())["args"] if argument.startswith("--staging")] == []


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({}, "docker.io/embedding-operator/operator:0.1.0"),
        ({"repository": "mirror/op", "tag": "1.2.3"}, "mirror/op:1.2.3"),
        ({"repository": "mirror/op", "tag": "1.2.3", "digest": f"sha256:{'a' * 64}"}, f"mirror/op@sha256:{'a' * 64}"),
    ],
)
def test_staging_jobs_run_the_operators_own_image(image: dict[str, str], expected: str) -> None:
    operator = container(render(image=image))
    assert operator["image"] == expected
    assert {"name": "OPERATOR_IMAGE", "value": expected} in operator["env"]


def test_a_disruption_budget_needs_more_than_one_replica() -> None:
    assert "PodDisruptionBudget" in {item["kind"] for item in render(replicas=2)}
    assert "PodDisruptionBudget" not in {item["kind"] for item in render(replicas=1)}
    assert "PodDisruptionBudget" not in {item["kind"] for item in render(podDisruptionBudget={"enabled": False})}


def test_crds_can_be_left_to_another_pipeline() -> None:
    assert "CustomResourceDefinition" not in {item["kind"] for item in render(crds={"install": False})}
    kept = [item for item in render() if item["kind"] == "CustomResourceDefinition"]
    assert {item["metadata"]["annotations"]["helm.sh/resource-policy"] for item in kept} == {"keep"}
    dropped = [item for item in render(crds={"keep": False}) if item["kind"] == "CustomResourceDefinition"]
    assert not any("annotations" in item["metadata"] for item in dropped)


def test_a_value_that_is_taken_out_leaves_no_trace() -> None:
    taken = ("annotations", "labels", "livenessProbe", "readinessProbe", "watchNamespaces")
    nothing: dict[str, Any] = dict.fromkeys(taken)
    rule = {"enabled": True, "runbooks": None}
    dashboards = {"enabled": True, "labels": {"grafana_dashboard": None}}
    objects = render(**nothing, podLabels={"a": "b"}, dashboards=dashboards, monitoring={"prometheusRule": rule})
    (first, *_) = only(objects, "PrometheusRule")["spec"]["groups"][0]["rules"]
    assert first["annotations"]["runbook_url"].startswith("docs/monitoring.md#")
    assert container(objects)["livenessProbe"] == {"httpGet": {"path": "/healthz", "port": "health"}}
    assert not any(
        "annotations" in one["metadata"] for one in objects if one["kind"] in ("ConfigMap", "ServiceAccount")
    )


def test_a_strategy_without_a_rolling_update_has_no_settings_of_one() -> None:
    assert only(render(updateStrategy={"type": "Recreate"}), "Deployment")["spec"]["strategy"] == {"type": "Recreate"}


def test_a_key_that_is_there_twice_would_be_seen() -> None:
    with pytest.raises(ValueError, match=r"twice in one map: a"):
        yaml.load("b: {a: 1, c: 2, a: 3}", Strict)


def metadata_of(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found = {f"{one['kind']}/{one['metadata']['name']}": one["metadata"] for one in objects}
    return found | {"the pods": only(objects, "Deployment")["spec"]["template"]["metadata"]}


EVERYTHING: dict[str, Any] = {
    "imagePullSecrets": [{"name": "registry"}],
    "profiles": {"gold": CPU["spec"]},
    "defaultProfile": "gold",
    "networkPolicy": {
        "enabled": True,
        "ingressFrom": [{"namespaceSelector": {"matchLabels": {"team": "monitoring"}}}],
        "apiServer": {"cidrs": ["10.0.0.10/32"]},
        "extraEgress": [{"ports": [{"port": 4317}], "to": [{"namespaceSelector": {}}]}],
    },
    "serviceAccount": {"annotations": {"team": "b", "role": "x"}},
    "labels": {"cost-centre": "42"},
    "annotations": {"team": "a"},
    "podLabels": {"cost-centre": "43", "mesh": "off"},
    "podAnnotations": {"note": "1"},
    "nodeSelector": {"pool": "system"},
    "tolerations": [{"key": "system", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {"nodeAffinity": {}},
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"},
        {"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {}},
    ],
    "priorityClassName": "system-cluster-critical",
    "updateStrategy": {"type": "Recreate", "rollingUpdate": None},
    "revisionHistoryLimit": 0,
    "podSecurityContext": {"runAsUser": None, "runAsGroup": None},
    "livenessProbe": {"periodSeconds": 30},
    "extraArgs": ["--workers=32"],
    "extraEnv": [{"name": "TZ", "value": "Asia/Shanghai"}],
}


@pytest.mark.parametrize("watch", [[], ["watched"]], ids=["all namespaces", "one"])
def test_a_real_api_server_takes_every_value(control_plane: ControlPlane, watch: list[str]) -> None:
    namespace = f"everything-{len(watch)}"
    for name in [namespace, *watch]:
        control_plane.kubectl("create", "namespace", name)
    manifest = yaml.safe_dump_all(render(namespace=namespace, watchNamespaces=watch, **EVERYTHING))
    arguments = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-")
    control_plane.kubectl(*arguments, input=manifest)


def test_labels_and_annotations_are_on_every_object() -> None:
    for name, metadata in metadata_of(render(**EVERYTHING)).items():
        assert metadata["labels"]["cost-centre"] == "42", name
        assert name == "the pods" or metadata["annotations"]["team"] == ("b" if "ServiceAccount" in name else "a"), name
    assert metadata_of(render(**EVERYTHING))["the pods"]["labels"]["mesh"] == "off"


def test_what_is_said_of_the_pods_reaches_them() -> None:
    objects = render(**EVERYTHING)
    deployment = only(objects, "Deployment")["spec"]
    pod = deployment["template"]["spec"]
    assert deployment["strategy"] == {"type": "Recreate"}
    assert deployment["revisionHistoryLimit"] == 0
    zone, rack = pod["topologySpreadConstraints"]
    assert zone["labelSelector"]["matchLabels"] == deployment["selector"]["matchLabels"]
    assert rack["labelSelector"] == {}
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert (pod["priorityClassName"], pod["nodeSelector"]) == ("system-cluster-critical", {"pool": "system"})
    operator = container(objects)
    assert operator["livenessProbe"]["periodSeconds"] == 30
    assert operator["livenessProbe"]["timeoutSeconds"] == 5  # the others keep their defaults
    assert {"name": "TZ", "value": "Asia/Shanghai"} in operator["env"]
    assert cli.parsed(operator["args"]).workers == 32


def test_pods_are_spread_over_nodes_by_default() -> None:
    deployment = only(render(), "Deployment")["spec"]
    (spread,) = deployment["template"]["spec"]["topologySpreadConstraints"]
    assert spread["topologyKey"] == "kubernetes.io/hostname"
    assert spread["labelSelector"]["matchLabels"] == deployment["selector"]["matchLabels"]


def test_the_profiles_of_the_values_lie_where_the_operator_looks_for_them(tmp_path: Path) -> None:
    big = CPU["spec"] | {"pod": {"resourcesPerDevice": {"memory": 107374182400, "cpu": 4}}}
    objects = render(profiles={"gold": CPU["spec"], "silver": big}, defaultProfile="silver")
    files = only(objects, "ConfigMap")
    (volume,) = [
        one for one in only(objects, "Deployment")["spec"]["template"]["spec"]["volumes"] if "configMap" in one
    ]
    assert volume["configMap"] == {"name": files["metadata"]["name"], "optional": True}
    (mount,) = [one for one in container(objects)["volumeMounts"] if one["name"] == volume["name"]]
    assert cli.parsed(container(objects)["args"]).profiles == Path(mount["mountPath"])
    gold, silver = (yaml.safe_load(files["data"][name]) for name in ("gold.yaml", "silver.yaml"))
    assert (gold["kind"], gold["metadata"], gold["spec"]) == ("RuntimeProfile", {"name": "gold"}, CPU["spec"])
    assert silver["metadata"]["annotations"] == {"embedding-operator.io/default-profile": "true"}
    assert silver["spec"] == big


def test_without_profiles_there_is_no_config_map() -> None:
    assert "ConfigMap" not in {one["kind"] for one in render()}


def test_rights_can_be_left_to_somebody_else() -> None:
    assert not any("Role" in one["kind"] for one in render(rbac={"create": False}))


def test_all_objects_can_be_called_otherwise() -> None:
    objects = render("prod", fullnameOverride="embeddings")
    assert {one["metadata"]["name"] for one in objects if one["kind"] in ("Deployment", "ServiceAccount")} == {
        "embeddings"
    }
    assert cli.parsed(container(objects)["args"]).lease_name == "embeddings"


def test_a_real_api_server_takes_install_yaml(control_plane: ControlPlane) -> None:
    kubectl = control_plane.kubectl
    kubectl("apply", "-f", "-", input=NAMESPACE_MANIFEST)
    answer = kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", str(INSTALL))
    documents = [item for item in yaml.safe_load_all(INSTALL.read_text()) if item]
    assert len(answer.splitlines()) == len(documents)


def test_the_pod_is_admitted_where_only_restricted_ones_are(control_plane: ControlPlane) -> None:
    kubectl = control_plane.kubectl
    kubectl("apply", "-f", "-", input=NAMESPACE_MANIFEST)
    objects = render(namespace=NAMESPACE)
    kubectl("apply", "-f", "-", input=json.dumps(only(objects, "ServiceAccount")))
    template = only(objects, "Deployment")["spec"]["template"]
    pod = {**template, "apiVersion": "v1", "kind": "Pod"}
    pod["metadata"] = {**pod["metadata"], "name": "operator", "namespace": NAMESPACE}
    admitted = kubectl("create", "--dry-run=server", "-f", "-", "-o", "json", input=json.dumps(pod))
    assert json.loads(admitted)["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
