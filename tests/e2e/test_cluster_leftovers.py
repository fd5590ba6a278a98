"""A cluster leaves nothing on the machine, neither after ``down`` nor after its owner was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import state
from tests.cluster.cleanup import clean_up_orphans
from tests.cluster.cluster import Cluster

pytestmark = pytest.mark.cluster

_OWNER = """
import sys, time
from tests.cluster.cluster import Cluster
Cluster.up(sys.argv[1], nodes=1, npus=1, die_with_parent=True)
print("up", flush=True)
time.sleep(600)
"""


def traces(name: str, link: str) -> list[str]:
    """Everything on the machine that belongs to the cluster ``name``."""
    directory = str(state.bulk_directory(name))
    found = [str(path) for path in Path("/run/netns").glob(f"eo-{name}-*")]
    found += [str(path) for path in (Path("/sys/class/net") / link, state.bulk_directory(name)) if path.exists()]
    found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/embedding-operator-{name}")]
    found += [str(path) for path in state.REGISTRY.glob(f"{name}.json")]
    found += [line for line in Path("/proc/mounts").read_text().splitlines() if directory in line]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            known = (process / "cmdline").read_text() + (process / "environ").read_text(errors="replace")
        except OSError:
            continue  # ended meanwhile
        if directory in known:
            found.append(f"{process.name}: {known[:80]!r}")
    return found


def firewall() -> str:
    rules = subprocess.run(["/usr/sbin/iptables", "-t", "nat", "-S"], capture_output=True, text=True, check=True)
    return rules.stdout


def test_nothing_is_left_after_down() -> None:
    name = f"gone-{os.getpid()}"
    rules = firewall()
    cluster = Cluster.up(name, nodes=1, npus=1)
    try:
        assert firewall() == rules, "a cluster changed the host's firewall"
        assert len(traces(name, cluster.network.link)) > 5
    finally:
        cluster.down()
    assert traces(name, cluster.network.link) == []


def test_nothing_is_left_after_the_owner_was_killed() -> None:
    name = f"crash-{os.getpid()}"
    command = [sys.executable, "-c", _OWNER, name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": "."}) as owner:
        assert owner.stdout is not None
        lines = iter(owner.stdout.readline, "")
        assert "up\n" in lines
        record = state.load(name)
        owner.send_signal(signal.SIGKILL)
    assert record is not None
    clean_up_orphans()  # what the next `up`, of any name, does first
    assert traces(name, f"eo{record.index}") == []
