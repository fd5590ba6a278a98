"""`clean`: what the clean-up Job runs."""

from __future__ import annotations

import argparse

from embedding_operator.commands import options
from embedding_operator.staging import usage


def add(parser: argparse.ArgumentParser) -> None:
    """`clean --spec JSON`."""
    parser.usage = "{prog} clean --spec JSON [options]"
    parser.description = usage.CLEAN_HELP
    parser.add_argument("--spec", required=True, metavar="JSON", help=usage.CLEAN_SPEC_HELP)
    options.add_log_level(parser)


def run(arguments: argparse.Namespace) -> int:
    """Remove it."""
    from embedding_operator.staging.main import main_clean

    return main_clean(arguments.spec)
