"""`embedding-operator diff`, `render --from-cluster` and `status`, on a real API server with the operator at work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.controlplane import ControlPlane
from tests.integration.operating import Namespace, until
from tests.operator_process import OperatorProcess

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def namespace(control_plane: ControlPlane, operator: OperatorProcess) -> Namespace:
    namespace = Namespace(control_plane.kubectl)
    namespace.claim()
    return namespace


@pytest.fixture
def command(control_plane: ControlPlane, namespace: Namespace) -> Command:
    def run(name: str, *arguments: str, input: Any = None) -> subprocess.CompletedProcess[str]:
        kubeconfig = ["--kubeconfig", str(control_plane.kubeconfig), "-n", namespace.name]
        given = ["-f", "-"] if input is not None else []
        return subprocess.run(
            [sys.executable, "-m", "embedding_operator.cli", name, *given, *kubeconfig, *arguments],
            input=yaml.safe_dump(input) if input is not None else None,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PYTHONSAFEPATH": "1"},
        )

    return run


def manifest(**spec: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "model": {"source": {"modelScope": {"repo": "Qwen/Qwen3-Embedding-0.6B"}}},
        "cache": {"claimName": "model-weights"},
        "runtime": {"profile": "cpu"},
        "replicas": 2,
    }
    kind = {"apiVersion": "embedding-operator.io/v1alpha1", "kind": "EmbeddingService"}
    return {**kind, "metadata": {"name": "qwen"}, "spec": base | spec}


def serving(namespace: Namespace, **spec: Any) -> None:
    namespace.apply(manifest(**spec))
    namespace.stage()
    until(lambda: namespace.get("deployment", "qwen") is not None)


def test_a_change_is_told_by_its_fields_its_rollout_and_its_lines(namespace: Namespace, command: Command) -> None:
    serving(namespace)
    same = command("diff", input=manifest())
    title = f"# EmbeddingService {namespace.name}/qwen"
    assert (same.returncode, same.stdout.splitlines()) == (0, [title, "# nothing would change"]), same.stderr

    more = command("diff", input=manifest(replicas=3))
    assert more.returncode == 1, more.stderr
    assert more.stdout.splitlines()[:3] == [
        title,
        "# replicas: 2 -> 3 (reaches no pod)",
        "# rollout: no, no pod is replaced",
    ]
    assert "--- Deployment qwen" in more.stdout
    assert "-  replicas: 2\n+  replicas: 3\n" in more.stdout

    tuned = command("diff", input=manifest(serving={"maxModelLen": 512}))
    assert tuned.returncode == 1, tuned.stderr
    assert '# serving: unset -> {"maxModelLen": 512}\n# rollout: yes, 2 pods are replaced' in tuned.stdout
    assert "\n+        - --max-model-len\n" in tuned.stdout

    moved = command("diff", input=manifest(model={"source": {"modelScope": {"repo": "Qwen/Qwen3-Embedding-4B"}}}))
    assert moved.returncode == 1, moved.stderr
    assert "is made, and its weights are staged first; until then pods stay as they are" in moved.stdout
    assert "\n+kind: ModelCache\n" in moved.stdout
    assert len(namespace.items("modelcache")) == 1  # nothing of it was done


def test_what_others_wrote_beside_the_manifest_stays(namespace: Namespace, command: Command) -> None:
    """An autoscaler's replicas, where the manifest says none; the same for a server-side apply."""
    unsaid = {key: value for key, value in manifest().items() if key != "spec"}
    unsaid["spec"] = {key: value for key, value in manifest()["spec"].items() if key != "replicas"}
    namespace.apply(unsaid)
    namespace.kubectl("scale", "emb/qwen", "--replicas=4")
    assert command("diff", input=unsaid).stdout.endswith("# nothing would change\n")

    namespace.kubectl("delete", "emb", "qwen")
    namespace.kubectl("apply", "--server-side", "--field-manager=flux", "-f", "-", input=json.dumps(manifest()))
    told = command("diff", input=unsaid)
    assert "# replicas: 2 -> 1 (reaches no pod)" in told.stdout, told.stderr


def test_a_new_service_is_all_new_and_a_refused_one_an_error(namespace: Namespace, command: Command) -> None:
    new = command("diff", input=manifest())
    assert new.returncode == 1, new.stderr
    assert "# new: 2 pods would be started\n# weights: ModelCache " in new.stdout
    assert "--- /dev/null\n+++ Deployment qwen\n" in new.stdout
    assert namespace.get("emb", "qwen") is None

    by_schema = command("diff", input=manifest(replicas=-1))
    assert (by_schema.returncode, by_schema.stdout, by_schema.stderr.count("\n")) == (2, "", 1)
    assert f"EmbeddingService {namespace.name}/qwen: " in by_schema.stderr
    assert "spec.replicas" in by_schema.stderr

    by_plan = command("diff", input=manifest(runtime={"profile": "nobodys"}))
    assert (by_plan.returncode, by_plan.stdout) == (2, "")
    assert "would be refused: ProfileNotFound: " in by_plan.stderr


def test_a_service_that_is_refused_is_what_it_is(namespace: Namespace, command: Command) -> None:
    namespace.apply(manifest(runtime={"profile": "nobodys"}))
    same = command("diff", input=manifest(runtime={"profile": "nobodys"}))
    assert (same.returncode, same.stderr) == (0, "")
    assert same.stdout.endswith("# nothing would change\n")
    other = command("diff", input=manifest(runtime={"profile": "nobodys"}, replicas=3))
    assert (other.returncode, other.stdout) == (2, "")


def test_what_is_rendered_for_a_service_that_runs_is_what_runs(namespace: Namespace, command: Command) -> None:
    serving(namespace)
    rendered = command("render", "--from-cluster", input=manifest())
    assert rendered.returncode == 0, rendered.stderr
    objects = {one["kind"]: one for one in yaml.safe_load_all(rendered.stdout)}
    (deployment,) = namespace.items("deployment", "embedding-operator.io/service=qwen")
    template = deployment["spec"]["template"]
    wanted = objects["Deployment"]["spec"]["template"]
    assert wanted["metadata"]["annotations"].items() <= template["metadata"]["annotations"].items()
    assert wanted["spec"]["containers"][0]["args"] == template["spec"]["containers"][0]["args"]
    assert objects["Deployment"]["metadata"]["ownerReferences"] == deployment["metadata"]["ownerReferences"]
    checked = namespace.kubectl("apply", "--dry-run=server", "-f", "-", input=rendered.stdout)
    assert "deployment.apps/qwen" in checked


def test_status_shows_the_service_its_pods_and_its_weights(namespace: Namespace, command: Command) -> None:
    serving(namespace)
    until(lambda: len(namespace.items("pod", "embedding-operator.io/service=qwen")) == 2)
    shown = command("status", "qwen")
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[0].split() == ["SERVICE", "READY", "STATUS", "AGE", "MODEL"]
    assert lines[1].startswith("qwen      0/2     ")
    assert shown.stdout.count("  Pending ") == 2
    assert "\nWEIGHTS " in shown.stdout
    everything = json.loads(command("status", "-o", "json").stdout)["items"]
    assert [one["kind"] for one in everything] == ["EmbeddingService", "ModelCache"]
    gone = command("status", "nobody")
    assert (gone.returncode, gone.stderr.count("\n")) == (1, 1)


def test_a_cluster_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "embedding_operator.cli", "status", "--kubeconfig", str(tmp_path / "none")]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "no way to an API server: there is no file" in ended.stderr
