"""What install.yaml brings beside the operator itself: its rights, those of users, and the admission policies.

Tests run the operator as its ServiceAccount, so that what it may not do in a cluster, it may not do here either.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from charts.manifests import NAMESPACE
from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.cluster.kubectl import Kubectl, write_kubeconfig
from tests.cluster.waiting import wait_until
from tests.operator_process import OperatorProcess
from tests.rights import ACCOUNT, OPERATOR, objects

CLI = "embedding_operator.cli"
RIGHTS = ("Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
POLICIES = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")


def install(kubectl: Kubectl, *kinds: str) -> None:
    """Apply them."""
    manifests = yaml.safe_dump_all(objects(*kinds))
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=manifests)


def uninstall(kubectl: Kubectl, *kinds: str) -> None:
    """Delete them again."""
    kubectl("delete", "-f", "-", input=yaml.safe_dump_all(objects(*kinds)))


def as_operator(control_plane: ControlPlane) -> Path:
    """A kubeconfig of the operator's ServiceAccount, which has the rights of install.yaml and no others."""
    kubeconfig = control_plane.directory / "operator.kubeconfig"
    if not kubeconfig.exists():
        kubectl = control_plane.kubectl
        install(kubectl, *RIGHTS)
        token = kubectl("-n", NAMESPACE, "create", "token", ACCOUNT, "--duration=24h").strip()
        write_kubeconfig(kubeconfig, control_plane.url, control_plane.ca, token)
        wait_until("the operator has its rights", lambda: has_rights(kubectl, OPERATOR, "--all-namespaces"))
    return kubeconfig


def has_rights(kubectl: Kubectl, user: str, where: str) -> bool:
    """Asked by the administrator, so that the operator's own requests are all that the audit log has of it."""
    try:
        asked = kubectl("auth", "can-i", "list", "deployments.apps", where, f"--as={user}")
    except ClusterError:  # it says no by its exit code
        return False
    return asked.strip() == "yes"


def operator_of(
    control_plane: ControlPlane, directory: Path, *arguments: str, name: str = "operator", module: str = CLI
) -> OperatorProcess:
    """The operator as a process of its own, with the rights of install.yaml."""
    lease = f"--lease-namespace={NAMESPACE}"
    return OperatorProcess(as_operator(control_plane), directory, lease, *arguments, name=name, module=module)
