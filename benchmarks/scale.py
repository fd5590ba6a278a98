"""`python -m benchmarks.scale`: many services on 100 nodes: their life, and an operator started where they are served.

docs/performance.md says what is measured and how to read it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks import command, flames, report, scalereport
from benchmarks.measure import Plan
from benchmarks.restart import Restart, measure_restart
from benchmarks.scenarios import STEPS, Step, measure_scenarios
from embedding_operator.commands.argvalues import positive


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is asked for, print it, keep it."""
    arguments = _parser().parse_args(argv)
    return command.run(partial(_run, arguments), arguments.logs)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    add = parser.add_argument
    add(
        "--restart",
        type=command.sizes,
        default=[500, 2000, 10000],
        metavar="N,N",
        help="default: 500,2000,10000; 0: none",
    )
    add("--life", type=command.sizes, default=[2000], metavar="N,N", help="default: 2000; 0: none")
    add("--first", choices=STEPS, default=STEPS[0], help="step that a life begins with (default: %(default)s)")
    add("--turns", type=positive, default=20, metavar="N", help="services that adopt a profile at a time (%(default)s)")
    add("--quiet", type=float, default=60, metavar="S", help="seconds left alone (default: %(default)s)")
    add("--rest", type=float, default=4, metavar="S", help="without a request: at rest (default: %(default)s)")
    add("--settle", type=float, default=15, metavar="S", help="at rest before the first step (default: %(default)s)")
    add("--timeout", type=float, default=1800, metavar="S", help="for one step (default: %(default)s)")
    add("--markdown", action="store_true", help="print Markdown, for docs/performance.md")
    add("--output", type=Path, metavar="FILE", help="write all figures as JSON")
    add("--flames", type=Path, metavar="FILE", help="draw where the time of the largest restart goes, as SVG")
    add("--logs", type=Path, metavar="DIRECTORY", help="keep the logs of all processes there (a new directory)")
    return parser


def _run(arguments: argparse.Namespace, directory: Path) -> None:
    restarts: list[Restart] = []
    steps: list[Step] = []
    for services in sorted(arguments.restart):
        last = services == max(arguments.restart)
        samples = directory / "samples" if arguments.flames and last else None
        restarts.append(measure_restart(directory / f"restart-{services}", _plan(arguments, services), samples))
        command.say(f"started with {services:,} services: caught up after {restarts[-1].seconds:.1f} s")
        if samples:
            title = f"An operator that starts with {services:,} services: where its CPU time goes"
            arguments.flames.write_text(flames.draw(flames.stacks_of(samples), title))
    for services in arguments.life:
        plan, where = _plan(arguments, services), directory / f"life-{services}"
        steps += measure_scenarios(where, plan, arguments.turns, arguments.first)
    print(report.machine(), scalereport.text(restarts, steps, markdown=arguments.markdown), sep="\n\n")
    figures = {"restarts": [vars(one) for one in restarts], "steps": [vars(one) for one in steps]}
    command.keep(arguments.output, {"machine": report.machine()} | figures)


def _plan(arguments: argparse.Namespace, services: int) -> Plan:
    waits = (arguments.timeout, arguments.rest, arguments.settle, arguments.quiet)
    return Plan(services, 2, 16, *waits)


if __name__ == "__main__":
    sys.exit(main())
