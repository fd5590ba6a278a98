"""What passes between those who read a shard, embed its rows and write them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shard:
    """A piece of one input file, embedded as a whole or not at all."""

    id: str
    """Hexadecimal: a hash over the job's key, the file as it was when it was listed, offset and length."""
    file: str
    """Relative to the input's root."""
    size: int
    """Of the whole file, in bytes."""
    version: str
    """The file's mtime in nanoseconds, or its ETag: a file that changed makes other shards."""
    offset: int
    """In bytes for lines, the first row group for Parquet."""
    length: int
    """In bytes for lines (a line belongs to the shard in which it begins), row groups for Parquet."""
    bytes: int
    """How much of the input that is, for progress."""
    part: int = 0
    """Which shard of its file, from 0."""
    first_row: int | None = None
    """How many rows of the file come before it, where that was found out when the file was cut."""
    rows: int | None = None
    """How many it has, where that was found out."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the input, in order."""

    number: int
    """From 0, within its shard."""
    id: str | int
    text: str | None = None
    image: str | None = None
    """A data URL."""
    query: str | None = None
    document: str | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be embedded."""

    number: int
    id: str | int | None
    reason: str
    """CamelCase: InvalidJSON, EmptyText, TooLong, BrokenImage, …"""
    message: str


@dataclass(frozen=True, slots=True)
class Vector:
    """What became of a row."""

    row: Row
    values: bytes
    """Little-endian, of the output's dtype, as many as the job has dimensions; one float32 for a score."""
