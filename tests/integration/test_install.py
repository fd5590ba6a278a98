"""Installing on an API server that knows none of our kinds, in each documented way; upgrade, rollback and removal."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts.manifests import CHART, INSTALL, NAMESPACE, NAMESPACE_MANIFEST
from embedding_operator.planning.profiles import CPU
from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.integration.installing import Installation, empty_out, serves
from tests.integration.kinds import PLURALS
from tests.integration.operating import Namespace, own_profile, settle, until
from tests.rights import Right, bound

Object = dict[str, Any]
ROOT = Path(__file__).parents[2]
OVERLAY = ROOT / "examples/kustomize/one-namespace"
OLDER = sorted((Path(__file__).parent / "upgrade/charts").glob("*.tgz"))


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Nothing of ours was ever on it."""
    with ControlPlane(tmp_path_factory.mktemp("empty")) as running:
        yield running


@pytest.fixture
def installation(empty: ControlPlane, tmp_path: Path) -> Iterator[Installation]:
    """Whatever a test installs is gone after it."""
    there = Installation(empty, tmp_path)
    yield there
    left = there.clusterwide()
    if left:  # the other tests begin with nothing, too
        empty.kubectl("delete", *left)
        empty.kubectl("delete", "namespace", NAMESPACE, "ml-platform", "search", "--ignore-not-found")
    assert left == set()


def generations(installation: Installation) -> str:
    """How often what was applied has changed, with all that has no such number in its last version."""
    specified = "jsonpath={.items[*].metadata.generation}"
    others = "jsonpath={.items[*].metadata.resourceVersion}"
    counted = installation.kubectl("get", "crd,deployment,poddisruptionbudget", "-A", "-o", specified)
    rights = installation.kubectl("get", "clusterrole,clusterrolebinding,role,rolebinding", "-A", "-o", others)
    return f"{counted} {rights}"


def test_kubectl_apply_server_side(installation: Installation) -> None:
    kubectl = installation.kubectl
    apply = ("apply", "--server-side", "-f", str(INSTALL))
    kubectl(*apply)
    serves(installation)
    before = generations(installation)
    kubectl(*apply)  # again is as good as once
    assert generations(installation) == before
    kubectl("delete", "-f", str(INSTALL))


def test_plain_kubectl_apply_and_what_it_keeps_of_a_crd_has_room_to_grow(installation: Installation) -> None:
    """kubectl keeps what it applied in an annotation; an object has room for 256 KiB of all of them."""
    kubectl = installation.kubectl
    kubectl("apply", "-f", str(INSTALL))
    for kind in PLURALS:
        kept = r"jsonpath={.metadata.annotations.kubectl\.kubernetes\.io/last-applied-configuration}"
        assert 0 < len(kubectl("get", "crd", f"{kind}.embedding-operator.io", "-o", kept).encode()) < 200 * 1024
    before = generations(installation)
    kubectl("apply", "-f", str(INSTALL))
    assert generations(installation) == before
    for kind in PLURALS:  # an API server that begins to serve a kind only when it ends may take five minutes over it
        kubectl("get", f"{kind}.embedding-operator.io", "-A")
    kubectl("delete", "-f", str(INSTALL))


@pytest.fixture
def overlay(empty: ControlPlane, tmp_path: Path) -> list[Object]:
    """The objects of the example, copied and given install.yaml as it says."""
    copy = shutil.copytree(OVERLAY, tmp_path / "overlay")
    shutil.copy(INSTALL, copy / "operator")
    return [one for one in yaml.safe_load_all(empty.kubectl("kustomize", str(copy))) if one]


def test_a_kustomize_overlay_changes_namespace_image_and_replicas(overlay: list[Object]) -> None:
    (deployment,) = [one for one in overlay if one["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    image = "registry.example.com/ml/embedding-operator:0.1.0"
    assert deployment["spec"]["replicas"] == 3
    assert container["image"] == image
    assert {"name": "OPERATOR_IMAGE", "value": image} in container["env"]
    assert {one["metadata"].get("namespace", "ml-platform") for one in overlay} == {"ml-platform", "search"}
    assert {one["metadata"]["name"] for one in overlay if one["kind"] == "Namespace"} == {"ml-platform"}
    policies = [one for one in overlay if one["kind"] == "ValidatingAdmissionPolicy"]
    (exempt,) = {one["spec"]["matchConditions"][0]["expression"] for one in policies}
    assert exempt == "request.userInfo.username != 'system:serviceaccount:ml-platform:embedding-operator'"
    assert "embedding-operator-system" not in yaml.safe_dump_all(overlay)
    # what is wrong with a profile of the site is told as an Event of the pod
    home = [one for one in overlay if "Role" in one["kind"] and one["metadata"].get("namespace") == "ml-platform"]
    assert Right("events.k8s.io", "events", "create") in bound(home, "embedding-operator", "ml-platform")


@pytest.mark.long
def test_kustomize_for_one_namespace(installation: Installation, overlay: list[Object]) -> None:
    kubectl, manifest = installation.kubectl, yaml.safe_dump_all(overlay)
    kubectl("create", "namespace", "search")
    kubectl("apply", "--server-side", "--validate=strict", "-f", "-", input=manifest)
    serves(Installation.of(installation, "ml-platform"), "search")
    account = "--as=system:serviceaccount:ml-platform:embedding-operator"
    with pytest.raises(ClusterError):  # kubectl ends with 1 for a no
        kubectl("auth", "can-i", "create", "deployments", "-n", "default", account)
    assert kubectl("get", "rp", "site-910b", "-o", "name")
    kubectl("delete", "-f", "-", input=manifest)
    kubectl("delete", "namespace", "search")


@pytest.mark.long  # the tests of upgrades and profiles install with helm, too
def test_helm_install_and_a_removal_that_leaves_nothing(installation: Installation) -> None:
    installation.helm("install", "embedding-operator", str(CHART), "--create-namespace")
    assert "embedding-operator 0.1.0 runs in namespace" in installation.helm("get", "notes", "embedding-operator")
    serves(installation)
    installation.helm("uninstall", "embedding-operator")
    assert {one.split(".")[-1] for one in installation.clusterwide()} == {"io"}  # the CRDs alone
    installation.forget()


@pytest.mark.long
def test_a_second_release_has_a_name_and_namespaces_of_its_own(installation: Installation) -> None:
    second = Installation.of(installation, "second")
    installation.helm("install", "embedding-operator", str(CHART), "--create-namespace")
    there = Namespace(installation.kubectl)
    values = {"watchNamespaces": [there.name], "crds": {"install": False}}
    with pytest.raises(ValueError, match=r"ClusterRole .*invalid ownership metadata"):
        second.helm("install", "embedding-operator", str(CHART), "--create-namespace", values=values)
    second.helm("install", "mine", str(CHART), "--create-namespace", values=values)
    with second.operator("mine-embedding-operator"):
        there.claim()
        there.service()
        until(lambda: there.condition("emb", "qwen")["reason"] == "WaitingForWeights")
        empty_out(there)
    second.helm("uninstall", "mine")
    installation.helm("uninstall", "embedding-operator")
    installation.forget("second")


def test_crds_that_a_pipeline_applied_beforehand_are_left_to_it(installation: Installation) -> None:
    kubectl, helm = installation.kubectl, installation.helm
    kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
    with pytest.raises(ValueError, match="invalid ownership metadata"):
        helm("install", "embedding-operator", str(CHART), "--create-namespace")
    helm("install", "embedding-operator", str(CHART), "--set=crds.install=false", "--create-namespace")
    managers = kubectl("get", "crd", "modelcaches.embedding-operator.io", "--show-managed-fields", "-o", "yaml")
    assert "manager: helm" not in managers
    helm("uninstall", "embedding-operator")
    helm("install", "embedding-operator", str(CHART), "--take-ownership", "--force-conflicts")  # from now on Helm's
    helm("uninstall", "embedding-operator")
    kubectl("delete", "-f", str(ROOT / "crds"))
    kubectl("delete", "namespace", NAMESPACE)


@pytest.mark.long
@pytest.mark.parametrize("how", [["--server-side"], []], ids=["server-side", "client-side"])
@pytest.mark.parametrize("older", OLDER, ids=lambda path: path.stem)
def test_kubectl_apply_over_what_an_earlier_version_applied(
    installation: Installation, older: Path, how: list[str]
) -> None:
    kubectl = installation.kubectl
    kubectl("apply", "-f", "-", input=NAMESPACE_MANIFEST)
    kubectl("apply", *how, "-f", "-", input=installation.helm("template", "embedding-operator", str(older)))
    kubectl("apply", *how, "-f", str(INSTALL))
    serves(installation)
    (role,) = json.loads(kubectl("get", "clusterrole", "embedding-operator", "-o", "jsonpath=[{.rules}]"))
    assert "runtimeprofiles" not in {resource for rule in role for resource in rule["resources"]}  # another role's now
    kubectl("delete", "-f", str(INSTALL))


def accelerated(**accelerator: Any) -> Object:
    return {**CPU["spec"], "accelerator": accelerator}


def nodes(**selector: str) -> Object:
    return {**CPU["spec"], "pod": {**CPU["spec"]["pod"], "nodeSelector": selector}}


def what_is_there(namespace: Namespace) -> Object:
    """All that a release must not lose, by uid."""
    kinds = "emb,mcache,rp,controllerrevision,deployment,replicaset,pod,poddisruptionbudget,configmap"
    return {f"{one['kind']}/{one['metadata']['name']}": one["metadata"]["uid"] for one in namespace.items(kinds)}


def is_kept(installation: Installation, namespace: Namespace, before: Object) -> None:
    """The operator of the release as it is now looks at everything, and leaves it as it was."""
    namespace.kubectl("delete", "service", "qwen")
    with installation.operator() as operator:
        until(lambda: namespace.get("service", "qwen") is not None)
        until(lambda: namespace.condition("emb", "qwen")["reason"] == "Serving")
    assert what_is_there(namespace) == before
    assert "Traceback" not in operator.log.read_text()


@pytest.mark.parametrize("older", OLDER, ids=lambda path: path.stem)
def test_upgrade_rollback_and_removal_lose_nothing(installation: Installation, older: Path) -> None:
    """From a chart as it was recorded (tests/integration/upgrade/record.py) to the present one, and the way back."""
    helm, kubectl = installation.helm, installation.kubectl
    helm("install", "embedding-operator", str(older), "--create-namespace")
    there = Namespace(kubectl)
    there.claim()
    with installation.operator():
        until(lambda: len(there.items("rp")) == 5)
        there.service()
        there.stage()
        until(lambda: there.get("deployment", "qwen") is not None)
        settle(there, "qwen")
        there.service(serving={"maxModelLen": 128})
        until(lambda: len(there.items("controllerrevision")) == 2)
        settle(there, "qwen")
    before = what_is_there(there)

    helm("upgrade", "embedding-operator", str(CHART))
    is_kept(installation, there, before)
    helm("rollback", "embedding-operator", "1")
    is_kept(installation, there, before)
    helm("rollback", "embedding-operator", "2")

    helm("uninstall", "embedding-operator")
    assert what_is_there(there) == before
    with pytest.raises(ValueError, match="invalid ownership metadata"):  # the CRDs are still the former release's
        helm("install", "other", str(CHART))
    helm("install", "other", str(CHART), "--take-ownership")
    helm("uninstall", "other")
    helm("install", "third", str(CHART), "--set=crds.install=false")
    with installation.operator("third-embedding-operator"):
        empty_out(there)
    helm("uninstall", "third")
    installation.forget()


def test_profiles_of_the_values_are_made_and_changed_and_nobody_elses(installation: Installation) -> None:
    helm, kubectl = installation.helm, installation.kubectl
    values: Object = {"profiles": {"gold": nodes(pool="gold", rack="1"), "cpu": nodes(pool="cpu")}}
    helm("install", "embedding-operator", str(CHART), "--create-namespace", values=values)
    there = Namespace(kubectl)

    def spec(name: str) -> Object:
        return dict((there.get("rp", name) or {"spec": {}})["spec"])

    def defaults() -> list[str]:
        mark = "embedding-operator.io/default-profile"
        return [one["metadata"]["name"] for one in there.items("rp") if mark in one["metadata"].get("annotations", {})]

    def said() -> list[str]:
        events = json.loads(kubectl("get", "events", "-n", NAMESPACE, "-o", "json"))["items"]
        return [one["message"] for one in events if one["reason"] == "ProfileRefused"]

    with installation.operator():
        until(lambda: len(there.items("rp")) == 6)
        assert spec("gold") == nodes(pool="gold", rack="1")
        assert spec("cpu") == nodes(pool="cpu")
        own_profile(there, nodeSelector={"pool": "theirs"})
        theirs = f"site-{there.name}"
        values = {
            "profiles": {
                "gold": nodes(pool="gold"),
                theirs: nodes(pool="ours"),
                "ascend-950": nodes(pool="950"),  # a built-in one that nobody touched
                "wrong": accelerated(type="None", resourceName="example.com/npu"),
            },
            "defaultProfile": "gold",
        }
        helm("upgrade", "embedding-operator", str(CHART), values=values)
        installation.mounted("embedding-operator", "profiles")
        until(lambda: spec("gold") == nodes(pool="gold"))  # what was taken out is gone
        until(lambda: spec("ascend-950") == nodes(pool="950"))
        gold = there.get("rp", "gold") or {}
        assert gold["metadata"]["annotations"]["embedding-operator.io/default-profile"] == "true"
        until(lambda: len(said()) == 2)
        taken, refused = sorted(said())
        assert taken.startswith(f"{theirs}.yaml: RuntimeProfile {theirs} was written by kubectl-client-side-apply and ")
        assert "type None has no devices, remove resourceName" in refused
        assert refused.startswith("wrong.yaml: RuntimeProfile wrong: the API server refused: ")
        assert spec(theirs)["pod"]["nodeSelector"] == {"pool": "theirs"}
        command = taken.split(": kubectl ")[1]
        kubectl(*command.split())  # what the message says to do
        until(lambda: spec(theirs) == nodes(pool="ours"))
        values = {"profiles": {"silver": nodes(pool="silver")}, "defaultProfile": "silver"}
        helm("upgrade", "embedding-operator", str(CHART), values=values)
        installation.mounted("embedding-operator", "profiles")
        until(lambda: defaults() == ["silver"])  # gold stays, for services may be served by it
        helm("rollback", "embedding-operator", "1")
        installation.mounted("embedding-operator", "profiles")
        until(lambda: spec("gold") == nodes(pool="gold", rack="1"))
    installation.helm("uninstall", "embedding-operator")
    installation.forget()
