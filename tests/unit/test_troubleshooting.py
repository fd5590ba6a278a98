"""docs/troubleshooting.md shows the tables by which the operator tells causes apart, and every reason.

`make golden` writes them anew.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedding_operator.api import conditions
from embedding_operator.api.conditions import Reason
from embedding_operator.planning import crashes, obstacles
from embedding_operator.planning.causes import Cause
from tests.unit.planning.test_golden import assert_as_reviewed

PAGE = Path(__file__).resolve().parents[2] / "docs" / "troubleshooting.md"
BLOCK = re.compile(r"(<!-- (?:rows of (?P<table>\w+)|reasons) -->\n).*?(<!-- end -->)", re.S)


def tables() -> dict[str, tuple[Cause, ...]]:
    """Every table of causes, by its name in the source."""
    found = {name: value for module in (crashes, obstacles) for name, value in vars(module).items()}
    return {name: value for name, value in found.items() if isinstance(value, tuple) and name.isupper()}


def row(one: Cause) -> str:
    cure = one.cure.format(found="NAME", cache="NAME")
    seen = f"[seen]({one.reference})" if one.reference else ""
    return f"| `{one.name}` | {one.what} | {cure} | {seen} |\n"


def rows(table: tuple[Cause, ...]) -> str:
    return "| cause | what it is | what to do | |\n|---|---|---|---|\n" + "".join(map(row, table))


def sentences() -> Iterator[tuple[str, str]]:
    """Each reason with the sentence that stands below it in api/conditions.py."""
    module = ast.parse(Path(conditions.__file__).read_text())
    (reasons,) = [one for one in module.body if isinstance(one, ast.ClassDef) and one.name == "Reason"]
    for name, text in zip(reasons.body, reasons.body[1:], strict=False):
        if isinstance(name, ast.Assign) and isinstance(text, ast.Expr):
            yield ast.literal_eval(name.value), ast.literal_eval(text.value)


def reasons() -> str:
    told = sorted(sentences())
    return "| reason | what it means |\n|---|---|\n" + "".join(f"| `{name}` | {text} |\n" for name, text in told)


def test_every_cause_and_every_reason_is_on_the_page() -> None:
    def written(match: re.Match[str]) -> str:
        table = match["table"]
        return match[1] + (rows(tables()[table]) if table else reasons()) + match[3]

    assert_as_reviewed(PAGE, BLOCK.sub(written, PAGE.read_text()))


def test_the_page_has_a_place_for_each_table() -> None:
    assert {match["table"] for match in BLOCK.finditer(PAGE.read_text())} == {None, *tables()}


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_has_a_sentence(reason: Reason) -> None:
    assert dict(sentences())[reason].endswith(".")
