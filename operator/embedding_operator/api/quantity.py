"""Reads Kubernetes quantities (`100Gi`, `500m`, `2`) and durations (`120s`, `1h30m`), exactly.

Text in, numbers out; no floats, so that what is computed prints the way a person would have written it.
"""

import re
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal

from embedding_operator.api.codec import ApiValueError, Quantity

# a quantity has up to 32 characters, and `1e999999999` is one: neither digits may be lost nor anything raised
_EXACT = Context(prec=80, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
_SUFFIXES: dict[str, Decimal] = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("0.001"),
    "": Decimal(1),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}
_QUANTITY = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([eE][+-]?[0-9]+)|([KMGTPE]i|[numkMGTPE]?))")
_DURATION = re.compile(r"(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?")


def parse_quantity(text: str | int) -> Decimal:
    """Return the number that a quantity stands for: bytes, cores or devices."""
    number, exponent, suffix = _split_quantity(str(text))
    return _EXACT.multiply(number, _EXACT.create_decimal(f"1{exponent}") if exponent else _SUFFIXES[suffix])


def times(text: str | int, factor: int) -> Quantity:
    """Multiply, keeping the unit as written: 100Gi times 2 is 200Gi."""
    number, exponent, suffix = _split_quantity(str(text))
    product = format(_EXACT.multiply(number, Decimal(factor)), "f")
    if "." in product:
        product = product.rstrip("0").rstrip(".")
    return Quantity(f"{product}{exponent}{suffix}")


def parse_duration(text: str) -> int:
    """Return the seconds of a duration such as 120s, 2m or 1h30m."""
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ApiValueError(f'must be a duration such as 120s, 2m or 1h30m, not "{text}"')
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def _split_quantity(text: str) -> tuple[Decimal, str, str]:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ApiValueError(f'must be a quantity such as "4", 500m or 16Gi, not "{text}"')
    return Decimal(match[1]), match[2] or "", match[3] or ""
