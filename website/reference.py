"""The API reference: one page a kind, of what its CRD says. `python -m website.reference` writes docs/reference/.

The CRD is what the API server refuses by, so nothing is said twice: descriptions, bounds and rules come from there.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from website.links import slug

REPOSITORY = Path(__file__).resolve().parent.parent
TARGET = REPOSITORY / "docs/reference"
GENERATED = "<!-- Generated from {source} by `make manifests`; change it there. -->\n"
_BOUNDS = (
    ("minimum", "at least {}"),
    ("maximum", "at most {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"),
    ("maxProperties", "at most {} entries"),
    ("default", "default `{}`"),
)

Schema = dict[str, Any]


def pages() -> dict[str, str]:
    """File name -> text of all pages."""
    found = {}
    for path in sorted((REPOSITORY / "crds").glob("*.yaml")):
        crd = yaml.safe_load(path.read_text())
        found[f"{crd['spec']['names']['singular']}.md"] = page(crd, f"crds/{path.name}")
    return found


def page(crd: Schema, source: str) -> str:
    """The page of one CRD."""
    spec = crd["spec"]
    names, version = spec["names"], spec["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    lines = [
        GENERATED.format(source=source) + f"# {names['kind']}",
        schema["description"],
        f"`apiVersion: {spec['group']}/{version['name']}`, {spec['scope'].lower()}"
        f"; `kubectl get {names['plural']}`, in short `{'`, `'.join(names['shortNames'])}`. "
        f"The same in a terminal: `kubectl explain {names['shortNames'][0]}.spec --recursive`.",
    ]
    for name in ("spec", "status"):
        if part := schema["properties"].get(name):
            lines += _sections(name, part)
    lines += ["## Columns", _columns(version.get("additionalPrinterColumns", []))]
    if rules := list(_rules("", schema)):
        lines += ["## What is refused", "Beside types and bounds, with these words:", _refusals(rules)]
    return "\n\n".join(lines) + "\n"


def _sections(path: str, schema: Schema) -> Iterator[str]:
    """A heading with a table for each object that has fields of its own, outer ones first."""
    level = "##" if "." not in path else "###"
    yield f"{level} {path}"
    yield _escape(schema.get("description", ""))
    fields = schema["properties"]
    required = schema.get("required", [])
    yield "\n".join(
        [
            "| field | type | what it is |",
            "|---|---|---|",
            *(_row(path, name, fields[name], name in required) for name in fields),
        ]
    )
    for name in fields:
        inner = _inner(fields[name])
        if inner.get("properties"):
            yield from _sections(f"{path}.{name}{_mark(fields[name])}", inner)


def _row(path: str, name: str, field: Schema, required: bool) -> str:
    title = f"`{name}`"
    if _inner(field).get("properties"):
        title = f"[{title}](#{slug(f'{path}.{name}{_mark(field)}')})"
    if required:
        title += " **required**"
    told = [_escape(field.get("description", "")), *_bounds(field)]
    return f"| {title} | {_type(field)} | {' '.join(text for text in told if text)} |"


def _bounds(field: Schema) -> Iterator[str]:
    said = [text.format(_plain(field[key])) for key, text in _BOUNDS if key in field]
    if "enum" in field:
        said.insert(0, "one of " + ", ".join(f"`{value}`" for value in field["enum"]))
    if said:
        yield f"*{'; '.join(said)}.*" if "`" not in "".join(said) else f"({'; '.join(said)})"


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _type(field: Schema) -> str:
    if field.get("x-kubernetes-int-or-string"):
        return "integer or string"
    kind = field.get("type", "any")
    if kind == "array":
        return f"list of {_type(field['items'])}"
    if isinstance(values := field.get("additionalProperties"), dict):
        return f"map of {_type(values)}"
    return str(kind)


def _inner(field: Schema) -> Schema:
    """The object inside a list or map, else the field itself."""
    inner = field.get("items", field.get("additionalProperties", field))
    return inner if isinstance(inner, dict) else {}


def _mark(field: Schema) -> str:
    if field.get("type") == "array":
        return "[]"
    return ".*" if isinstance(field.get("additionalProperties"), dict) else ""


def _columns(columns: list[Schema]) -> str:
    rows = [
        f"| {c['name']} | {c.get('description', '')}{' (`-o wide`)' if c.get('priority') else ''} |" for c in columns
    ]
    return "\n".join(["| column | what it shows |", "|---|---|", *rows])


def _rules(path: str, schema: Schema) -> Iterator[tuple[str, str]]:
    """Where -> message of all rules, in the order of the schema."""
    for rule in schema.get("x-kubernetes-validations", []):
        yield path + rule.get("fieldPath", ""), rule["message"]
    for name, field in schema.get("properties", {}).items():
        yield from _rules(f"{path}.{name}", field)
    for key, mark in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(inner := schema.get(key), dict):
            yield from _rules(path + mark, inner)


def _refusals(rules: list[tuple[str, str]]) -> str:
    told = dict.fromkeys((where.lstrip(".") or "metadata.name", message) for where, message in rules)
    return "\n".join(["| where | message |", "|---|---|", *(f"| `{w}` | {_escape(m)} |" for w, m in told)])


def _escape(text: str) -> str:
    """As a cell of a table: on one line, and nothing that Markdown or HTML would take for its own.

    Forges would take a backslash before "<", too; the renderer of the site takes it for the begin of a tag.
    """
    return re.sub(r"([|*_\[\]])", r"\\\1", " ".join(text.split()).replace("<", "&lt;"))


def write() -> None:
    """Write all pages, and remove those whose kind is gone."""
    TARGET.mkdir(exist_ok=True)
    made = pages()
    for stale in TARGET.glob("*.md"):
        if stale.name not in made:
            stale.unlink()
    for name, text in made.items():
        (TARGET / name).write_text(text)


if __name__ == "__main__":
    write()
