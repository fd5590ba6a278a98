"""Takes a cluster down, or what a crash left of one, from its record alone.

Ends only processes that are recorded or live in the cluster's own network namespaces.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from pathlib import Path

from tests.cluster import processes, state
from tests.cluster.cgroups import remove_cgroups
from tests.cluster.errors import ClusterError
from tests.cluster.network import Network
from tests.cluster.scratch import sweep_memory
from tests.cluster.waiting import wait_until


def clean_up(name: str) -> None:
    """Remove every trace of the cluster; fine to call when there is none."""
    record = state.load(name)
    network = Network(name, record.index if record else -1)
    if record:
        processes.stop(record.programs)
    _end_strays(network)
    network.delete()
    remove_cgroups(name)
    for directory in {state.bulk_directory(name), *([Path(record.directory)] if record else [])}:
        _remove(directory)
    sweep_memory()
    if record:
        record.forget()


def clean_up_orphans() -> None:
    """Take down clusters whose owner died without doing it."""
    for record in state.load_all():
        if record.orphaned():
            print(f"  taking down cluster {record.name}, left by a process that died", flush=True)
            clean_up(record.name)


def _end_strays(network: Network) -> None:
    def none_left() -> bool:
        pids = network.processes()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not pids

    wait_until(f"the processes of cluster {network.name} have ended", none_left, timeout=30)


def _remove(directory: Path) -> None:
    mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    if any(Path(mount).is_relative_to(directory) for mount in mounted):
        raise ClusterError(f"something is mounted below {directory}; unmount it, then try again")
    shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        raise ClusterError(f"cannot remove {directory}; look what holds it")
    with contextlib.suppress(OSError):  # the parent goes with its last cluster
        directory.parent.rmdir()
