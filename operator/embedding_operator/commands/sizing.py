"""`plan`: how many replicas a rate needs, from what benchmarks have measured."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence

from embedding_operator.commands import CommandError, argvalues, benching, options
from embedding_operator.commands.comparing import settings
from embedding_operator.commands.figures import noise
from embedding_operator.commands.session import Session, with_cluster
from embedding_operator.commands.terminal import BOLD, YELLOW, Screen
from embedding_operator.planning.advice import Advice, AdviceError, Point, advise, describe


def add(parser: argparse.ArgumentParser) -> None:
    """`plan --rate N --p99 TIME NAME...`."""
    parser.usage = "{prog} plan NAME... --rate N --p99 TIME [-n NAME] [-o FORMAT]"
    parser.description = """
How many replicas answer so many requests a second within a time, from benchmarks of one kind of input: the fewest \
that any of the measured settings needs, and the point that this rests on. Between and beyond points nothing is guessed.
"""
    parser.epilog = """
examples:
  {prog} plan --rate 500 --p99 2s curve
  {prog} plan --rate 500 --p99 800ms small-batches large-batches    which settings need fewer

It takes the right to get embeddingbenchmarks.
exit codes: 0 told, 1 the benchmarks do not say, 2 wrong arguments.
"""
    parser.add_argument("benchmarks", nargs="+", type=argvalues.object_name, metavar="NAME", help="EmbeddingBenchmarks")
    parser.add_argument("--rate", type=argvalues.above_zero, required=True, metavar="N", help="requests a second")
    parser.add_argument(
        "--p99",
        type=argvalues.latency,
        required=True,
        metavar="TIME",
        help="for 99 of 100 of them, such as 2s or 800ms",
    )
    parser.add_argument(
        "-o", "--output", choices=("table", "json"), default="table", metavar="FORMAT", help="table or json"
    )
    options.add_namespace(parser)
    options.add_cluster(parser)


def run(arguments: argparse.Namespace) -> int:
    """Tell it."""
    return with_cluster(arguments, lambda session: _plan(session, arguments))


async def _plan(session: Session, arguments: argparse.Namespace) -> int:
    named = dict.fromkeys(arguments.benchmarks)
    benchmarks = [benching.view_of(await benching.stored(session, name)) for name in named]
    try:
        advice = advise(benchmarks, arguments.rate, arguments.p99)
    except AdviceError as error:
        raise CommandError(str(error)) from None
    if arguments.output == "json":
        print(json.dumps(described(advice, arguments.rate, arguments.p99), indent=2, ensure_ascii=False))
    else:
        screen = Screen(sys.stdout)
        screen.print(shown(advice, arguments.rate, arguments.p99, screen))
    return 0


def shown(advice: Advice, rate: float, p99: float, screen: Screen) -> list[str]:
    """The number, the point that it rests on, all points beside it, and what other settings need."""
    point = advice.point
    what = "replica answers" if advice.replicas == 1 else "replicas answer"
    lines = [
        screen.paint(BOLD, f"{advice.replicas} {what} {rate:g} requests/s, 99 of 100 within {p99:g} ms"),
        f"rests on {describe(point)}: {point.share:.2f} requests/s of each of {point.replicas}, p99 {point.p99:g} ms",
    ]
    if advice.replicas > point.replicas:
        lines += screen.told(
            f"measured with {point.replicas}: that {advice.replicas} do the same each is not, so measure again with "
            "them",
            indent="",
        )
    if (doubt := advice.doubt) is not None:
        told = f"{doubt.replicas} replicas did less each: by {describe(doubt)} it takes {doubt.needed(rate)}"
        lines += screen.told(told, YELLOW, indent="")
    return [*lines, "", *_table(advice.points, point, screen), *_others(advice)]


def _table(points: Sequence[Point], chosen: Point, screen: Screen) -> list[str]:
    rows = [
        [
            "*" if one == chosen else "",
            str(one.replicas),
            f"{one.share:.2f}",
            f"{one.p99:g}",
            noise(one.result),
            describe(one),
        ]
        for one in sorted(points, key=lambda one: one.p99)
    ]
    return screen.table(["", "REPLICAS", "REQ/S EACH", "P99 MS", "NOISE", "POINT"], rows)


def _others(advice: Advice) -> Iterator[str]:
    for count, other in advice.others:
        changed = "; ".join(settings(advice.point.settings, other.settings))
        yield f"with {changed}: {count} replicas, by {describe(other)}"


def described(advice: Advice, rate: float, p99: float) -> dict[str, object]:
    """The same as JSON."""
    return {
        "rate": rate,
        "p99Milliseconds": p99,
        "replicas": advice.replicas,
        "point": _point(advice.point),
        "service": advice.point.result.service.to_dict(),
        "points": [_point(one) for one in advice.points],
        "doubt": advice.doubt and {"replicas": advice.doubt.needed(rate), "point": _point(advice.doubt)},
        "others": [{"replicas": count, "point": _point(other)} for count, other in advice.others],
    }


def _point(point: Point) -> dict[str, object]:
    return {
        "benchmark": point.benchmark,
        "run": point.result.run,
        "replicas": point.replicas,
        "requestsPerSecondOfEach": round(point.share, 3),
        "p99Milliseconds": point.p99,
    }
