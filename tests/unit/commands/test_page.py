"""docs/cli.md shows the help page of every command. `make golden` writes them anew."""

import re
from pathlib import Path

import pytest

from embedding_operator.commands import COMMANDS
from embedding_operator.commands.parsing import NAME, overview, parser_of
from tests.unit.planning.test_golden import assert_as_reviewed

PAGE = Path(__file__).resolve().parents[3] / "docs" / "cli.md"
BLOCK = re.compile(r"(<!-- pages -->\n).*?(<!-- end -->)", re.S)


def page(name: str, text: str) -> str:
    return f"\n### {name}\n```text\n{text.rstrip()}\n```\n"


def test_the_pages_of_all_commands_are_in_the_documentation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "102")
    monkeypatch.delenv("OPERATOR_IMAGE", raising=False)
    monkeypatch.delenv("POD_NAMESPACE", raising=False)
    pages = page(NAME, overview().rpartition("; --version")[0])
    pages += "".join(page(command.name, parser_of(command).format_help()) for command in COMMANDS)
    written = BLOCK.sub(lambda match: match[1] + pages + "\n" + match[2], PAGE.read_text())
    assert_as_reviewed(PAGE, written)


def test_every_command_is_told_of() -> None:
    told = PAGE.read_text().partition("<!-- pages -->")[0]
    assert [
        one.name for one in COMMANDS if f"{NAME} {one.name}" not in " ".join(told.split()) and one.name != "help"
    ] == []
