"""`python -m benchmarks.turns`: how long it takes to say whose turn it is to follow a profile, among thousands.

No API server: services are noted as a reconcile notes them (controllers/turns.py), take their turns, and are ready at
once. docs/performance.md has the table.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Final

from benchmarks import command, report
from embedding_operator.api.names import EMBEDDING_SERVICE
from embedding_operator.commands.argvalues import positive
from embedding_operator.controllers.following import Following
from embedding_operator.kube.resources import ObjectKey
from embedding_operator.planning.follow import Phase, Standing

_HEADER: Final = ("services behind", "all looked at, CPU s", "all followed, CPU s", "µs per service")
_PROFILE: Final = "npu"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is asked for, print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.turns", description=__doc__)
    parser.add_argument("--services", type=command.sizes, default=[1000, 2000, 4000, 8000, 16000], metavar="N,N")
    parser.add_argument("--at-once", type=positive, default=100, metavar="N", help="maxConcurrent (%(default)s)")
    parser.add_argument("--markdown", action="store_true", help="print Markdown, for docs/performance.md")
    arguments = parser.parse_args(argv)
    rows = [_row(services, arguments.at_once) for services in arguments.services]
    print(report.machine(), report.tabulated(_HEADER, rows, markdown=arguments.markdown), sep="\n\n")
    return 0


def _row(services: int, at_once: int) -> list[str]:
    looked_at, followed = measure(services, at_once)
    each = 1e6 * (looked_at + followed) / services
    return [f"{services:,}", f"{looked_at:.2f}", f"{followed:.2f}", f"{each:.0f}"]


def measure(services: int, at_once: int) -> tuple[float, float]:
    """Seconds of CPU until all were looked at once, and from then on until all have followed."""
    keys = [ObjectKey(EMBEDDING_SERVICE, f"team-{index // 200:03}", f"s-{index:05}") for index in range(services)]
    behind, settled = (Standing(phase, _PROFILE, at_once) for phase in (Phase.BEHIND, Phase.SETTLED))
    following = Following()
    began = time.process_time()
    for key in keys:
        following.note(key, behind, keys)
    looked_at = time.process_time() - began
    turns = [key for key in keys if following.take(key)]
    for key in turns:  # which grows
        turns += [woken for woken in following.note(key, settled, keys) if following.take(woken)]
    if turns != keys:
        raise RuntimeError(f"of {services} services {len(turns)} had their turn, or not in their order")
    return looked_at, time.process_time() - began - looked_at


if __name__ == "__main__":
    sys.exit(main())
