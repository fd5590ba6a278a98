"""`status`: how services, jobs and their weights stand, once or over and over. It reads and never writes."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import yaml

from embedding_operator.api import names
from embedding_operator.commands import CommandError, argvalues, options
from embedding_operator.commands.picture import Scene, picture, used_by
from embedding_operator.commands.session import Session, with_cluster
from embedding_operator.commands.shown import AT_WORK, READY, STALLED, standing
from embedding_operator.commands.terminal import Screen
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import EMBEDDING_JOBS, EMBEDDING_SERVICES, MODEL_CACHES, PODS, Object

EVERY = 2.0  # seconds between two looks
_SHARE = 10  # of the time, at most one in so many is spent asking: ten thousand services take long to list
_AWAY = "as of a while ago: "


def add(parser: argparse.ArgumentParser) -> None:
    """`status [NAME ...]`."""
    parser.usage = "{prog} status [NAME ...] [-n NAME | -A] [--watch] [-o FORMAT]"
    parser.description = """
How EmbeddingServices, EmbeddingJobs and ModelCaches stand: what is ready, what is at work, and of what is neither, \
the sentence that says why and what to do. With names, these services with their pods, these jobs, and the weights \
that they use.
"""
    parser.epilog = """
examples:
  {prog} status --watch              go on until interrupted, with a bar while weights are staged or rows embedded
  {prog} status -A                   of the whole cluster
  {prog} status qwen -n search       one service, with its pods
  {prog} status -o json | jq '.items[].status.conditions'

It takes the right to list embeddingservices, embeddingjobs and modelcaches, and with names to list pods.
exit codes: 0 shown, 1 it cannot be read, 2 wrong arguments.
"""
    parser.add_argument(
        "names",
        nargs="*",
        type=argvalues.object_name,
        metavar="NAME",
        help="EmbeddingServices or EmbeddingJobs (default: all)",
    )
    parser.add_argument("-w", "--watch", action="store_true", help="go on until interrupted")
    parser.add_argument(
        "-o",
        "--output",
        choices=("table", "wide", "json", "yaml"),
        default="table",
        metavar="FORMAT",
        help="table; wide: with version, revision and endpoint; json or yaml: the objects (default: %(default)s)",
    )
    options.add_namespace(parser, several=True)
    options.add_cluster(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show it."""
    if arguments.watch and arguments.output in ("json", "yaml"):
        raise CommandError(f"--watch draws a picture, and -o {arguments.output} is none: leave one of them out")
    return with_cluster(arguments, lambda session: _show(session, arguments))


async def _show(session: Session, arguments: argparse.Namespace) -> int:
    if arguments.output in ("json", "yaml"):
        scene = await look(session, arguments)
        several = {"apiVersion": "v1", "kind": "List", "items": [*scene.services, *scene.jobs, *scene.caches]}
        if arguments.output == "json":
            print(json.dumps(several, indent=2, ensure_ascii=False))
        else:
            yaml.safe_dump(several, sys.stdout, sort_keys=False, allow_unicode=True, width=110)
        return 0
    screen = Screen(sys.stdout)
    if arguments.watch:
        await _watch(session, arguments, screen)
    screen.print(picture(await look(session, arguments), screen, datetime.now(UTC)))
    return 0


async def _watch(session: Session, arguments: argparse.Namespace, screen: Screen) -> None:
    """Draw it again whenever it has changed, until interrupted; while the API server is away, what was seen last."""
    before: list[str] = []
    scene: Scene | None = None
    while True:
        began = asyncio.get_running_loop().time()
        away = ""
        try:
            scene = await look(session, arguments)
        except ApiError as error:
            if scene is None or not error.is_temporary:
                raise
            away = f"{_AWAY}{error.message}"
        now = fitted(scene, screen, datetime.now(UTC), away)
        if now != before:
            redraw(now, before, screen)
        before = now
        took = asyncio.get_running_loop().time() - began
        await asyncio.sleep(max(EVERY, (_SHARE - 1) * took))


async def look(session: Session, arguments: argparse.Namespace) -> Scene:
    """Ask the API server."""
    namespace = None if arguments.all_namespaces else session.namespace
    services = (await session.client.list(EMBEDDING_SERVICES, namespace)).items
    jobs = await _jobs(session, namespace)
    caches = (await session.client.list(MODEL_CACHES, namespace)).items
    pods: dict[tuple[str, str], list[Object]] = {}
    if arguments.names:
        there = {str(one["metadata"]["name"]) for one in (*services, *jobs)}
        for name in arguments.names:
            if name not in there:
                where = f"in namespace {namespace} (-n names another)" if namespace else "in any namespace"
                raise CommandError(f"{name}: there is no such EmbeddingService or EmbeddingJob {where}")
        services = [one for one in services if one["metadata"]["name"] in arguments.names]
        jobs = [one for one in jobs if one["metadata"]["name"] in arguments.names]
        used = {(one["metadata"]["namespace"], used_by(one)) for one in (*services, *jobs)}
        caches = [one for one in caches if (one["metadata"]["namespace"], one["metadata"]["name"]) in used]
        for one in services:
            key = one["metadata"]["namespace"], one["metadata"]["name"]
            pods[key] = (await session.client.list(PODS, key[0], f"{names.SERVICE_LABEL}={key[1]}")).items
    return Scene(services, caches, pods, arguments.all_namespaces, arguments.output == "wide", jobs)


async def _jobs(session: Session, namespace: str | None) -> list[Object]:
    """None where the cluster does not have the kind, or does not show it to this user yet."""
    try:
        return (await session.client.list(EMBEDDING_JOBS, namespace)).items
    except ApiError as error:
        if error.is_not_found or error.is_forbidden:
            return []
        raise


def fitted(scene: Scene, screen: Screen, now: datetime, away: str = "") -> list[str]:
    """As much as can be drawn over again: what scrolled out of a terminal cannot. Troubles go first then."""
    lines = [*picture(scene, screen, now), *(screen.told(away, indent="") if away else ())]
    room = None if screen.height is None else max(3, screen.height - 1)  # a line for the cursor
    if room is None or len(lines) <= room:
        return lines
    rank = (STALLED, AT_WORK, READY)
    worst = Scene(
        sorted(scene.services, key=lambda one: rank.index(standing(one))),
        sorted(scene.caches, key=lambda one: rank.index(standing(one))),
        scene.pods,
        scene.namespaces,
        scene.wide,
        sorted(scene.jobs, key=lambda one: rank.index(standing(one))),
    )
    lines = picture(worst, screen, now)
    told = [f"… and {len(lines) - room + 1} more lines: name a service, or a namespace with -n"]
    told += screen.told(away, indent="")[:1] if away else []
    return [*lines[: room - len(told)], *told]


def redraw(now: Sequence[str], before: Sequence[str], screen: Screen) -> None:
    """In the place of what was there, on a terminal; below it, in a file."""
    if before and screen.is_terminal:
        screen.out.write(f"\x1b[{len(before)}F\x1b[J")
    screen.print(now)
