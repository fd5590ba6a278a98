"""An ETag proves bytes where it is their MD5, or that of their parts' MD5s, and proves nothing elsewhere."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from embedding_operator.staging import etag
from embedding_operator.staging.etag import has_etag, is_sum

DATA = bytes(range(256)) * 100


def in_parts(data: bytes, part: int) -> str:
    """As S3 documents it."""
    sums = [hashlib.md5(data[at : at + part], usedforsecurity=False).digest() for at in range(0, len(data), part)]
    return f'"{hashlib.md5(b"".join(sums), usedforsecurity=False).hexdigest()}-{len(sums)}"'


async def proves(tmp_path: Path, told: str | None, data: bytes = DATA) -> bool:
    path = tmp_path / "file"
    path.write_bytes(data)
    return await has_etag(path, len(data), told, lambda _: None)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etag, "PART_SIZES", (8000, 16_000, 5000, 50_000))


WHOLE = f'"{hashlib.md5(DATA, usedforsecurity=False).hexdigest()}"'


@pytest.mark.parametrize("told", [WHOLE, WHOLE.strip('"'), *(in_parts(DATA, size) for size in (8000, 5000, 50_000))])
async def test_bytes_that_fit_are_proven_and_others_are_not(tmp_path: Path, told: str) -> None:
    assert is_sum(told)
    assert await proves(tmp_path, told)
    assert not await proves(tmp_path, told, DATA[:-1] + b"x")


async def test_parts_that_end_with_the_file_are_counted_rightly(tmp_path: Path) -> None:
    assert await proves(tmp_path, in_parts(DATA[:16_000], 8000), DATA[:16_000])
    assert in_parts(DATA[:16_000], 8000).endswith('-2"')


async def test_of_parts_of_a_size_that_nobody_uses_nothing_is_known(tmp_path: Path) -> None:
    assert not await proves(tmp_path, in_parts(DATA, 7000))


@pytest.mark.parametrize("told", [None, "", '"abc"', f"W/{WHOLE}", WHOLE.upper().replace("0", "G"), f'"{"0" * 32}-0"'])
async def test_what_does_not_look_like_a_sum_is_none(tmp_path: Path, told: str | None) -> None:
    assert not is_sum(told)
    assert not await proves(tmp_path, told)
