"""`python -m benchmarks.offline`: rows a second of an EmbeddingJob's pod, beside vLLM's own ways to embed a file.

docs/performance.md says what is measured and how to read it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import offline_memory
from benchmarks.offline_arms import OURS, RUN_BATCH, SCRIPT, Arm, Job, Run, RunBatch, Script
from benchmarks.offline_rows import data_sets
from benchmarks.report import Spread, machine, tabulated
from images.host import BuildError

GOAL = 0.95
"""Of the plain script's rate."""
_HEADER = ("rows", "way", "rows/s", "of the script's", "CPU s", "of it the driver's", "driver peak MB")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is asked for, print it, keep it."""
    arguments = _parser().parse_args(argv)
    runs: list[Run] = []
    samples: list[offline_memory.Sample] = []
    try:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
            directory = Path(scratch)
            if arguments.rounds:
                runs = _rounds(arguments, directory)
            if arguments.memory:
                _say(f"memory over {arguments.memory} rows")
                samples = offline_memory.measure(directory, arguments.memory)
    except (BuildError, RuntimeError, OSError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    print(text(runs, samples, markdown=arguments.markdown))
    if arguments.output:
        kept = {"machine": machine(), "load": os.getloadavg(), "runs": [asdict(run) for run in runs]}
        kept["memory"] = [asdict(sample) for sample in samples]
        arguments.output.write_text(json.dumps(kept, indent=1, default=str) + "\n")
    return 0


def text(runs: Sequence[Run], samples: Sequence[offline_memory.Sample], *, markdown: bool = False) -> str:
    """Everything."""
    parts = [machine()]
    if runs:
        names = list(dict.fromkeys(run.name for run in runs))
        arms = [arm for arm in (SCRIPT, OURS, RUN_BATCH) if any(run.arm == arm for run in runs)]
        rows = [_row(runs, name, arm) for name in names for arm in arms]
        parts += [tabulated(_HEADER, rows, markdown=markdown), "\n".join(_goals(runs, names))]
    if samples:
        rows = [[f"{sample.rows:,}", f"{sample.rss_mb:.0f}", f"{sample.cpu_seconds:.1f}"] for sample in samples]
        parts.append(tabulated(("rows done", "driver RSS MB", "driver CPU s"), rows, markdown=markdown))
    return "\n\n".join(parts)


def _row(runs: Sequence[Run], name: str, arm: str) -> list[str]:
    mine = [run for run in runs if (run.name, run.arm) == (name, arm)]
    cpu = [run.cpu_seconds for run in mine if run.cpu_seconds is not None]
    driver = [run.client_cpu_seconds for run in mine if run.client_cpu_seconds is not None]
    peak = [run.peak_mb for run in mine if run.peak_mb is not None]
    return [
        f"{mine[0].rows:,} {name}",
        arm,
        str(_spread([run.rate for run in mine])),
        "" if arm == SCRIPT else f"{ratio(runs, name, arm):.2f}",
        f"{statistics.median(cpu):.1f}" if cpu else "",
        f"{statistics.median(driver):.2f}" if driver else "",
        f"{max(peak):.0f}" if peak else "",
    ]


def ratio(runs: Sequence[Run], name: str, arm: str) -> float:
    """An arm's rate as a part of the plain script's: of each round, then the median."""
    rates, its_rates = ([run.rate for run in runs if (run.name, run.arm) == (name, one)] for one in (arm, SCRIPT))
    return statistics.median(one / other for one, other in zip(rates, its_rates, strict=True))


def _goals(runs: Sequence[Run], names: Sequence[str]) -> list[str]:
    told = []
    for name in names:
        mine = ratio(runs, name, OURS)
        told.append(f"{name}: {mine:.2f} of the plain script (goal {GOAL:g}: {_word(mine >= GOAL)})")
        if any(run.arm == RUN_BATCH for run in runs):
            batch = ratio(runs, name, RUN_BATCH)
            told.append(f"{name}: {mine / batch:.2f} times run-batch (goal: faster: {_word(mine > batch)})")
    return told


def _word(reached: bool) -> str:
    return "reached" if reached else "missed"


def _spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def _rounds(arguments: argparse.Namespace, directory: Path) -> list[Run]:
    sets = [data for data in data_sets(arguments.scale) if data.name in arguments.rows]
    runs: list[Run] = []
    _say("loading the model twice")
    with Job(directory) as job, Script(directory) as script:
        arms: list[Arm] = [job, script]
        if not arguments.without_run_batch:
            arms.append(RunBatch(directory))
        job.run(sets[0], sets[0].texts()[:256])  # the first requests of a server are slow
        for number in range(arguments.rounds):
            for data in sets:
                texts = data.texts()
                first = number % len(arms)
                made = {}
                for arm in arms[first:] + arms[:first]:
                    run = arm.run(data, texts)
                    _say(f"round {number + 1}: {data.name}: {run.arm}: {run.rate:.1f} rows/s")
                    made[run.arm] = run
                    runs.append(run)
                left, right = made[OURS].vectors, made[SCRIPT].vectors
                assert left is not None
                assert right is not None
                if (least := script.least_cosine(left, right)) < 0.9999:
                    raise RuntimeError(f"{data.name}: the arms' vectors differ: a cosine of {least}")
    return runs


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.offline", description=__doc__)
    add = parser.add_argument
    add("--rounds", type=int, default=2, metavar="R", help="each with all ways; who is first takes turns (default: 2)")
    add("--rows", type=lambda text: text.split(","), default=["short", "long", "mixed"], metavar="NAME,…")
    add("--scale", type=float, default=1.0, metavar="F", help="so many times as many rows (default: 1)")
    add("--without-run-batch", action="store_true", help="it loads its model anew for each run")
    add("--memory", type=int, default=0, metavar="ROWS", help="the driver's memory over so many rows, with the double")
    add("--markdown", action="store_true", help="print Markdown, for docs/performance.md")
    add("--output", type=Path, metavar="FILE", help="write all runs as JSON")
    return parser


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
