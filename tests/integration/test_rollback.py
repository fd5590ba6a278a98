"""`embedding-operator history` and `rollback` against a real API server with the operator at work."""

from __future__ import annotations

import contextlib
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
from tests.integration.operating import Namespace, own_profile, until
from tests.operator_process import OperatorProcess
from tests.rights import SOMEBODY

Command = Callable[..., subprocess.CompletedProcess[str]]
ENV = [{"name": "SECOND", "value": "1"}]


@pytest.fixture
def namespace(control_plane: ControlPlane, operator: OperatorProcess) -> Namespace:
    namespace = Namespace(control_plane.kubectl)
    namespace.claim()
    return namespace


@pytest.fixture
def command(control_plane: ControlPlane, namespace: Namespace) -> Command:
    def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        kubeconfig = ["--kubeconfig", str(control_plane.kubeconfig), "-n", namespace.name]
        return subprocess.run(
            [sys.executable, "-m", "embedding_operator.cli", name, "qwen", *kubeconfig, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PYTHONSAFEPATH": "1"},
        )

    return run


def template(namespace: Namespace) -> Any:
    return ((namespace.get("deployment", "qwen") or {}).get("spec") or {}).get("template")


def revisions(namespace: Namespace) -> dict[int, str]:
    return {one["revision"]: one["metadata"]["name"] for one in namespace.items("controllerrevision")}


def two_revisions(namespace: Namespace, **second: Any) -> Any:
    """A service that was changed once; returns its first template."""
    runtime = {"profile": own_profile(namespace)}
    namespace.service(runtime=runtime)
    namespace.stage()
    until(lambda: template(namespace) is not None)
    first = template(namespace)
    namespace.service(runtime=runtime | {"env": ENV}, **second)
    until(lambda: template(namespace) != first)
    return first


def test_a_rollback_brings_the_pods_back_as_they_were_and_it_lasts(
    namespace: Namespace, operator: OperatorProcess, command: Command
) -> None:
    first = two_revisions(namespace, replicas=3)
    own_profile(namespace, env=[{"name": "EDITED", "value": "1"}])  # a template that is rendered now is another one
    shown = command("history")
    assert shown.returncode == 0, shown.stderr
    assert "runtime.env: unset ->" in shown.stdout.splitlines()[2]

    tried = command("rollback", "--dry-run")
    assert "-    env:" in tried.stdout, tried.stderr
    assert "rolled back to revision 1 (dry run)" in tried.stdout
    assert sorted(revisions(namespace)) == [1, 2]

    done = command("rollback")
    assert (done.returncode, done.stdout) == (0, "emb/qwen rolled back to revision 1\n"), done.stderr
    until(lambda: template(namespace) == first)
    service = namespace.get("emb", "qwen") or {}
    assert "env" not in service["spec"]["runtime"]
    assert service["spec"]["replicas"] == 3  # what does not reach the pods is not taken back
    until(lambda: sorted(revisions(namespace)) == [2, 3])
    until(lambda: namespace.condition("emb", "qwen", "UpdateAvailable")["status"] == "True")

    operator.kill()
    operator.start()
    namespace.kubectl("delete", "deployment", "qwen")  # so the operator has looked
    until(lambda: template(namespace) == first)
    entries = json.loads(command("history", "--output", "json").stdout)
    assert [(one["revision"], one["current"]) for one in entries] == [(2, False), (3, True)]
    again = command("rollback", "--to-revision", "3")
    assert (again.returncode, again.stdout) == (0, "emb/qwen is at revision 3 already\n")

    namespace.service(runtime={"profile": f"site-{namespace.name}", "args": ["--enforce-eager"]})
    until(lambda: "EDITED" in json.dumps(template(namespace)))  # another spec ends it, and adopts the profile


def test_a_spec_that_is_refused_goes_back_to_what_runs(namespace: Namespace, command: Command) -> None:
    namespace.service()
    namespace.stage()
    until(lambda: template(namespace) is not None)
    namespace.service(runtime={"profile": "cpu", "version": "0.1.0"})
    until(lambda: namespace.condition("emb", "qwen", "Stalled")["reason"] == "InvalidSpec")
    assert command("rollback").stdout == "emb/qwen rolled back to revision 1\n"
    until(lambda: namespace.condition("emb", "qwen", "Stalled")["reason"] == "")
    assert revisions(namespace).keys() == {1}


def test_who_would_write_it_again_and_weights_that_are_gone_are_told(namespace: Namespace, command: Command) -> None:
    two_revisions(namespace)
    (cache,) = (one["metadata"]["name"] for one in namespace.items("modelcache"))
    service = namespace.get("emb", "qwen") or {}
    owned = {key: service[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": {"name": "qwen"}}
    arguments = ("apply", "--server-side", "--field-manager=argocd-controller", "--force-conflicts", "-f", "-")
    namespace.kubectl(*arguments, input=json.dumps(owned))
    namespace.write_status("mcache", cache, {"digest": None})
    told = command("rollback", "--dry-run").stderr.splitlines()
    assert told == [
        f"warning: its weights are not there (ModelCache {cache} is not ready): the pods stay as they are until they "
        "are staged, and other weights make another revision",
        "warning: spec.runtime.env is written by argocd-controller, which may do it again: change its source, too",
    ]


@pytest.mark.parametrize("name", ["history", "rollback"])
def test_a_service_that_is_not_there_is_said(namespace: Namespace, command: Command, name: str) -> None:
    ended = command(name)
    assert ended.returncode == 1
    told = f"emb/qwen: there is no such EmbeddingService in namespace {namespace.name} (-n names another)"
    assert ended.stderr == f"embedding-operator {name}: {told}\n"


def test_a_revision_that_is_not_there_is_said_with_those_that_are(namespace: Namespace, command: Command) -> None:
    two_revisions(namespace)
    ended = command("rollback", "--to-revision", "9")
    told = "there is no revision 9: choose one of those that are stored (1, 2)"
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"embedding-operator rollback: emb/qwen: {told}\n"


def test_it_takes_no_other_right_than_to_change_the_service(
    namespace: Namespace, control_plane: ControlPlane, command: Command, tmp_path: Path
) -> None:
    first = two_revisions(namespace)
    namespace.kubectl("create", "serviceaccount", SOMEBODY)
    somebody = tmp_path / "kubeconfig"
    somebody.write_text(somebodys_kubeconfig(namespace, control_plane.kubeconfig))
    as_somebody = f"--kubeconfig={somebody}"
    namespace.kubectl("create", "role", "read", "--verb=get,list", "--resource=embeddingservices,modelcaches,pods")
    namespace.kubectl("create", "role", "history", "--verb=list", "--resource=controllerrevisions.apps")
    for role in ("read", "history"):
        namespace.kubectl(
            "create", "rolebinding", role, f"--role={role}", f"--serviceaccount={namespace.name}:{SOMEBODY}"
        )
    assert command("history", as_somebody).returncode == 0
    refused = command("rollback", as_somebody)
    assert refused.returncode == 1
    assert 'cannot patch resource "embeddingservices"' in refused.stderr
    namespace.kubectl("create", "role", "write", "--verb=patch", "--resource=embeddingservices")
    namespace.kubectl("create", "rolebinding", "write", "--role=write", f"--serviceaccount={namespace.name}:{SOMEBODY}")
    with contextlib.suppress(AssertionError):  # why not is said below
        until(lambda: command("rollback", as_somebody, "--dry-run").returncode == 0, 30)
    done = command("rollback", as_somebody)
    assert (done.returncode, done.stdout) == (0, "emb/qwen rolled back to revision 1\n"), done.stderr
    until(lambda: template(namespace) == first)


def somebodys_kubeconfig(namespace: Namespace, administrators: Path) -> str:
    config = yaml.safe_load(administrators.read_text())
    (user,) = config["users"]
    user["user"] = {"token": namespace.kubectl("create", "token", SOMEBODY).strip()}
    return yaml.safe_dump(config)
