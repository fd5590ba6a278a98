"""What a test run leaves out when an ordinary user starts it: all that starts nodes. It says so at its end.

Root leaves out nothing, and neither may CI: there the same thing is an error before the first test.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.cluster.errors import ClusterError
from tests.cluster.packages import leaves_out_nodes

_LEFT_OUT = pytest.StashKey[list[str]]()
_WHY = "they start nodes, which need root (network namespaces, mounts, cgroups)"


def leave_out_nodes(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what this user cannot run, and remember it; refuse where nothing may be left out."""
    needing_root = [item for item in items if starts_nodes(item)]
    try:
        if not needing_root or not leaves_out_nodes(f"running {len(needing_root)} of these tests"):
            return
    except ClusterError as error:
        raise pytest.UsageError(str(error)) from None
    items[:] = [item for item in items if item not in needing_root]
    config.hook.pytest_deselected(items=needing_root)
    config.stash[_LEFT_OUT] = [item.nodeid for item in needing_root]


def tell(reporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The last words of a run that left something out."""
    names: Sequence[str] = config.stash.get(_LEFT_OUT, [])
    if not names:
        return
    reporter.section("left out: you are not root", yellow=True)
    reporter.write_line(f"{len(names)} tests did not run: {_WHY}:")
    for name in names:
        reporter.write_line(f"  {name}")
    reporter.write_line("The images that they load were not built either (debootstrap and chroot need root).")
    reporter.write_line("To run them: the same command as root, or `make test-e2e` as root.")


def starts_nodes(item: pytest.Item) -> bool:
    """By the marker; `--strict-markers` keeps it spelt right, and the fixture says it of those that forgot."""
    asks = "cluster" in getattr(item, "fixturenames", ())
    is_a_parameter = "cluster" in getattr(getattr(item, "callspec", None), "params", {})
    return item.get_closest_marker("cluster") is not None or (asks and not is_a_parameter)
