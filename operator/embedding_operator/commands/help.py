"""`help`: the page of all commands, or that of one."""

from __future__ import annotations

import argparse

from embedding_operator.commands import COMMANDS, CommandError, named


def add(parser: argparse.ArgumentParser) -> None:
    """`help [COMMAND]`."""
    parser.usage = "{prog} help [COMMAND]"
    parser.description = "All commands, or the options and examples of one."
    parser.add_argument("command", nargs="?", metavar="COMMAND", help="of which (default: all)")


def run(arguments: argparse.Namespace) -> int:
    """Show it."""
    from embedding_operator.commands.parsing import overview, parser_of

    prog = arguments.prog
    if arguments.command is None:
        print(overview(prog))
        return 0
    command = named(arguments.command)
    if command is None:
        raise CommandError(f"there is no command {arguments.command!r}: {', '.join(one.name for one in COMMANDS)}")
    parser_of(command, prog).print_help()
    return 0
