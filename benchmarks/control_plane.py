"""`python -m benchmarks.control_plane`: the operator against its limit, in turns, on fresh control planes.

docs/performance.md says what is measured and how to read it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks import command, picture, profiling, report
from benchmarks.arms import BARE, OPERATOR
from benchmarks.measure import Plan, Run, make_recording, measure, measure_profiled
from embedding_operator.commands.argvalues import positive


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is asked for, print it, keep it."""
    arguments = _parser().parse_args(argv)
    return command.run(partial(_run, arguments), arguments.logs)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.control_plane", description=__doc__)
    add = parser.add_argument
    add("--services", type=command.sizes, default=[100, 500, 2000], metavar="N,N", help="default: 100,500,2000")
    add("--runs", type=positive, default=3, metavar="R", help="rounds of operator and bare client (%(default)s)")
    add("--replicas", type=positive, default=2, metavar="R", help="of each service (default: %(default)s)")
    add("--workers", type=positive, default=16, metavar="W", help="of the operator; the peer has 16 (%(default)s)")
    add("--quiet", type=float, default=300, metavar="S", help="seconds at rest, last round only (default: %(default)s)")
    add("--rest", type=float, default=4, metavar="S", help="without a request: at rest (default: %(default)s)")
    add("--settle", type=float, default=15, metavar="S", help="at rest before the clock starts (default: %(default)s)")
    add("--timeout", type=float, default=900, metavar="S", help="until services must be ready (default: %(default)s)")
    add("--arm", choices=("both", "operator", "bare"), default="both", help="default: %(default)s")
    add("--profile", action="store_true", help="only this: one run of the operator under cProfile")
    add("--markdown", action="store_true", help="print Markdown, for docs/performance.md")
    add("--output", type=Path, metavar="FILE", help="write all runs as JSON")
    add("--picture", type=Path, metavar="FILE", help="draw them as SVG")
    add("--logs", type=Path, metavar="DIRECTORY", help="keep the logs of all processes there (a new directory)")
    return parser


def _run(arguments: argparse.Namespace, directory: Path) -> None:
    if arguments.profile:
        for services in arguments.services:
            run, stats = measure_profiled(directory / f"profile-{services}", _plan(arguments, services))
            print(report.text([run]))
            print(profiling.summary(stats))
        return
    runs = _rounds(arguments, directory)
    print(report.text(runs, markdown=arguments.markdown))
    command.keep(arguments.output, {"machine": report.machine(), "runs": [run.to_dict() for run in runs]})
    if arguments.picture:
        arguments.picture.write_text(picture.draw(report.summaries(runs)))


def _rounds(arguments: argparse.Namespace, directory: Path) -> list[Run]:
    arms = {"both": (OPERATOR, BARE), "operator": (OPERATOR,), "bare": (BARE,)}[arguments.arm]
    recording = directory / "recording.json"
    if BARE in arms:
        command.say("recording the operator's writes for one service")
        recording = make_recording(directory, _plan(arguments, 1))
    runs = []
    for services in arguments.services:
        for number in range(1, arguments.runs + 1):
            quiet = arguments.quiet if number == arguments.runs else 0.0
            for arm in arms if number % 2 else arms[::-1]:  # who is first takes turns
                where = directory / f"{services}-{number}-{arm.replace(' ', '-')}"
                plan = _plan(arguments, services, quiet if arm == OPERATOR else 0.0)
                run = measure(where, arm, plan, recording)
                told = f"children after {run.children_seconds:.1f} s, ready after {run.ready_seconds:.1f} s"
                command.say(f"{services} services, round {number}, {arm}: {told}, {run.cpu_seconds:.1f} s of CPU")
                runs.append(run)
    return runs


def _plan(arguments: argparse.Namespace, services: int, quiet: float = 0.0) -> Plan:
    return Plan(
        services, arguments.replicas, arguments.workers, arguments.timeout, arguments.rest, arguments.settle, quiet
    )


if __name__ == "__main__":
    sys.exit(main())
