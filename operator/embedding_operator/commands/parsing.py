"""Help pages and usage lines: the same style for all commands, whatever version of Python prints them."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from importlib import import_module
from types import ModuleType
from typing import NoReturn

from embedding_operator import __version__
from embedding_operator.commands import COMMANDS, Command

NAME = "embedding-operator"
PROG = "{prog}"  # in what modules say of themselves: the program as it was called
_WIDEST = 100


class Parser(argparse.ArgumentParser):
    """Of one command; what is wrong with the command line is told in two lines, and not with the whole usage."""

    def error(self, message: str) -> NoReturn:
        """As argparse does, and where the help page is."""
        self.exit(2, f"{self.prog}: {message}\nsee: {self.prog} --help\n")


class Formatter(argparse.HelpFormatter):
    """Paragraphs are wrapped, and what is indented (examples) stays as it is."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=width())

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(
            line if line.startswith(" ") else textwrap.fill(line, width, break_on_hyphens=False)
            for line in text.split("\n")
        )

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        """`-n, --namespace NAME`, which Python does from 3.13 on."""
        if not action.option_strings:
            return super()._format_action_invocation(action)
        names = ", ".join(action.option_strings)
        if action.nargs == 0:
            return names
        return f"{names} {self._format_args(action, (action.dest or '').upper())}"


def width() -> int:
    """Of help pages: the terminal's, and no more than can be read."""
    return max(40, min(shutil.get_terminal_size().columns - 2, _WIDEST))


def module_of(command: Command) -> ModuleType:
    """Its code, loaded now."""
    return import_module(f"embedding_operator.commands.{command.module}")


def parser_of(command: Command, prog: str = NAME) -> Parser:
    """The parser of one command."""
    parser = Parser(prog=f"{prog} {command.name}", formatter_class=Formatter, allow_abbrev=False, add_help=False)
    module_of(command).add(parser)
    parser.add_argument("-h", "--help", action="help", help="this page")
    for part in ("usage", "description", "epilog"):
        setattr(parser, part, (getattr(parser, part) or "").strip("\n").replace(PROG, prog))
    return parser


def overview(prog: str = NAME) -> str:
    """All commands, by what they are for."""
    longest = max(len(command.name) for command in COMMANDS)
    lines = [
        f"usage: {prog} COMMAND [options]",
        "",
        *textwrap.wrap("Runs vLLM pooling servers on Ascend NPUs (and CPUs) from EmbeddingService manifests.", width()),
    ]
    for group in dict.fromkeys(command.group for command in COMMANDS):
        lines += ["", f"{group}:"]
        for command in COMMANDS:
            if command.group == group:
                hanging = " " * (longest + 4)
                told = textwrap.wrap(command.summary, width() - len(hanging))
                lines += textwrap.wrap(
                    f"  {command.name:{longest}}  {' '.join(told)}", width(), subsequent_indent=hanging
                )
    return "\n".join([*lines, "", f"{prog} COMMAND --help shows options and examples; --version: {NAME} {__version__}"])
