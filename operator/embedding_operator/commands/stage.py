"""`stage`: what the staging Job runs."""

from __future__ import annotations

import argparse

from embedding_operator.commands import argvalues, options
from embedding_operator.staging import usage


def add(parser: argparse.ArgumentParser) -> None:
    """`stage --spec JSON`."""
    parser.usage = "{prog} stage --spec JSON [options]"
    parser.description = usage.HELP
    parser.epilog = usage.EPILOG
    parser.add_argument("--spec", required=True, action=argvalues.Joined, metavar="JSON", help=usage.SPEC_HELP)
    options.add_log_level(parser)


def run(arguments: argparse.Namespace) -> int:
    """Stage it."""
    from embedding_operator.staging.main import main_stage

    return main_stage(arguments.spec)
