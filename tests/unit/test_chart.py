"""The chart's files agree with the rest of the repository, and its rights are the least."""

import json
import re
import tomllib
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from charts.manifests import CHART, CHART_CRDS, CRDS, INSTALL, REPOSITORY, chart_crd, chart_crds

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
    copy = chart_crd("x.yaml", "kind: X\nmetadata:\n  name: x\nspec:\n  description: write {{ this }}\n")
    assert 'write {{ "{{" }} this }}' in copy


def test_a_crd_with_annotations_of_its_own_is_refused() -> None:
    with pytest.raises(ValueError, match=r"crds/x\.yaml: expected one metadata without annotations"):
        chart_crd("x.yaml", "kind: X\nmetadata:\n  annotations:\n    a: b\n  name: x\nspec: {}\n")


def test_the_versions_are_the_projects() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert (chart["version"], chart["appVersion"]) == (version, version)


def test_the_default_values_pass_their_schema_and_are_all_in_it() -> None:
    Draft7Validator.check_schema(SCHEMA)
    assert list(Draft7Validator(SCHEMA).iter_errors(VALUES)) == []
    assert set(SCHEMA["properties"]) - {"global"} == set(VALUES)


@pytest.mark.parametrize(
    "values",
    [
        {"replica": 1},
        {"replicas": "two"},
        {"image": {"name": "x"}},
        {"image": {"tag": "latest"}},
        {"image": {"digest": "sha256:short"}},
        {"watchNamespaces": "search"},
        {"watchNamespaces": ["Not_A_Name"]},
        {"logLevel": "loud"},
        {"staging": {"env": {"NO SPACE": "x"}}},
        {"staging": {"env": {"NUMBER": 1}}},
        {"staging": {"proxy": {"https": "http://user:password@proxy:3128"}}},
        {"staging": {"proxy": {"https": "proxy:3128"}}},
        {"staging": {"proxy": {"https": "https://proxy:3128"}}},
        {"staging": {"proxy": {"secret": "site-proxy"}}},
        {"staging": {"env": {"HTTPS_PROXY": "http://user:password@proxy:3128"}}},
        {"staging": {"env": {"http_proxy": "http://user:password@proxy:3128"}}},
        {"staging": {"endpoints": {"s3": "s3.example.com"}}},
        {"staging": {"caBundle": {"configMap": "Company"}}},
        {"staging": {"bytesPerSecond": "fast"}},
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
