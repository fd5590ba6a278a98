"""Makes a good spec a little wrong in one place, and says in which."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from tests.fuzzing.specs import OPEN, Draw, Schema
from tests.unit.test_crds import schema_of

Place = tuple[str | int, ...]
_TYPES: list[Any] = [7, -1, 1.5, True, "text", "", [], ["a"], {}, {"a": 1}, None, 2**40]
ODD = [
    "",
    " ",
    " a",
    "a b",
    "a\nb",
    "\x00",
    "\x7f",
    "\u202egnp.exe",
    "\u200b",
    "\ufeffa",
    "\u2028",
    "é",
    "ﬁ",
    "İ",
    "日本語",
    "🤖",
    "-",
    "--",
    "-a",
    ".",
    "..",
    "../x",
    "/",
    "//a",
    "a/",
    "%",
    "%00",
    "0",
    "00",
    "-0",
    "1e9",
    "1e-9",
    "0x10",
    "NaN",
    "Infinity",
    "9" * 19,
    "999999h",
    "1h1h",
    "$(HOME)",
    "${HOME}",
    "{{ x }}",
    "'",
    '"',
    "a'b\"c",
    "`id`",
    "a;b",
    "a=b",
    "a,b",
    "a:b",
    "a@b",
    "A",
    "true",
    "null",
    "~",
    "a.b",
    "a_b",
    "1a",
    "localhost",
    "http://",
    "http://a b",
    "http://u:p@h/",
    "https://h:99999/",
    "file:///etc/passwd",
    "--model=x",
    "kubernetes.io/x",
]


def places(schema: Schema, value: Any, at: Place = ()) -> Iterator[tuple[Place, Schema]]:
    """All that is in a value, and what could be: with the schema of each."""
    if "properties" in schema and isinstance(value, dict):
        for name, below in schema["properties"].items():
            yield (*at, name), below
            if name in value:
                yield from places(below, value[name], (*at, name))
    elif "additionalProperties" in schema and isinstance(value, dict):
        for name, item in value.items():
            yield (*at, name), schema["additionalProperties"]
            yield from places(schema["additionalProperties"], item, (*at, name))
    elif "items" in schema and isinstance(value, list):
        for index, item in enumerate(value):
            yield (*at, index), schema["items"]
            yield from places(schema["items"], item, (*at, index))


@st.composite
def spoilt(draw: Draw, kind: str, good: st.SearchStrategy[Any]) -> tuple[Any, Any, Place]:
    """A good spec, the same with one place that is not as it should be or at its very limit, and that place."""
    before = draw(good)
    spec = copy.deepcopy(before)
    schema = schema_of(kind)["properties"]["spec"]
    place, below = draw(st.sampled_from(list(places(schema, spec))))
    if place[-1] in OPEN and "properties" not in below:
        below = {"type": "object", "maxProperties": 0}  # what is inside is Kubernetes' own, and open
    wrong = draw(wrongs(below))
    if wrong is _MISSPELT:
        place = (*place[:-1], f"{place[-1]}s") if isinstance(place[-1], str) else place
        wrong = "text"
    put(spec, place, wrong)
    return before, spec, place


_MISSPELT = object()


def wrongs(schema: Schema) -> st.SearchStrategy[Any]:
    """Values that a schema should not take, and those at its limits."""
    own: list[Any] = []
    if "maximum" in schema or "minimum" in schema:
        low, high = schema.get("minimum", 0), schema.get("maximum", 2**31 - 1)
        own += [low, low - 1, high, high + 1, -(2**63), 2**63 - 1, 2**64]
    if "maxLength" in schema:
        limit = schema["maxLength"]
        own += ["a" * limit, "a" * (limit + 1), "é" * limit, "9" * limit, *ODD]
    if "enum" in schema:
        own += [schema["enum"][0].lower(), f"{schema['enum'][0]} "] if isinstance(schema["enum"][0], str) else []
    return st.sampled_from(own or _TYPES) | st.sampled_from(_TYPES) | st.just(_MISSPELT)


def put(spec: Any, place: Place, value: Any) -> None:
    """Set what is at a place."""
    for step in place[:-1]:
        spec = spec[step]
    spec[place[-1]] = value
