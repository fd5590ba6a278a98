"""Users of a namespace: view, edit and admin hold our kinds, and the quick start works with edit and no more."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.cluster.kubectl import Kubectl
from tests.installed import POLICIES, RIGHTS, install
from tests.integration.kinds import REMOVE, Manifest, benchmark, job
from tests.integration.operating import Namespace, settle, until
from tests.operator_process import OperatorProcess

README = Path(__file__).resolve().parents[2] / "README.md"
ROLES = ("view", "edit", "admin")


class User:
    """kubectl as somebody else."""

    def __init__(self, kubectl: Kubectl, namespace: str, name: str) -> None:
        self._kubectl, self._options = kubectl, ("-n", namespace, f"--as={name}")

    def __call__(self, *arguments: str, input: str | None = None) -> str:
        return self._kubectl(*self._options, *arguments, input=input)

    def may(self, verb: str, resource: str, *more: str) -> bool:
        try:
            return self("auth", "can-i", verb, resource, *more).strip() == "yes"
        except ClusterError:  # kubectl says no by its exit code, too
            return False


class Users(Namespace):
    """A namespace with a user of each role."""

    def __init__(self, kubectl: Kubectl) -> None:
        super().__init__(kubectl)
        names = {role: f"{role}-{secrets.token_hex(4)}" for role in ROLES}
        for role, name in names.items():
            self.kubectl("create", "rolebinding", name, f"--clusterrole={role}", f"--user={name}")
        self.of = {role: User(kubectl, self.name, name) for role, name in names.items()}


@pytest.fixture(scope="module")
def users(control_plane: ControlPlane, operator: OperatorProcess) -> Iterator[Users]:
    install(control_plane.kubectl, *RIGHTS, *POLICIES)
    users = Users(control_plane.kubectl)
    until(lambda: users.of["admin"].may("create", "embeddingservices"))  # the controller manager has added the roles up
    until(lambda: users.of["view"].may("list", "modelcaches"))
    yield users
    users.kubectl("delete", "namespace", users.name, "--wait=false")


@pytest.mark.parametrize(
    ("verb", "resource", "roles"),
    [
        ("list", "embeddingservices", ROLES),
        ("watch", "modelcaches", ROLES),
        ("create", "embeddingservices", ("edit", "admin")),
        ("delete", "modelcaches", ("edit", "admin")),
        ("list", "embeddingbenchmarks", ROLES),
        ("create", "embeddingbenchmarks", ("edit", "admin")),
        ("patch", "embeddingbenchmarks --subresource=status", ()),
        ("patch", "embeddingservices --subresource=scale", ("edit", "admin")),
        ("get", "embeddingservices --subresource=scale", ROLES),
        ("get", "embeddingservices --subresource=status", ROLES),
        ("patch", "embeddingservices --subresource=status", ()),
        ("update", "modelcaches --subresource=status", ()),
        ("use", "runtimeprofiles/cpu", ("edit", "admin")),
        ("use", "runtimeprofiles/ascend-910b", ("edit", "admin")),
        ("use", "runtimeprofiles/of-the-site", ()),
        ("create", "runtimeprofiles", ()),
        ("update", "runtimeprofiles/cpu", ()),
        ("create", "controllerrevisions", ()),
    ],
)
def test_roles_of_a_namespace_hold_our_kinds(users: Users, verb: str, resource: str, roles: tuple[str, ...]) -> None:
    assert tuple(role for role in ROLES if users.of[role].may(verb, *resource.split())) == roles


def test_the_quick_start_works_for_who_may_edit_a_namespace(users: Users) -> None:
    """The README's manifest and commands, and what examples/shared-storage.yaml says of the claim."""
    user = users.of["edit"]
    [manifest] = re.findall(r"```yaml\n(apiVersion: embedding-operator.io.*?)```", README.read_text(), re.S)
    claim = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "50Gi"}}, "storageClassName": ""}
    named = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "model-weights"}}
    user("apply", "-f", "-", input=json.dumps(named | {"spec": claim}))
    user("apply", "-f", "-", input=manifest)
    assert "WaitingForWeights" in until_shown(user, "WaitingForWeights")
    assert "spec" in user("explain", "emb.spec.model")
    users.stage()
    until(lambda: bool(users.get("deployment", "qwen3-vl-embedding")))
    settle(users, "qwen3-vl-embedding")
    user("wait", "emb/qwen3-vl-embedding", "--for=condition=Ready", "--timeout=60s")
    user("scale", "emb/qwen3-vl-embedding", "--replicas=8")
    user("apply", "-f", "-", input=manifest)  # once more, as a pipeline does
    user("delete", "emb/qwen3-vl-embedding")


def until_shown(user: User, word: str) -> str:
    shown = ""

    def is_shown() -> bool:
        nonlocal shown
        shown = user("get", "emb,mcache")
        return word in shown

    until(is_shown)
    return shown


def test_who_may_view_changes_nothing(users: Users) -> None:
    manifest = {"apiVersion": "embedding-operator.io/v1alpha1", "kind": "ModelCache", "metadata": {"name": "mine"}}
    spec = {"source": {"modelScope": {"repo": "a/b"}}, "storage": {"claimName": "c"}}
    with pytest.raises(ClusterError, match="cannot create resource"):
        users.of["view"]("create", "-f", "-", input=json.dumps(manifest | {"spec": spec}))


def documented(page: str, role: str) -> Manifest:
    """The role of that name on a page of the documentation."""
    blocks = re.findall(
        r"^```yaml\n(apiVersion: rbac.*?)^```", (README.parent / "docs" / page).read_text(), re.M | re.S
    )
    (found,) = (one for one in map(yaml.safe_load, blocks) if one["metadata"]["name"] == role)
    return dict(found)


def test_who_has_the_documented_role_embeds_and_measures_and_gets_at_no_claim(
    control_plane: ControlPlane, users: Users
) -> None:
    role = documented("administrators.md", "embedder")
    users.kubectl("apply", "-f", "-", input=json.dumps(role | {"metadata": {"name": "embedder"}}))
    users.kubectl("create", "rolebinding", "embedder", "--role=embedder", "--user=ann")
    ann = User(control_plane.kubectl, users.name, "ann")
    until(lambda: ann.may("create", "embeddingjobs"))

    def refused(manifest: Manifest) -> str:
        try:
            ann("create", "--dry-run=server", "-f", "-", input=json.dumps(manifest))
        except ClusterError as error:
            return str(error)
        return ""

    places = {"input__claimName": REMOVE, "output__claimName": REMOVE}
    bucket = {**places, "input__url": "s3://corpus/wiki", "output__url": "s3://vectors/wiki"}
    own = {"runtime__profile": "ascend-910b"}
    until(lambda: "needs the right to create jobs.batch" in refused(job(**own)))  # the policies are taken in
    until(lambda: "needs the right to create jobs.batch" in refused(benchmark(output={"claimName": "results"})))
    assert refused(job(**own, **bucket)) == ""
    assert refused(benchmark()) == ""
    assert "needs the right to get it" in refused(job(**own, **bucket, input__secretRef={"name": "s3"}))
    assert "needs the right to use it" in refused(job(runtime__profile="cpu", **bucket))


@pytest.mark.parametrize("role", ["server", "use-npu-large"])
def test_roles_of_the_page_on_security_are_roles(role: str, users: Users) -> None:
    found = documented("security.md", role) | {"metadata": {"name": role}}
    users.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(found))
