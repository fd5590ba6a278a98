"""`python -m benchmarks.staging`: how fast a model comes from a hub to a volume, beside others who fetch it.

docs/performance.md says what is measured and how to read it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import report, staging_report
from benchmarks.staging_arms import ARIA2, ARMS, Arm
from benchmarks.staging_hub import Hub
from benchmarks.staging_measure import Run, measure
from embedding_operator.commands.argvalues import positive
from tests.cluster.errors import ClusterError
from tests.cluster.packages import install, leaves_out_nodes


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is asked for, print it, keep it."""
    arguments = _parser().parse_args(argv)
    try:
        arms = _runnable(arguments.arms)
        with tempfile.TemporaryDirectory(prefix="benchmark-", dir=arguments.directory) as scratch:
            runs = _rounds(arguments, arms, Path(scratch).resolve())
    except (ClusterError, RuntimeError, OSError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    print(staging_report.text(runs, markdown=arguments.markdown))
    if arguments.output:
        kept = {"machine": report.machine(), "runs": [run.to_dict() for run in runs]}
        arguments.output.write_text(json.dumps(kept, indent=1) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.staging", description=__doc__)
    add = parser.add_argument
    add("--gigabytes", type=float, default=6, metavar="G", help="of weights (default: %(default)s); twice that on disk")
    add("--rounds", type=positive, default=1, metavar="R", help="each with all arms; who is first takes turns (1)")
    add("--arms", type=_arms, default=ARMS, metavar="A,A", help=f"default: {','.join(arm.name for arm in ARMS)}")
    add("--schemes", type=lambda text: text.split(","), default=["http", "https"], help="default: http,https")
    add("--directory", type=Path, metavar="DIR", help="on the disk that is to be measured (default: that of /tmp)")
    add("--compare", action="store_true", help="compare what came byte by byte, when the clock has stopped")
    add("--markdown", action="store_true", help="print Markdown, for docs/performance.md")
    add("--output", type=Path, metavar="FILE", help="write all runs as JSON")
    return parser


def _arms(words: str) -> list[Arm]:
    """By the beginnings of their names."""
    return [arm for arm in ARMS if any(arm.name.startswith(word) for word in words.split(","))]


def _runnable(arms: Sequence[Arm]) -> list[Arm]:
    """Those whose programs are here, or can be had."""
    if shutil.which("aria2c") is None and leaves_out_nodes("installing aria2c"):
        _say("left out, since it is not installed and you are not root: aria2c")
        return [arm for arm in arms if arm.name != ARIA2]
    install([package for package, program in (("aria2", "aria2c"), ("curl", "curl")) if shutil.which(program) is None])
    return list(arms)


def _rounds(arguments: argparse.Namespace, arms: Sequence[Arm], directory: Path) -> list[Run]:
    runs: list[Run] = []
    _say("making the files")
    with Hub(directory / "hub", int(arguments.gigabytes * 1e9)) as hub:
        for number in range(arguments.rounds):
            turns = [(arm, scheme) for arm in arms for scheme in arguments.schemes if arm.downloads]
            turns += [(arm, "") for arm in arms if not arm.downloads]
            first = number * len(turns) // arguments.rounds
            for arm, scheme in turns[first:] + turns[:first]:
                for run in measure(hub, arm, scheme, directory, compare=arguments.compare):
                    _say(f"{run.arm} {run.scheme}: {run.seconds:.1f} s, {run.cpu_seconds:.1f} s of CPU")
                    runs.append(run)
    return runs


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
