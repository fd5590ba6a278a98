"""`rollback`: writes the spec of a stored revision into its EmbeddingService, and nothing else.

What it does is seen there, can be undone there, and needs no right that editing the service does not.
"""

from __future__ import annotations

import argparse
import sys

from embedding_operator.api import names
from embedding_operator.api.codec import ApiValueError
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.commands import CommandError, argvalues, options
from embedding_operator.commands.difference import painted, unified
from embedding_operator.commands.history import entries_of
from embedding_operator.commands.session import Session, with_cluster
from embedding_operator.commands.terminal import YELLOW, Screen
from embedding_operator.kube.resources import Object
from embedding_operator.planning import rollback as planned
from embedding_operator.planning.revision import Revision
from embedding_operator.planning.rollback import RollbackError

FIELD_MANAGER = "embedding-operator-rollback"


def add(parser: argparse.ArgumentParser) -> None:
    """`rollback NAME`."""
    parser.usage = "{prog} rollback NAME [-n NAME] [--to-revision N] [--dry-run]"
    parser.description = """
Go back to a stored revision of an EmbeddingService: its spec is written into the service again, but for what does \
not reach the pods (replicas, suspend, exposure but for keys and TLS, and the like), and its pods come back as they \
were, until the spec changes.
"""
    parser.epilog = """
examples:
  {prog} rollback qwen --dry-run          what would change in the service; the API server checks it
  {prog} rollback qwen                    to the revision before what the spec asks for
  {prog} rollback qwen --to-revision 3    to a revision that `history` shows

It takes the right to patch embeddingservices, and to read controllerrevisions, pods and modelcaches.
exit codes: 0 done, or it was at that revision already, 1 it cannot be done, 2 wrong arguments.
"""
    options.add_service(parser)
    parser.add_argument(
        "--to-revision",
        type=argvalues.positive,
        metavar="N",
        help="a number that `history` shows (default: the one before what the spec asks for)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would change in the service; the API server checks it"
    )
    options.add_namespace(parser)
    options.add_cluster(parser)


def run(arguments: argparse.Namespace) -> int:
    """Go back, or show what that would change."""
    return with_cluster(arguments, lambda session: _go(session, arguments))


async def _go(session: Session, arguments: argparse.Namespace) -> int:
    name = arguments.name
    service = await session.service(name)
    entries = await entries_of(session, name)
    try:
        chosen = planned.target(entries, service["spec"], arguments.to_revision)
    except RollbackError as error:
        raise CommandError(f"emb/{name}: {error}") from None
    change = planned.patch(service, chosen)
    if "spec" not in change and chosen is entries[-1].revision:
        print(f"emb/{name} is at revision {chosen.number} already")
        return 0
    errors = Screen(sys.stderr)
    errors.print(
        [errors.paint(YELLOW, f"warning: {line}") for line in await _warnings(session, service, chosen, change)]
    )
    key = session.key(names.EMBEDDING_SERVICE, name)
    after = await session.client.merge_patch(key, change, manager=FIELD_MANAGER, dry_run=arguments.dry_run)
    screen = Screen(sys.stdout)
    if arguments.dry_run:
        screen.print(painted(unified(_compared(service), _compared(after), "now", "after"), screen))
    screen.print([f"emb/{name} rolled back to revision {chosen.number}" + (" (dry run)" if arguments.dry_run else "")])
    return 0


async def _warnings(session: Session, service: Object, chosen: Revision, change: Object) -> list[str]:
    cache = await session.find(names.MODEL_CACHE, str(chosen.weights.get("cache")))
    try:
        lost = planned.weights_lost(chosen, ModelCache.from_dict(cache) if cache else None)
    except ApiValueError as error:
        lost = f"its ModelCache cannot be read: {error}"
    return [
        *planned.guards_changed(service, chosen),
        *([lost] if lost else []),
        *(
            f"{', '.join(fields)} {'is' if len(fields) == 1 else 'are'} written by {manager}, which may do it again: "
            "change its source, too"
            for manager, fields in planned.writers(
                service["metadata"].get("managedFields") or (), change.get("spec") or {}
            ).items()
        ),
    ]


def _compared(obj: Object) -> Object:
    """The spec, and the annotations that are ours."""
    annotations = obj["metadata"].get("annotations") or {}
    ours = {
        name: annotations[name] for name in (names.ROLLBACK_ANNOTATION, names.REFRESH_ANNOTATION) if name in annotations
    }
    return {"metadata": {"annotations": ours}, "spec": obj["spec"]}
