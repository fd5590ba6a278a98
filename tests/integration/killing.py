"""An operator of one namespace that SIGKILL ends right after its n-th call, while everybody else goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.cluster.controlplane import ControlPlane
from tests.integration.operating import Namespace
from tests.operator_process import IMAGE

ROOT = Path(__file__).parents[2]


def dies(
    control_plane: ControlPlane,
    namespace: Namespace,
    *,
    calls: int,
    go_on: Callable[[Namespace], object],
    is_over: Callable[[Namespace], bool],
) -> bool:
    """Run an operator of this namespace until its n-th call killed it (True), or it has no more to do."""
    command = [sys.executable, "-m", "tests.killed_operator", str(calls), "calls", "run", f"--image={IMAGE}"]
    command += [f"--kubeconfig={control_plane.kubeconfig}", "--health-port=0", "--log-level=error"]
    command += [f"--namespace={namespace.name}", f"--lease-namespace={namespace.name}"]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": "operator:."})
    try:
        while process.poll() is None:
            go_on(namespace)
            if is_over(namespace):
                return False
            time.sleep(0.2)
        assert process.returncode == -9
        return True
    finally:
        process.kill()
        process.wait()


def forget_who_led(namespace: Namespace) -> None:
    """As if its Lease had run out already."""
    for lease in namespace.kubectl("get", "lease", "embedding-operator", "--ignore-not-found", "-o", "name").split():
        # given up and not deleted: its uid is what volumes know the cluster by
        namespace.kubectl("patch", lease, "--type=merge", "-p", '{"spec": {"holderIdentity": ""}}')
