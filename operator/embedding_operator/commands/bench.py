"""`bench`: measures a service, shows what a benchmark has measured, and compares two of them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from embedding_operator.api.benchmark import EmbeddingBenchmark
from embedding_operator.commands import CommandError, argvalues, benching, comparing, curve, figures, options
from embedding_operator.commands.session import Session, with_cluster
from embedding_operator.commands.shown import STALLED, condition, standing
from embedding_operator.commands.terminal import Screen

SHOW, COMPARE = "show", "compare"


def add(parser: argparse.ArgumentParser) -> None:
    """`bench SERVICE`, `bench show BENCHMARK`, `bench compare A B`."""
    parser.usage = """{prog} bench NAME [-n NAME] [load] [-o FORMAT] [--svg FILE]
       {prog} bench show NAME [-n NAME] [-o FORMAT] [--svg FILE]
       {prog} bench compare A B [-n NAME] [-o FORMAT]"""
    parser.description = """
Measure an EmbeddingService: an EmbeddingBenchmark is made and followed to its end, and its figures are shown. With \
several values of --concurrency or --rate, one run after the other. `show` follows one that exists, and `compare` says \
what is different between two, and whether that is beyond the noise.
"""
    parser.epilog = """
examples:
  {prog} bench qwen                                1000 inputs of 200 tokens, all at once, three times
  {prog} bench qwen --concurrency 1,8,64 --svg curve.svg
  {prog} bench qwen --concurrency 32 --dry-run > bench.yaml     the manifest, to be changed and applied
  {prog} bench show table
  {prog} bench compare before after

It takes the rights to get embeddingservices and to create and get embeddingbenchmarks; with the rights to list pods \
and to get pods/log it shows how far a run is.
exit codes: 0 measured, 1 it cannot be done or some figures are worthless, 2 wrong arguments.
"""
    parser.add_argument("names", nargs="+", metavar="NAME", help="an EmbeddingService; or what stands above")
    load = parser.add_argument_group("the load of a new benchmark")
    load.add_argument(
        "--input-tokens", type=argvalues.positive, default=200, metavar="N", help="of each input (default: %(default)s)"
    )
    load.add_argument(
        "--prompts",
        type=argvalues.positive,
        default=1000,
        metavar="N",
        help="inputs in each repeat (default: %(default)s)",
    )
    load.add_argument(
        "--concurrency", type=argvalues.counts, metavar="N,...", help="requests under way at a time (default: no limit)"
    )
    load.add_argument(
        "--rate", type=argvalues.rates, metavar="N,...", help="requests a second (default: as fast as they can be sent)"
    )
    load.add_argument(
        "--repeats", type=argvalues.positive, metavar="N", help="how often each run is measured (default: 3)"
    )
    load.add_argument("--warmup", type=argvalues.whole, metavar="N", help="inputs before each run (default: 50)")
    load.add_argument(
        "--benchmark",
        type=argvalues.object_name,
        metavar="NAME",
        help="what to call it (default: the service and the time)",
    )
    load.add_argument(
        "--dry-run",
        action="store_true",
        help="print the manifest of a load on a service that is there, and create nothing",
    )
    parser.add_argument(
        "-o",
        "--output",
        choices=("table", "json"),
        default="table",
        metavar="FORMAT",
        help="table or json (default: %(default)s)",
    )
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw latency over throughput there")
    options.add_namespace(parser)
    options.add_cluster(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do it."""
    words = arguments.names
    if words[0] == COMPARE and len(words) == 3:
        return with_cluster(arguments, lambda session: _compare(session, arguments))
    if words[0] == SHOW and len(words) == 2:
        return with_cluster(arguments, lambda session: _show(session, arguments, _named(words[1])))
    if len(words) != 1:
        raise CommandError("write the name of a service, `show` and a benchmark, or `compare` and two benchmarks")
    if arguments.concurrency and arguments.rate and len(arguments.concurrency) > 1 and len(arguments.rate) > 1:
        raise CommandError(
            "several values of --concurrency and of --rate are too many: give one of them a single value"
        )
    return with_cluster(arguments, lambda session: _measure(session, arguments, _named(words[0])))


def _named(word: str) -> str:
    try:
        return argvalues.object_name(word)
    except argparse.ArgumentTypeError as error:
        raise CommandError(str(error)) from None


async def _measure(session: Session, arguments: argparse.Namespace, name: str) -> int:
    service = await session.service(name)
    manifest = benching.manifest(service, arguments)
    if arguments.dry_run:
        benching.print_manifest(manifest)
        return 0
    made = await session.client.create(manifest, manager=benching.FIELD_MANAGER)
    return await _show(session, arguments, str(made["metadata"]["name"]))


async def _show(session: Session, arguments: argparse.Namespace, name: str) -> int:
    obj = await benching.stored(session, name)
    if standing(obj) not in benching.OVER:
        obj = await benching.follow(session, obj, Screen(sys.stderr))
    benchmark = benching.view_of(obj)
    if arguments.svg is not None:
        _draw(benchmark, arguments.svg)
    if arguments.output == "json":
        print(json.dumps(obj, indent=2, ensure_ascii=False))
    else:
        screen = Screen(sys.stdout)
        screen.print(figures.shown(benchmark, screen))
    if standing(obj) == STALLED:
        raise CommandError(f"embbench/{name}: {condition(obj, 'Ready').get('message')}")
    return 0 if all(one.valid for one in benchmark.status.results or ()) else 1


async def _compare(session: Session, arguments: argparse.Namespace) -> int:
    before, after = [benching.view_of(await benching.stored(session, _named(word))) for word in arguments.names[1:]]
    for one in (before, after):
        if not one.status.results:
            raise CommandError(
                f"embbench/{one.metadata.name}: it has no figures yet, see `bench show {one.metadata.name}`"
            )
    if not comparing.pairs(before, after):
        loads = [figures.kind_of_load(one.status.results[0].load) for one in (before, after) if one.status.results]
        raise CommandError(f"the loads have nothing in common, so neither have the figures: {'; and '.join(loads)}")
    if arguments.output == "json":
        print(json.dumps(comparing.described(before, after), indent=2, ensure_ascii=False))
    else:
        screen = Screen(sys.stdout)
        screen.print(comparing.compared(before, after, screen))
    return 0


def _draw(benchmark: EmbeddingBenchmark, path: Path) -> None:
    try:
        path.write_text(curve.draw(benchmark), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from None
