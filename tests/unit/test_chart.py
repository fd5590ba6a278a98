"""The chart's files agree with the rest of the repository, and its rights are the least."""

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from charts import valuestable
from charts.manifests import (
    CHART,
    CHART_CRDS,
    CRDS,
    INSTALL,
    README,
    REPOSITORY,
    VALUES_SCHEMA,
    chart_crd,
    chart_crds,
    readme,
    values_schema,
)
from charts.profileschema import json_schema
from embedding_operator.planning.flags import SERVER_PORT
from embedding_operator.planning.profiles import BUILT_IN
from embedding_operator.planning.stagejob import PROGRESS_PORT
from tests.cluster.sources import OTHER_KUBERNETES_VERSIONS

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())


def test_the_crds_are_copies() -> None:
    assert {path.name: path.read_text() for path in CHART_CRDS.glob("*.yaml")} == chart_crds(), "run `make manifests`"


def test_a_copy_differs_by_the_switch_and_the_wish_to_be_kept_only() -> None:
    for path in CRDS.glob("*.yaml"):
        body = re.sub(r"^\s*\{\{-.*\}\}\n", "", chart_crd(path.name, path.read_text()), flags=re.M)
        copy, original = yaml.safe_load(body), yaml.safe_load(path.read_text())
        assert copy["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
        assert copy == original


def test_what_looks_like_a_template_in_a_description_stays_text() -> None:
    crd = "kind: X\nmetadata:\n  name: x\n  labels:\n    a: b\nspec:\n  description: write {{ this }}\n"
    copy = chart_crd("x.yaml", crd)
    assert 'write {{ "{{" }} this }}' in copy


@pytest.mark.parametrize("metadata", ["annotations:\n    a: b\n  name: x\n  labels:\n    a: b", "name: x"])
def test_a_crd_whose_metadata_the_chart_cannot_add_to_is_refused(metadata: str) -> None:
    with pytest.raises(ValueError, match=r"crds/x\.yaml: expected one metadata, its labels last and no annotations"):
        chart_crd("x.yaml", f"kind: X\nmetadata:\n  {metadata}\nspec:\n  a: b\n")


def test_the_versions_are_the_projects() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert (chart["version"], chart["appVersion"]) == (version, version)


def test_the_oldest_kubernetes_that_helm_lets_through_is_the_oldest_that_was_run() -> None:
    oldest = min(OTHER_KUBERNETES_VERSIONS, key=lambda version: [*map(int, version.split("."))])
    minor = oldest.rpartition(".")[0]
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"] == f">={minor}.0-0"
    assert f"- Kubernetes {minor} or newer:" in (REPOSITORY / "docs/administrators.md").read_text()


def test_the_default_values_pass_their_schema_and_are_all_in_it() -> None:
    Draft7Validator.check_schema(SCHEMA)
    assert list(Draft7Validator(SCHEMA).iter_errors(VALUES)) == []
    assert set(SCHEMA["properties"]) - {"global"} == set(VALUES)
    assert list(named(VALUES, SCHEMA)) == []


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref", "").removeprefix("#/definitions/")
    return SCHEMA["definitions"][reference] if reference else schema


def named(values: dict[str, Any], schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """The properties that the schema has and values.yaml has not."""
    for name, below in resolved(schema).get("properties", {}).items():
        if name not in values and path not in AS_ONE and name != "global":
            yield f"{path}{name}"
        elif isinstance(values.get(name), dict):
            yield from named(values[name], below, f"{path}{name}.")


AS_ONE = ("podSecurityContext.", "livenessProbe.", "readinessProbe.", "affinity.", "resources.")  # Kubernetes' own


def objects(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """All schemas of objects, with their places."""
    if "object" in (schema.get("type") or ()):
        yield path, schema
    for name, below in {**schema.get("properties", {}), **schema.get("definitions", {})}.items():
        yield from objects(below, f"{path}/{name}")
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            yield from objects(schema[word], f"{path}/{word}")


# Kubernetes' own types, which the API server checks; what another chart says to all of its parts
OPEN = {
    "/global",
    "/networkPolicy/ingressFrom/items/podSelector",
    "/networkPolicy/ingressFrom/items/namespaceSelector",
    "/networkPolicy/ingressFrom/items/ipBlock",
    "/affinity/nodeAffinity",
    "/affinity/podAffinity",
    "/affinity/podAntiAffinity",
    "/topologySpreadConstraints/items/labelSelector",
    "/podSecurityContext/seccompProfile",
    "/podSecurityContext/appArmorProfile",
    "/podSecurityContext/seLinuxOptions",
    "/extraEnv/items/valueFrom",
}


def test_no_unknown_name_is_let_through_anywhere() -> None:
    assert {path for path, schema in objects(SCHEMA) if "additionalProperties" not in schema} == OPEN


def test_the_schema_of_profiles_is_the_crds() -> None:
    assert VALUES_SCHEMA.read_text() == values_schema(), "run `make manifests`"
    profile = Draft7Validator(SCHEMA["definitions"]["profile"])
    for one in BUILT_IN:
        assert list(profile.iter_errors(one["spec"])) == []


def test_what_a_crd_says_is_said_as_json_schema() -> None:
    quantity = {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}], "pattern": "^[0-9]+$"}
    crd = {
        "type": "object",
        "description": "of two\n  lines",
        "required": ["cpu"],
        "properties": {"cpu": quantity, "env": {"type": "array", "items": {"type": "object", "properties": {}}}},
        "x-kubernetes-validations": [{"rule": "true"}],
    }
    assert json_schema(crd) == {
        "type": "object",
        "description": "of two lines",
        "required": ["cpu"],
        "properties": {
            "cpu": {"type": ["integer", "string"], "pattern": "^[0-9]+$"},
            "env": {"type": "array", "items": {"type": "object", "properties": {}, "additionalProperties": False}},
        },
        "additionalProperties": False,
    }


def test_every_value_is_in_the_charts_page() -> None:
    assert README.read_text() == readme(), "run `make manifests`"


def test_a_value_that_nothing_is_said_of_is_refused() -> None:
    with pytest.raises(ValueError, match=r"values\.yaml: image\.tag has no comment above it"):
        valuestable.table("image:\n  # where\n  repository: x\n  tag: y\n")


def test_what_is_explained_as_a_whole_is_one_row() -> None:
    values = (
        "# both\nboth:\n  a: 1\n  b: {c: x}\n# of all\ngroup:\n  # this | that\n  one: ''\n  # flow\n  two: {d: [1]}\n"
    )
    assert valuestable.table(values).splitlines()[2:] == [
        "| `both` | `{a: 1, b: {c: x}}` | both |",
        "| `group.one` |  | this \\| that |",
        "| `group.two` | `{d: [1]}` | flow |",
    ]


def test_the_network_policy_names_the_ports_of_the_pods() -> None:
    text = (CHART / "templates/networkpolicy.yaml").read_text()
    assert f"port: {SERVER_PORT}}}" in text
    assert f"port: {PROGRESS_PORT}}}" in text


@pytest.mark.parametrize(
    "values",
    [
        {"replica": 1},
        {"replicas": "two"},
        {"image": {"name": "x"}},
        {"image": {"tag": "latest"}},
        {"image": {"repository": "registry:5000/embedding-operator:1.0"}},  # a tag would come after the tag
        {"image": {"digest": "sha256:short"}},
        {"watchNamespaces": "search"},
        {"watchNamespaces": ["Not_A_Name"]},
        {"logLevel": "loud"},
        {"staging": {"env": {"NO SPACE": "x"}}},
        {"staging": {"env": {"NUMBER": 1}}},
        {"staging": {"env": {"HTTPS_PROXY": 1}}},
        {"staging": {"proxy": {"https": "http://user:password@proxy:3128"}}},
        {"staging": {"proxy": {"https": "proxy:3128"}}},
        {"staging": {"proxy": {"https": "https://proxy:3128"}}},
        {"staging": {"proxy": {"secret": "site-proxy"}}},
        {"staging": {"env": {"HTTPS_PROXY": "http://user:password@proxy:3128"}}},
        {"staging": {"env": {"http_proxy": "http://user:password@proxy:3128"}}},
        {"staging": {"endpoints": {"s3": "s3.example.com"}}},
        {"staging": {"caBundle": {"configMap": "Company"}}},
        {"staging": {"bytesPerSecond": "fast"}},
        {"profiles": {"gold": {"accelerator": {"type": "Ascend"}}}},
        {"profiles": {"gold": BUILT_IN[0]["spec"] | {"nodeSelector": {}}}},
        {"profiles": {"Gold": BUILT_IN[0]["spec"]}},
        {"labels": {"app.kubernetes.io/name": "mine"}},
        {"labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},  # the operator's own role would be, too
        {"annotations": {"helm.sh/hook": "pre-install"}},
        {"tolerations": [{"key": "a", "operator": "exists"}]},
        {"topologySpreadConstraints": [{"topologyKey": "zone"}]},
        {"updateStrategy": {"rollingUpdate": {"maxSurge": "one"}}},
        {"networkPolicy": {"apiServer": {"cidrs": ["10.0.0.1"]}}},
        {"fullnameOverride": "1234"},  # no name of a Service, of the metrics
        {"extraArgs": ["run"]},
        {"logFormat": "yaml"},
        {"monitoring": {"podMonitor": {"interval": "often"}}},
        {"monitoring": {"serviceMonitor": {"port": 8080}}},
        {"monitoring": {"prometheusRule": {"runbooks": "a page#with-an-anchor"}}},
        {"dashboards": {"labels": {"grafana_dashboard": 1}}},
    ],
    ids=str,
)
def test_wrong_values_are_refused(values: dict[str, Any]) -> None:
    assert list(Draft7Validator(SCHEMA).iter_errors(values)) != []


def test_every_value_is_used() -> None:
    templates = "\n".join(path.read_text() for path in CHART.rglob("*") if path.suffix in (".yaml", ".tpl", ".txt"))
    unused = [name for name in VALUES if f".Values.{name}" not in templates]
    assert unused == []


def test_the_rights_are_listed_one_by_one() -> None:
    roles = [doc for doc in yaml.safe_load_all(INSTALL.read_text()) if doc and doc["kind"] in ("Role", "ClusterRole")]
    rules = [rule for role in roles for rule in role["rules"]]
    words = {word for rule in rules for field in rule.values() for word in field}
    assert "*" not in words
    assert not words & {"secrets", "nodes", "pods/exec", "namespaces", "serviceaccounts", "escalate", "impersonate"}
    writable = {"create", "update", "patch", "delete"}
    assert not [rule for rule in rules if "pods" in rule["resources"] and writable & set(rule["verbs"])]
    assert not [rule for rule in rules if "persistentvolumeclaims" in rule["resources"] and "delete" in rule["verbs"]]


def test_install_yaml_holds_no_object_of_our_own_kinds() -> None:
    docs = [doc for doc in yaml.safe_load_all(INSTALL.read_text()) if doc]
    assert [doc["kind"] for doc in docs if doc["apiVersion"].startswith("embedding-operator.io")] == []
    assert docs[0]["kind"] == "Namespace"
    assert sum(doc["kind"] == "CustomResourceDefinition" for doc in docs) == len(list(CRDS.glob("*.yaml")))
