"""Turns JSON into the frozen dataclasses of this package and back, guided by their type hints alone.

A view is its own documentation: one field per property, camelCase on the wire, `None` for absent, so that the
rule "spec, else profile, else built-in" can tell what was written. Unknown properties are ignored, because a
newer CRD may have them. It never fills in a default: that is planning's business.
"""

import dataclasses
import re
import types
from collections.abc import Callable, Mapping
from functools import cache
from typing import (
    Any,
    ClassVar,
    Literal,
    NewType,
    Self,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from embedding_operator.api.json import JsonObject

Quantity = NewType("Quantity", str)
"""A Kubernetes quantity as text; `cpu: 4` and `cpu: "4"` are the same one."""

IntOrPercent = NewType("IntOrPercent", str)
"""A number, or a share of one such as 75%, as text."""

Share = NewType("Share", str)
"""A number, or a share in percent with up to four decimals such as 0.1%, as text."""

_T = TypeVar("_T")
_SCALAR = (str, int, float)
_OBJECTS = (dict, Mapping)  # what is a dict is found out without asking whether it is any other mapping
_INT_OR_PERCENT = re.compile("[0-9]{1,5}|[0-9]{1,2}%|100%")
_SHARE = re.compile("[0-9]{1,9}|([0-9]{1,2}([.][0-9]{1,4})?|100)%")
_Decoder = Callable[[Any], Any]
_Function = TypeVar("_Function", bound=Callable[..., Any])


def _once(function: _Function) -> _Function:
    """Remember results, as `functools.cache` does, for which mypy does not take a class as hashable."""
    return cast(_Function, cache(function))


class ApiValueError(ValueError):
    """A stored object holds a value that no view can read; the message names the field."""

    def __init__(self, problem: str, path: str = "") -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.problem = problem
        self.path = path

    def under(self, segment: str) -> "ApiValueError":
        """Return the same error as seen from one level further out."""
        glue = "" if not self.path or self.path.startswith("[") else "."
        return ApiValueError(self.problem, f"{segment}{glue}{self.path}")


class View:
    """What all views share: they read themselves from JSON and write themselves as JSON."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Parse; an ApiValueError names the field that is wrong."""
        return decode(cls, data)

    def to_dict(self) -> JsonObject:
        """Write what is set, leaving out what is absent."""
        return encode(self)


def named(name: str) -> Any:
    """Declare an optional field whose name on the wire is not the camelCase of its Python name."""
    return dataclasses.field(default=None, metadata={"name": name})


def decode(cls: type[_T], data: object) -> _T:
    """Read one view of class `cls` from JSON."""
    view: _T = _decoder_of_view(cls)(data)
    return view


def encode(view: View) -> JsonObject:
    """Write one view as JSON, without what is absent."""
    out: JsonObject = {}
    for attribute, key in _wire_names(type(view)):
        value = getattr(view, attribute)
        if value is None:
            continue
        if isinstance(value, View):
            value = encode(value)
            if not value:
                continue
        elif isinstance(value, tuple):
            value = [encode(item) if isinstance(item, View) else item for item in value]
        elif not isinstance(value, _SCALAR) and isinstance(value, Mapping):
            value = dict(value)
        out[key] = value
    return out


@_once
def _wire_names(cls: type[View]) -> tuple[tuple[str, str], ...]:
    return tuple((f.name, f.metadata.get("name", _camel(f.name))) for f in dataclasses.fields(cls))


def wire_names(cls: type[View]) -> dict[str, str]:
    """Return the property of each field of a view, to hold them against the CRD's schema."""
    return dict(_wire_names(cls))


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


@_once
def _decoder_of_view(cls: type[Any]) -> _Decoder:
    hints = get_type_hints(cls)
    keys = dict(_wire_names(cls))
    fields = {keys[f.name]: (f.name, _decoder_of(hints[f.name])) for f in dataclasses.fields(cls)}
    required = {keys[f.name]: f.name for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING}

    def read(data: Any) -> Any:
        values: dict[str, Any] = {}
        for key, value in _raw(data).items():  # most of the fields that a view may have are absent
            if value is None or key not in fields:
                continue
            attribute, decoder = fields[key]
            try:
                values[attribute] = value if decoder is _text and type(value) is str else decoder(value)
            except ApiValueError as error:
                raise error.under(key) from None
        for key, attribute in required.items():
            if attribute not in values:
                raise ApiValueError("is required", key)
        return cls(**values)

    return read


def _decoder_of(hint: Any) -> _Decoder:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        (inner,) = (arg for arg in get_args(hint) if arg is not type(None))
        return _decoder_of(inner)
    if origin is tuple:
        return _decoder_of_list(_decoder_of(get_args(hint)[0]))
    if origin is Literal:
        return _decoder_of_choice(get_args(hint))
    if origin is dict:  # JsonObject: kept as it is
        return _raw
    if origin is not None and issubclass(origin, Mapping):
        return _decoder_of_map(_decoder_of(get_args(hint)[1]))
    if isinstance(hint, type) and issubclass(hint, View):
        # Looked up at the first use, not now: a view may hold views of its own class.
        return lambda data: _decoder_of_view(hint)(data)
    return _SCALARS[hint]


def _decoder_of_list(item: _Decoder) -> _Decoder:
    def read(data: Any) -> Any:
        if not isinstance(data, list | tuple):
            raise ApiValueError(f"must be a list, not {_said(data)}")
        if item is _text and all(type(value) is str for value in data):
            return tuple(data)
        values = []
        for index, value in enumerate(data):
            try:
                values.append(item(value))
            except ApiValueError as error:
                raise error.under(f"[{index}]") from None
        return tuple(values)

    return read


def _decoder_of_map(item: _Decoder) -> _Decoder:
    def read(data: Any) -> Any:
        values = {}
        for key, value in _raw(data).items():
            try:
                values[key] = item(value)
            except ApiValueError as error:
                raise error.under(f"[{key}]") from None
        return values

    return read


def _decoder_of_choice(choices: tuple[Any, ...]) -> _Decoder:
    def read(data: Any) -> Any:
        if data not in choices:
            raise ApiValueError(f"must be one of {', '.join(choices)}, not {_said(data)}")
        return data

    return read


def _raw(data: Any) -> Any:
    if not isinstance(data, _OBJECTS):
        raise ApiValueError(f"must be an object, not {_said(data)}")
    return data


def _text(data: Any) -> Any:
    if not isinstance(data, str):
        raise ApiValueError(f"must be a string, not {_said(data)}")
    return data


def _integer(data: Any) -> Any:
    if not isinstance(data, int) or isinstance(data, bool):
        raise ApiValueError(f"must be a whole number, not {_said(data)}")
    return data


def _boolean(data: Any) -> Any:
    if not isinstance(data, bool):
        raise ApiValueError(f"must be true or false, not {_said(data)}")
    return data


def _quantity(data: Any) -> Any:
    if isinstance(data, bool) or not isinstance(data, int | float | str):
        raise ApiValueError(f'must be a quantity such as "4" or 16Gi, not {_said(data)}')
    return Quantity(str(data))


def _int_or_percent(data: Any) -> Any:
    text = "" if isinstance(data, bool) else str(data)
    if not _INT_OR_PERCENT.fullmatch(text):
        raise ApiValueError(f"must be a whole number or a share such as 75%, not {_said(data)}")
    return IntOrPercent(text)


def _share(data: Any) -> Any:
    text = "" if isinstance(data, bool) else str(data)
    if not _SHARE.fullmatch(text):
        raise ApiValueError(f"must be a whole number or a share such as 0.1%, not {_said(data)}")
    return Share(text)


def _said(data: Any) -> str:
    text = repr(data)
    return text if len(text) <= 60 else text[:57] + "..."


_SCALARS: dict[Any, _Decoder] = {
    str: _text,
    int: _integer,
    bool: _boolean,
    Quantity: _quantity,
    IntOrPercent: _int_or_percent,
    Share: _share,
}
