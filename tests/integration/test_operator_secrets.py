"""A hub's token reaches the staging Job and nothing else: no status, no Event, no other object, no log, no manifest.

The stager is the real one, run here with what its Job's pod is given, for there is no kubelet; what it leaves as its
termination message is written into the pod's status.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from embedding_operator.staging.main import main_stage
from embedding_operator.staging.settings import Settings
from tests.cluster.controlplane import ControlPlane
from tests.installed import operator_of
from tests.integration.kinds import install_kinds
from tests.integration.operating import Namespace, end, pod_of, until
from tests.standins.modelhub import ModelHub
from tests.unit.staging.kit import QUICK, REPO, make_model

TOKEN = "ms-a-token-that-nobody-may-see"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[ModelHub]:
    make_model(tmp_path / "hub" / REPO)
    with ModelHub(tmp_path / "hub") as running:
        running.tokens[REPO] = TOKEN
        yield running


def test_a_token_is_in_no_object_but_its_secret_whatever_the_hub_says(
    control_plane: ControlPlane, hub: ModelHub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install_kinds(control_plane.kubectl)
    with operator_of(control_plane, tmp_path, "--log-level=debug") as operator:
        namespace = Namespace(control_plane.kubectl)
        namespace.claim()
        namespace.kubectl("create", "secret", "generic", "hub", f"--from-literal=token={TOKEN}")
        reference = {"name": "hub", "key": "token"}
        source = {"modelScope": {"repo": REPO, "endpoint": hub.url, "secretRef": reference}}
        namespace.service(model={"source": source})

        hub.fault("extra-entry", value={"Path": f"../{TOKEN}", "Type": "blob", "Size": 1, "Sha256": ""})
        failed = run_stager(namespace, tmp_path)
        assert "'../***'" in failed["message"]  # it had the token, and a hub that made it say so
        end(namespace, "model-staging", failed, code=3)
        until(lambda: namespace.condition("emb", "qwen", "WeightsReady")["reason"] == "CacheStalled")
        assert "../***" in namespace.condition("emb", "qwen", "WeightsReady")["message"]
        until(lambda: "../***" in namespace.kubectl("get", "events.events.k8s.io", "-o", "json"))
        assert told_of_the_token(control_plane, namespace) == []

        hub.faults.clear()
        namespace.kubectl("delete", "jobs", "--all")
        until(lambda: pod_of(namespace, "model-staging")["status"]["phase"] == "Pending")
        staged = run_stager(namespace, tmp_path)
        end(namespace, "model-staging", staged)
        until(lambda: namespace.condition("emb", "qwen", "WeightsReady")["status"] == "True")
        assert told_of_the_token(control_plane, namespace) == []
    assert staged["result"] == "Staged"
    for path in (operator.log, tmp_path / "volume" / staged["path"] / "manifest.json"):
        assert not mentions_the_token(path.read_text())
    assert not mentions_the_token(caplog.text)


def run_stager(namespace: Namespace, directory: Path) -> dict[str, Any]:
    """What the staging Job's container would do; gives what it leaves."""
    (container,) = pod_of(namespace, "model-staging")["spec"]["containers"]
    command, _, text = container["args"]
    assert command == "stage"
    root, log = directory / "volume", directory / "termination-log"
    root.mkdir(exist_ok=True)
    environ = {one["name"]: value_of(namespace, one) for one in container.get("env") or ()}
    assert TOKEN in environ.values()
    spec = json.loads(text) | {"root": str(root), "progressPort": 0}
    main_stage(json.dumps(spec), environ | {"TERMINATION_LOG": str(log)}, Settings(**QUICK))
    left: dict[str, Any] = json.loads(log.read_text())
    return left


def value_of(namespace: Namespace, variable: dict[str, Any]) -> str:
    """A variable of a container, as a kubelet reads it."""
    if "valueFrom" not in variable:
        return str(variable.get("value", ""))
    reference = variable["valueFrom"]["secretKeyRef"]
    secret = namespace.get("secret", reference["name"]) or {}
    return base64.b64decode(secret["data"][reference["key"]]).decode()


def told_of_the_token(control_plane: ControlPlane, namespace: Namespace) -> list[str]:
    """The kinds of which an object holds the token, managed fields and all; a Secret may."""
    kinds = control_plane.kubectl("api-resources", "--namespaced", "--verbs=list", "-o", "name").split()
    assert {"secrets", "events", "events.events.k8s.io", "pods"} <= set(kinds)
    assert mentions_the_token(everything(namespace, "secrets"))
    return [kind for kind in kinds if kind != "secrets" and mentions_the_token(everything(namespace, kind))]


def everything(namespace: Namespace, kind: str) -> str:
    return namespace.kubectl("get", kind, "-o", "json", "--show-managed-fields")


def mentions_the_token(text: str) -> bool:
    return TOKEN in text or base64.b64encode(TOKEN.encode()).decode() in text
