"""The chart as Helm renders it, read as strictly as the strictest of those who apply it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import yaml

from charts.manifests import CHART
from tests.cluster.binaries import ensure_binaries

Object = dict[str, Any]


class Strict(yaml.SafeLoader):
    """Refuses a key that is there twice, of which Helm and kubectl would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            raise ValueError(f"twice in one map: {', '.join(twice)}{node.start_mark}")
        return super().construct_mapping(node, deep)


def render(release: str = "embedding-operator", namespace: str = "default", **values: Any) -> list[Object]:
    """The objects of the chart with those values; ValueError with what Helm complains of."""
    helm = ensure_binaries(["helm"])["helm"]
    done = subprocess.run(
        [helm, "template", release, CHART, "--namespace", namespace, "--values", "-"],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ValueError(done.stderr)
    return [document for document in yaml.load_all(done.stdout, Strict) if document]


def only(objects: list[Object], kind: str) -> Object:
    """The one object of that kind."""
    [found] = [item for item in objects if item["kind"] == kind]
    return found


def container(objects: list[Object]) -> Object:
    """The operator's container."""
    [found] = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(found)
