"""The operator was uninstalled first: what its page tells an administrator to type lets its ModelCaches go."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

from tests.cluster.controlplane import ControlPlane
from tests.integration.kinds import as_yaml, cache, install_kinds

PAGE = Path(__file__).parents[2] / "docs" / "administrators.md"
OURS = "embedding-operator.io/cleanup"


def take_finalizers_off(control_plane: ControlPlane) -> None:
    """What the page tells an administrator to type."""
    (command,) = re.findall(r"```sh\n(kubectl get mcache -A .*?)```", PAGE.read_text(), re.DOTALL)
    path = f"{control_plane.kubectl.program.parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "KUBECONFIG": str(control_plane.kubeconfig)}
    subprocess.run(["sh", "-c", command], check=True, env=environment)


def test_our_finalizer_is_taken_off_all_caches_and_nobody_elses(control_plane: ControlPlane) -> None:
    kubectl = control_plane.kubectl
    install_kinds(kubectl)
    for namespace in ("left-a", "left-b"):
        kubectl("create", "namespace", namespace)
    finalizers = {
        ("left-a", "alone"): [OURS],
        ("left-a", "with-others"): ["example.com/first", OURS, "example.com/last"],
        ("left-b", "kept"): [],
        ("left-b", "others-only"): ["example.com/first"],
    }
    for (namespace, name), held in finalizers.items():
        one = cache()
        one["metadata"] = {"name": name, "namespace": namespace, "finalizers": held}
        kubectl("apply", "-f", "-", input=as_yaml(one))
        if held:
            kubectl("delete", "mcache", name, "-n", namespace, "--wait=false")

    for _ in range(2):  # again is as good as once
        take_finalizers_off(control_plane)

    listed = json.loads(kubectl("get", "mcache", "-n", "left-a", "-o", "json"))["items"]
    listed += json.loads(kubectl("get", "mcache", "-n", "left-b", "-o", "json"))["items"]
    left = {
        (one["metadata"]["namespace"], one["metadata"]["name"]): one["metadata"].get("finalizers", []) for one in listed
    }
    assert left == {
        ("left-a", "with-others"): ["example.com/first", "example.com/last"],
        ("left-b", "kept"): [],
        ("left-b", "others-only"): ["example.com/first"],
    }
    for namespace, name in left:
        kubectl("patch", "mcache", name, "-n", namespace, "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
