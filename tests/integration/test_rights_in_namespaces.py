"""With `watchNamespaces` the rights are Roles: those that the operator uses there, shown by the same tour, and what it
does where they went with their namespace."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.chart import only, render
from tests.cluster.controlplane import ControlPlane
from tests.cluster.kubectl import write_kubeconfig
from tests.installed import has_rights
from tests.integration.kinds import install_kinds
from tests.integration.operating import Namespace, Object, until
from tests.integration.test_rights import ASKED_IN_A_RACE, ASKED_IN_ADMISSION, Tour, site_in, travel
from tests.operator_process import OperatorProcess
from tests.rights import WITHOUT, bound


def account_of(control_plane: ControlPlane, chart: list[Object], home: str, directory: Path) -> Path:
    """A kubeconfig of the chart's ServiceAccount, which is made in its own namespace."""
    kubectl, account = control_plane.kubectl, only(chart, "ServiceAccount")
    kubectl("apply", "-f", "-", input=yaml.safe_dump(account))
    token = kubectl("-n", home, "create", "token", account["metadata"]["name"], "--duration=24h").strip()
    return write_kubeconfig(directory / "kubeconfig", control_plane.url, control_plane.ca, token)


def roles_in(chart: list[Object], *namespaces: str | None) -> str:
    """The roles and bindings of those namespaces; of None, of the whole cluster."""
    return yaml.safe_dump_all(
        [one for one in chart if "Role" in one["kind"] and one["metadata"].get("namespace") in namespaces]
    )


def test_a_namespace_that_is_gone_keeps_none_of_the_others_from_being_worked_in(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    kubectl = control_plane.kubectl
    install_kinds(kubectl)
    home, here = Namespace(kubectl), Namespace(kubectl)
    gone = f"{WITHOUT}{here.name}"
    chart = render("narrow", home.name, watchNamespaces=[gone, here.name], crds={"install": False})
    kubeconfig = account_of(control_plane, chart, home.name, tmp_path)
    kubectl("apply", "-f", "-", input=roles_in(chart, None, home.name, here.name))
    name = only(chart, "ServiceAccount")["metadata"]["name"]
    watched = (f"--namespace={gone}", f"--namespace={here.name}")
    with OperatorProcess(
        kubeconfig, tmp_path, f"--lease-namespace={home.name}", f"--lease-name={name}", *watched
    ) as operator:
        here.claim()
        here.service()
        until(lambda: here.items("modelcache"))
        assert f"no rights in namespace {gone}" in operator.log.read_text()
        kubectl("create", "namespace", gone)
        there = Namespace(kubectl, existing=gone)
        there.claim()
        there.service()
        kubectl("apply", "-f", "-", input=roles_in(chart, gone))
        until(lambda: there.items("modelcache"))
        here.service("another")
        until(lambda: here.condition("embeddingservice", "another")["reason"])
        assert operator.is_running(), "it begins anew, and its process goes on"
        assert operator.terminate() == 0


@pytest.mark.long
@pytest.mark.usefixtures("gateway_api", "pod_monitors")
def test_in_named_namespaces_it_uses_the_rights_of_their_roles_and_no_others(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    kubectl, site = control_plane.kubectl, site_in(tmp_path)
    install_kinds(kubectl)
    home, *watched = (Namespace(kubectl).name for _ in range(12))
    chart = render("narrow", home, watchNamespaces=watched, crds={"install": False})
    roles = [one for one in chart if "Role" in one["kind"]]
    kubectl("apply", "-f", "-", input=yaml.safe_dump_all(roles))
    kubeconfig = account_of(control_plane, chart, home, tmp_path)
    name = only(chart, "ServiceAccount")["metadata"]["name"]
    user = f"system:serviceaccount:{home}:{name}"
    until(lambda: all(has_rights(kubectl, user, f"--namespace={namespace}") for namespace in watched))
    arguments = [f"--lease-namespace={home}", f"--profiles={site}", f"--lease-name={name}"]
    arguments += [f"--namespace={namespace}" for namespace in watched]
    tour = Tour(control_plane, site / "site.yaml", user, watched)
    in_use = travel(tour, lambda name: OperatorProcess(kubeconfig, tmp_path, *arguments, name=name))
    given = bound(roles, name, home)
    assert in_use <= given
    assert given - in_use - ASKED_IN_A_RACE == ASKED_IN_ADMISSION
