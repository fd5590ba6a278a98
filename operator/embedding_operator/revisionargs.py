"""The commands for one service's revisions, as they stand on the command line."""

import argparse
from pathlib import Path

from embedding_operator import argvalues


def add_history(parser: argparse.ArgumentParser) -> None:
    """`history NAME`."""
    _add_service(parser)
    parser.add_argument(
        "-o", "--output", default="table", choices=("table", "json"), help="json: with all changes and the specs"
    )
    parser.set_defaults(command=_history)


def add_rollback(parser: argparse.ArgumentParser) -> None:
    """`rollback NAME`."""
    _add_service(parser)
    parser.add_argument(
        "--to-revision",
        type=argvalues.positive,
        metavar="N",
        help="a number of `embedding-operator history` (default: the one before what the spec asks for)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would change in the service; the API server checks it"
    )
    parser.set_defaults(command=_rollback)


def _add_service(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", type=argvalues.object_name, metavar="NAME", help="an EmbeddingService")
    parser.add_argument(
        "-n",
        "--namespace",
        type=argvalues.object_name,
        metavar="NAME",
        help="its namespace (default: that of the kubeconfig's context)",
    )
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="default: as of `run`")


def _history(arguments: argparse.Namespace) -> int:
    from embedding_operator.revisions import show_history

    return show_history(arguments.kubeconfig, arguments.namespace, arguments.name, arguments.output)


def _rollback(arguments: argparse.Namespace) -> int:
    from embedding_operator.revisions import roll_back

    return roll_back(
        arguments.kubeconfig, arguments.namespace, arguments.name, arguments.to_revision, dry_run=arguments.dry_run
    )
