"""`python -m benchmarks.healing`: how soon a child that somebody deleted is there again, on a real API server.

From the answer to the deletion to the first look that finds its successor; looks follow each other without a pause.
docs/reliability.md says what came of it.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from embedding_operator.commands.argvalues import positive
from embedding_operator.kube.client import KubeClient
from embedding_operator.kube.connection import connect
from embedding_operator.kube.resources import ObjectKey
from tests.cluster.controlplane import ControlPlane
from tests.integration.kinds import install_kinds
from tests.integration.operating import Namespace, until
from tests.operator_process import OperatorProcess

KINDS = ("ConfigMap", "ControllerRevision", "Deployment", "PodDisruptionBudget", "Service")
_LABEL = "app.kubernetes.io/managed-by=embedding-operator"


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.healing", description=__doc__)
    parser.add_argument("--rounds", type=positive, default=20, metavar="N", help="deletions of each kind (%(default)s)")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as directory, ControlPlane(Path(directory) / "control-plane") as control_plane:
        install_kinds(control_plane.kubectl)
        with OperatorProcess(control_plane.kubeconfig, Path(directory)):
            namespace = _served(control_plane)
            print("| child | deletions | median ms | longest ms |\n|---|---|---|---|")
            for kind in KINDS:
                name = namespace.items(kind, _LABEL)[0]["metadata"]["name"]
                key = ObjectKey(kind, namespace.name, name)
                took = [1000 * asyncio.run(_heal(control_plane.kubeconfig, key)) for _ in range(rounds)]
                print(f"| {kind} | {rounds} | {statistics.median(took):.0f} | {max(took):.0f} |", flush=True)


def _served(control_plane: ControlPlane) -> Namespace:
    namespace = Namespace(control_plane.kubectl)
    namespace.claim()
    namespace.service()
    namespace.stage()
    until(lambda: all(namespace.items(kind, _LABEL) for kind in KINDS))
    return namespace


async def _heal(kubeconfig: Path, key: ObjectKey) -> float:
    """Seconds until a deleted child has a successor."""
    connection = await connect(kubeconfig)
    try:
        client = KubeClient(connection)
        before = await client.get(key)
        assert before is not None
        uid = before["metadata"]["uid"]
        await client.delete(key, uid=uid)
        began = time.perf_counter()
        while True:
            now = await client.get(key)
            if now is not None and now["metadata"]["uid"] != uid:
                return time.perf_counter() - began
    finally:
        await connection.close()


if __name__ == "__main__":
    main()
