"""Whether a vector holds NaN or infinity, by its bits: a Python float for each number takes ten times as long."""

from __future__ import annotations

from functools import cache

_EXPONENTS = {"f": (4, 0x7F80_0000), "e": (2, 0x7C00)}
"""Bytes of a number of the type, as `struct` calls it, and the bits of its exponent: all set where it is not finite."""


def is_finite(values: bytes, kind: str) -> bool:
    """One more in an exponent of all ones carries into the bit of the sign, and in no other."""
    exponents, ones, signs = _masks(kind, len(values))
    return not ((int.from_bytes(values, "little") & exponents) + ones) & signs


@cache
def _masks(kind: str, length: int) -> tuple[int, int, int]:
    """For all numbers of a vector at once: the exponents' bits, their lowest, and the sign's."""
    size, exponent = _EXPONENTS[kind]
    each = (exponent, exponent & -exponent, 1 << (8 * size - 1))
    exponents, ones, signs = (bits.to_bytes(size, "little") * (length // size) for bits in each)
    return int.from_bytes(exponents, "little"), int.from_bytes(ones, "little"), int.from_bytes(signs, "little")
