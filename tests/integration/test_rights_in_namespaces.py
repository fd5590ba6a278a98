"""With `watchNamespaces` the rights are Roles: those that the operator uses there, shown by the same tour."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.chart import only, render
from tests.cluster.controlplane import ControlPlane
from tests.cluster.kubectl import write_kubeconfig
from tests.installed import has_rights
from tests.integration.kinds import install_kinds
from tests.integration.operating import Namespace, until
from tests.integration.test_rights import ASKED_IN_A_RACE, ASKED_IN_ADMISSION, Tour, site_in, travel
from tests.operator_process import OperatorProcess
from tests.rights import bound


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
    account = only(chart, "ServiceAccount")
    kubectl("apply", "-f", "-", input=yaml.safe_dump_all([account, *roles]))
    name = account["metadata"]["name"]
    user = f"system:serviceaccount:{home}:{name}"
    token = kubectl("-n", home, "create", "token", name, "--duration=24h").strip()
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", control_plane.url, control_plane.ca, token)
    until(lambda: all(has_rights(kubectl, user, f"--namespace={namespace}") for namespace in watched))
    arguments = [f"--lease-namespace={home}", f"--profiles={site}", f"--lease-name={name}"]
    arguments += [f"--namespace={namespace}" for namespace in watched]
    tour = Tour(control_plane, site / "site.yaml", user, watched)
    in_use = travel(tour, lambda name: OperatorProcess(kubeconfig, tmp_path, *arguments, name=name))
    given = bound(roles, name, home)
    assert in_use <= given
    assert given - in_use - ASKED_IN_A_RACE == ASKED_IN_ADMISSION
