"""The table of the chart's values, made of values.yaml: a value's comment is its description.

A value is a scalar, a list, what is written in one line, or a map in which nothing is said of anything; every other map
is a group.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import yaml

BEGIN, END = "<!-- values: made of values.yaml by `make manifests` -->\n", "<!-- end of values -->\n"


class Value(NamedTuple):
    """A row of the table."""

    path: str
    default: str
    description: str


def put_into(page: str, values: str) -> str:
    """The page with the table between its two marks made anew."""
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"README.md of the chart: expected one {BEGIN.strip()} and one {END.strip()}")
    head, rest = page.split(BEGIN)
    return f"{head}{BEGIN}{table(values)}{END}{rest.split(END)[1]}"


def table(values: str) -> str:
    """All values, in the order of the file."""
    rows = [f"| `{one.path}` | {_code(one.default)} | {_cell(one.description)} |" for one in read(values)]
    return "\n".join(["| value | default | what it does |", "|---|---|---|", *rows, ""])


def read(values: str) -> list[Value]:
    """Every value; ValueError for one that nothing is said of."""
    root = yaml.compose(values, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise ValueError("values.yaml: expected a map")
    found = list(_values(root, "", values.splitlines()))
    silent = [one.path for one in found if not one.description]
    if silent:
        raise ValueError(f"values.yaml: {silent[0]} has no comment above it that says what it does")
    return found


def _values(node: yaml.MappingNode, parent: str, lines: list[str]) -> Iterator[Value]:
    for key, value in node.value:
        path = f"{parent}{key.value}"
        comment = _comment_above(lines, key.start_mark.line)
        if isinstance(value, yaml.MappingNode) and not _is_silent(value, lines):
            yield from _values(value, f"{path}.", lines)
        else:
            yield Value(path, _flow(value), comment)


def _is_silent(node: yaml.Node, lines: list[str]) -> bool:
    """Whether nothing is said of anything that is in it: then it is one value, and explained as a whole."""
    if not isinstance(node, yaml.MappingNode) or node.flow_style:
        return True
    return all(not _comment_above(lines, key.start_mark.line) and _is_silent(value, lines) for key, value in node.value)


def _comment_above(lines: list[str], line: int) -> str:
    said: list[str] = []
    while line > 0 and re.match(r"\s*#", lines[line - 1]):
        line -= 1
        said.insert(0, lines[line].strip().removeprefix("#").strip())
    return " ".join(said)


def _flow(node: yaml.Node) -> str:
    value = yaml.safe_load(yaml.serialize(node))
    return yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False).removesuffix("...\n").strip()


def _code(text: str) -> str:
    return f"`{text}`" if text != "''" else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
