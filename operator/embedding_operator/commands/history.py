"""`history`: the stored revisions of a service. It reads and never writes."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime

from embedding_operator.api import names
from embedding_operator.commands import options
from embedding_operator.commands.ages import age
from embedding_operator.commands.session import Session, with_cluster
from embedding_operator.commands.terminal import GREEN, Screen
from embedding_operator.kube.resources import PODS, REVISIONS, Object
from embedding_operator.planning.history import Entry, history, short

_COLUMNS = ("CURRENT", "REVISION", "CREATED", "AGE", "PODS", "IMAGE", "VLLM", "WEIGHTS", "CHANGE")
_CHANGES = 3  # in a table


def add(parser: argparse.ArgumentParser) -> None:
    """`history NAME`."""
    parser.usage = "{prog} history NAME [-n NAME] [-o json]"
    parser.description = """
The stored revisions of an EmbeddingService: what each runs, what was changed for it, and how many pods have it.
"""
    parser.epilog = """
examples:
  {prog} history qwen -n search
  {prog} history qwen -o json | jq '.[-1].changes'

The current revision, which new pods get, is marked; PODS are those that are ready, and all. Going back to a revision \
gives it a new number.
exit codes: 0 shown, 1 it cannot be read, 2 wrong arguments.
"""
    options.add_service(parser)
    parser.add_argument(
        "-o",
        "--output",
        default="table",
        choices=("table", "json"),
        metavar="FORMAT",
        help="table; json: with all changes and the specs (default: %(default)s)",
    )
    options.add_namespace(parser)
    options.add_cluster(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show them."""

    async def show(session: Session) -> int:
        await session.service(arguments.name)
        entries = await entries_of(session, arguments.name)
        if arguments.output == "json":
            print(json.dumps([described(entry) for entry in entries], indent=2, ensure_ascii=False))
        else:
            screen = Screen(sys.stdout)
            screen.print(table(entries, datetime.now(UTC), screen))
        return 0

    return with_cluster(arguments, show)


async def entries_of(session: Session, name: str) -> list[Entry]:
    """The revisions of a service, and who runs them."""
    selector = f"{names.SERVICE_LABEL}={name}"
    stored = await session.client.list(REVISIONS, session.namespace, selector)
    return history(stored.items, (await session.client.list(PODS, session.namespace, selector)).items)


def table(entries: Iterable[Entry], now: datetime, screen: Screen) -> list[str]:
    """As kubectl writes tables."""
    rows = [_row(entry, now, screen) for entry in entries]
    if not rows:
        return ["no revisions yet: the first is made once the weights are staged"]
    return screen.table(_COLUMNS, rows)


def _row(entry: Entry, now: datetime, screen: Screen) -> tuple[str, ...]:
    resolved, weights = entry.revision.resolved, entry.revision.weights
    more = len(entry.changes) - _CHANGES
    changes = [*entry.changes[:_CHANGES], *([f"and {more} more"] if more > 0 else [])]
    return (
        screen.paint(GREEN, "*") if entry.current else "",
        str(entry.revision.number),
        entry.created,
        age(entry.created, now),
        f"{entry.ready}/{len(entry.pods)}",
        str(resolved.get("image") or ""),
        str(resolved.get("vllm") or ""),
        short(str(weights.get("revision") or entry.revision.digest)),
        "; ".join(changes),
    )


def described(entry: Entry) -> Object:
    """One revision as JSON."""
    one = entry.revision
    return {
        "revision": one.number,
        "name": one.name,
        "current": entry.current,
        "created": entry.created,
        "image": one.resolved.get("image"),
        "vllm": one.resolved.get("vllm"),
        "weights": one.weights | {"digest": one.digest},
        "changes": list(entry.changes),
        "pods": list(entry.pods),
        "readyPods": entry.ready,
        "spec": one.spec,
    }
