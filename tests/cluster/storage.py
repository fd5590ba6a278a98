"""Directories that all nodes see, each offered as a static ReadWriteMany PersistentVolume.

To the cluster they are what an administrator's NFS export is: same path, same files, on every node. The
directories are open to every user, as tests choose the ids that they run with.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.cluster.kubectl import Kubectl

SHARED = "shared-weights"
_ON_NODES = "/var/lib/volumes"


def create_volume(kubectl: Kubectl, volumes: Path, name: str, directory_of: str = "") -> Path:
    """Make the directory and its PersistentVolume, or one more of another's directory; returns it on the host."""
    directory = volumes / (directory_of or name)
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o777)
    kubectl("apply", "-f", "-", input=json.dumps(_volume(name, directory.name)))
    return directory


def _volume(name: str, directory: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "100Gi"},
            "accessModes": ["ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "hostPath": {"path": f"{_ON_NODES}/{directory}", "type": "Directory"},
        },
    }
