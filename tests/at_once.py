"""Which tests `-n 2` keeps together: all that share the cluster with nodes, and else those of a file."""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadFileScheduling

NODES = ("tests/chaos/", "tests/e2e/")


class OneCluster(LoadFileScheduling):
    """One worker has all the nodes, and mostly waits for them; the other runs everything else beside it."""

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)


def scope(nodeid: str) -> str:
    """What ``nodeid`` is kept together with. (Groups by marks are ignored by pytest-xdist 3.8 under pytest 9.2.)"""
    return "nodes" if nodeid.startswith(NODES) else nodeid.partition("::")[0]


def refuse_strays(starting_nodes: list[pytest.Item]) -> None:
    """Tests with nodes have their places; elsewhere a second cluster would be started for them."""
    strays = [item.nodeid for item in starting_nodes if scope(item.nodeid) != "nodes"]
    if strays:
        raise pytest.UsageError(f"tests that start nodes belong into {' or '.join(NODES)}: {', '.join(strays)}")
