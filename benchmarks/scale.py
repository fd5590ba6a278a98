"""`python -m benchmarks.scale`: many services on 100 nodes: their life, and an operator started where they are served.

docs/performance.md says what is measured and how to read it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import flames, report, scalereport
from benchmarks.measure import Plan
from benchmarks.restart import Restart, measure_restart
from benchmarks.scenarios import Step, measure_scenarios
from tests.cluster.errors import ClusterError


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is asked for, print it, keep it."""
    arguments = _parser().parse_args(argv)
    try:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
            _run(arguments, (arguments.logs or Path(scratch)).absolute())
    except (ClusterError, RuntimeError, TimeoutError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    add = parser.add_argument
    add("--restart", type=_sizes, default=[500, 2000, 10000], metavar="N,N", help="default: 500,2000,10000; 0: none")
    add("--life", type=_sizes, default=[2000], metavar="N,N", help="default: 2000; 0: none")
    add("--turns", type=int, default=20, metavar="N", help="services that adopt a profile at a time (%(default)s)")
    add("--quiet", type=float, default=60, metavar="S", help="seconds left alone (default: %(default)s)")
    add("--rest", type=float, default=4, metavar="S", help="without a request: at rest (default: %(default)s)")
    add("--settle", type=float, default=15, metavar="S", help="at rest before the first step (default: %(default)s)")
    add("--timeout", type=float, default=1800, metavar="S", help="for one step (default: %(default)s)")
    add("--markdown", action="store_true", help="print Markdown, for docs/performance.md")
    add("--output", type=Path, metavar="FILE", help="write all figures as JSON")
    add("--flames", type=Path, metavar="FILE", help="draw where the time of the largest restart goes, as SVG")
    add("--logs", type=Path, metavar="DIRECTORY", help="keep the logs of all processes there (a new directory)")
    return parser


def _sizes(text: str) -> list[int]:
    return [size for size in map(int, text.split(",")) if size]


def _run(arguments: argparse.Namespace, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    restarts: list[Restart] = []
    steps: list[Step] = []
    for services in sorted(arguments.restart):
        last = services == max(arguments.restart)
        samples = directory / "samples" if arguments.flames and last else None
        restarts.append(measure_restart(directory / f"restart-{services}", _plan(arguments, services), samples))
        _say(f"started with {services:,} services: caught up after {restarts[-1].seconds:.1f} s")
        if samples:
            title = f"An operator that starts with {services:,} services: where its CPU time goes"
            arguments.flames.write_text(flames.draw(flames.stacks_of(samples), title))
    for services in arguments.life:
        steps += measure_scenarios(directory / f"life-{services}", _plan(arguments, services), arguments.turns)
        _say(f"{services:,} services: created, changed, rolled and deleted")
    print(report.machine(), scalereport.text(restarts, steps, markdown=arguments.markdown), sep="\n\n")
    if arguments.output:
        kept = {"machine": report.machine(), "restarts": [vars(one) for one in restarts]}
        arguments.output.write_text(json.dumps(kept | {"steps": [vars(one) for one in steps]}, indent=1) + "\n")


def _plan(arguments: argparse.Namespace, services: int) -> Plan:
    waits = (arguments.timeout, arguments.rest, arguments.settle, arguments.quiet)
    return Plan(services, 2, 16, *waits)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
