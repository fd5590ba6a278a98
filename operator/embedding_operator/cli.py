"""The command line: which command is meant, and how it ends. Of the commands (commands/), only that one is loaded."""

from __future__ import annotations

import argparse
import difflib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from embedding_operator import __version__, logs
from embedding_operator.commands import COMMANDS, CommandError, named
from embedding_operator.commands.parsing import NAME, module_of, overview, parser_of

INTERRUPTED, BROKEN_PIPE = 130, 141  # as a shell tells of SIGINT and SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and run; returns the exit code."""
    _be_printable(sys.stdout)
    try:
        try:
            return _called(list(sys.argv[1:] if argv is None else argv))
        finally:
            sys.stdout.flush()  # also when a help page ends the process
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read what we print has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python would complain once more at its end
        return BROKEN_PIPE


def _be_printable(stream: TextIO) -> None:
    """Nothing that a terminal cannot show ends a command; what goes elsewhere is UTF-8, as manifests are."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")


def _called(words: Sequence[str]) -> int:
    prog = _prog()
    if not words or words[0] in ("-h", "--help"):
        print(overview(prog), file=sys.stdout if words else sys.stderr)
        return 0 if words else 2
    if words[0] == "--version":
        print(f"{NAME} {__version__}")
        return 0
    command = named(words[0])
    if command is None:
        return _unknown(prog, words[0])
    arguments = parsed(words, prog)
    logs.set_up(getattr(arguments, "log_level", "warning"), getattr(arguments, "log_format", "text"))
    module = module_of(command)
    try:
        code: int = module.run(arguments)
        return code
    except CommandError as error:
        print(f"{prog} {command.name}: {error}", file=sys.stderr)
        return int(getattr(module, "ERROR", 1))


def parsed(words: Sequence[str], prog: str = NAME) -> argparse.Namespace:
    """What the words of a command come down to, its name first; ends the process where they make no sense."""
    command = named(words[0])
    assert command is not None
    parser = parser_of(command, prog)
    # options may stand among names and texts, as kubectl's users write them; what follows `--` is no option
    parse = parser.parse_args if "--" in words else parser.parse_intermixed_args
    arguments = parse(words[1:])
    arguments.prog = prog
    return arguments


def _prog() -> str:
    """As whoever called it knows it."""
    return "kubectl embeddings" if Path(sys.argv[0]).name == "kubectl-embeddings" else NAME


def _unknown(prog: str, word: str) -> int:
    names = [command.name for command in COMMANDS]
    close = difflib.get_close_matches(word, names, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"one of {', '.join(names)}"
    what = "a command goes first" if word.startswith("-") else f"there is no command {word!r}"
    print(f"{prog}: {what}: {hint}\nsee: {prog} --help", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
