"""Directories in memory for etcd's data, where the machine has a tmpfs.

Each belongs to the directory of one control plane, and to the process that will take it down where it dies
with that process. What a crash left is found by its owner being gone; nobody else's is removed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from tests.cluster.processes import Program

_MEMORY = Path("/dev/shm")
_PREFIX = "embedding-operator-"


def memory_directory(owner: Path, process: Program | None = None) -> Path:
    """An empty directory for the control plane at ``owner``, to be forgotten once ``process`` has ended."""
    sweep_memory()
    if not (_MEMORY.is_dir() and os.access(_MEMORY, os.W_OK)):
        made = owner / "etcd-data"
    else:
        made = _MEMORY / f"{_PREFIX}{hashlib.sha256(str(owner).encode()).hexdigest()[:12]}"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(mode=0o700)
    owned = {"directory": str(owner), "pid": process and process.pid, "born": process and process.born}
    (made / "owner.json").write_text(json.dumps(owned))
    data = made / "data"
    data.mkdir(mode=0o700)
    return data


def remove_memory_directory(data: Path) -> None:
    """Forget what ``memory_directory`` made."""
    shutil.rmtree(data.parent, ignore_errors=True)


def sweep_memory() -> None:
    """Remove the data of control planes whose directory or process is gone."""
    if not _MEMORY.is_dir():
        return
    for candidate in _MEMORY.glob(f"{_PREFIX}*"):
        try:
            owned = json.loads((candidate / "owner.json").read_text())
        except (OSError, ValueError):
            continue  # another user's, or just being made
        gone = not Path(owned["directory"]).exists()
        if gone or (owned["pid"] and not Program("owner", owned["pid"], owned["born"]).alive()):
            shutil.rmtree(candidate, ignore_errors=True)
