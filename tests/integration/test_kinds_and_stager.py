"""The schema on a real API server and the stager's own reading agree on every source: nobody is told in the pod,
minutes later, what the API server could have said at once.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from embedding_operator.staging.errors import StageError
from embedding_operator.staging.spec import parse_spec
from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.cluster.kubectl import Kubectl
from tests.integration.kinds import as_yaml, cache, install_kinds

HUB_FIELDS: dict[str, list[Any]] = {
    "repo": [
        "a/b", "_a/_b", "A.b-c_d/E.f-g_h", "a/b.", f"{'o' * 96}/{'n' * 96}", "x" * 97 + "/b", "a/" + "x" * 97, "a",
        "a/b/c", "a/..", "a..b/c", "-a/b", ".a/b", "a/.b", "ä/b", "a b/c", "a/b\n", "a/b@c",
    ],
    "revision": ["main", "v1.0", "feature/x", "v1+cu", "_x", "refs/pr/1", "1" * 40, "../x", "a..b", "-x", "a b",
                 "a@b", "ä"],
    "endpoint": [
        "https://hub.example.com", "http://hub:8080/", "https://hub.example.com/mirror", "ftp://hub.example.com", "hub",
        "https://user@hub.example.com", "https://u:p@hub.example.com", "https://hub.example.com/?a=b",
        "https://hub.example.com/#a",
    ],
    "include": [[], ["*.json"], [""], ["x" * 257]],
    "exclude": [[], ["*.json"], [""], ["x" * 257]],
}  # fmt: skip
SUM = "0123456789abcdef" * 4
URLS = [
    "https://files.example.com/a.tar.gz", "http://files:8080/a?download=true&x=%20", "https://files.example.com/ä",
    "ftp://files.example.com/a", "files.example.com/a", "https://u:p@files.example.com/a", "https://files.example.com/#a",
    "https://files.example.com/a b", "https:///a", "https://files.example.com/" + "a" * 1024,
]  # fmt: skip
FILE = {"path": "config.json", "url": URLS[0], "sha256": SUM}
PATHS = ["a", "a/b", "with space", "模型", "/a", "a//b", "..", "a/../b", "./a", "a\\b", "a\tb", "a\x7f"]
BASE: dict[str, dict[str, Any]] = {
    "modelScope": {"repo": "a/b"},
    "huggingFace": {"repo": "a/b"},
    "http": {"url": URLS[0], "sha256": SUM},
    "s3": {"bucket": "models"},
    "path": {"path": "a"},
}
FIELDS: dict[str, dict[str, list[Any]]] = {
    "modelScope": HUB_FIELDS,
    "huggingFace": HUB_FIELDS,
    "http": {
        "url": URLS,
        "sha256": ["f" * 64, "F" * 64, "f" * 63, "g" * 64],
        "files": [[], [FILE]],  # beside a url
    },
    "s3": {
        "bucket": ["models", "a.b-c", "ab", "Models", "models/", "-models", "m" * 64],
        "prefix": PATHS,
        "endpoint": HUB_FIELDS["endpoint"],
        "region": ["eu-central-1", "EU", "", "a" * 64],
        "addressingStyle": ["Path", "Virtual", "Auto"],
        "secretRef": [{"name": "s3"}, {}],
        "include": HUB_FIELDS["include"],
        "exclude": HUB_FIELDS["exclude"],
    },
    "path": {"path": PATHS},
}
TABLE = [
    pytest.param({kind: BASE[kind] | {field: value}}, id=f"{kind}-{field}-{str(value)[:30]!a}")
    for kind, fields in FIELDS.items()
    for field, values in fields.items()
    for value in values
] + [
    pytest.param({"http": {"files": files}}, id=f"http-files-{str(files)[:60]!a}")
    for files in (
        [],
        [FILE, FILE],
        [FILE, FILE | {"path": "other"}],
        *([FILE | {"path": path}] for path in [*PATHS, "manifest.json", "sub/manifest.json"]),
        *([FILE | {"url": address}] for address in URLS),
        [FILE | {"sha256": "F" * 64}],
        [{"path": "a", "url": URLS[0]}],
    )
]


@pytest.fixture(scope="module")
def kubectl(control_plane: ControlPlane) -> Kubectl:
    install_kinds(control_plane.kubectl)
    return control_plane.kubectl


def test_every_kind_of_source_is_in_the_table(kubectl: Kubectl) -> None:
    crd = json.loads(kubectl("get", "crd", "modelcaches.embedding-operator.io", "-o", "json"))
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert set(spec["properties"]["source"]["properties"]) == set(FIELDS)


@pytest.mark.parametrize("source", TABLE)
def test_what_the_schema_takes_is_what_the_stager_takes(kubectl: Kubectl, source: dict[str, Any]) -> None:
    assert by_the_schema(kubectl, source) == by_the_stager(source)


def by_the_schema(kubectl: Kubectl, source: dict[str, Any]) -> bool:
    try:
        kubectl("create", "--dry-run=server", "-f", "-", input=as_yaml(cache(source=source)))
    except ClusterError as error:
        if "is invalid" not in str(error):
            raise
        return False
    return True


def by_the_stager(source: dict[str, Any]) -> bool:
    try:
        parse_spec(json.dumps({"source": source, "root": "/cache"}))
    except StageError:
        return False
    return True
