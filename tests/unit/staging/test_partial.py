"""How a big file goes to the disk while it comes, so that neither memory nor a sync at the end holds all of it."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from embedding_operator.staging import partial as module
from embedding_operator.staging.partial import PartialFile

CONTENT = bytes(range(256)) * 4000
PIECE = 30_000


async def filled(path: Path) -> PartialFile:
    """A file of the content, written piece by piece, on top of what is there."""
    partial = PartialFile(path, path.parent, 64 << 10)
    await partial.resume(len(CONTENT), lambda count: None)
    for start in range(partial.offset, len(CONTENT), PIECE):
        partial.write(memoryview(CONTENT)[start : start + PIECE])
    partial.sync()
    partial.close()
    return partial


def assert_whole(partial: PartialFile) -> None:
    assert partial.path.read_bytes() == CONTENT
    assert partial.sha256 == hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("there", [0, 345_678])
async def test_the_disk_is_told_of_every_byte_soon_after_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: int
) -> None:
    (tmp_path / "file").write_bytes(CONTENT[:there])
    told: list[tuple[int, int]] = []

    def note(descriptor: int, start: int, count: int, advice: int) -> None:
        if advice == os.POSIX_FADV_DONTNEED:
            assert os.fstat(descriptor).st_size == start + count  # STRICTLY AFTER they were written
            told.append((start, start + count))

    monkeypatch.setattr(module, "WINDOW", 100_000)
    monkeypatch.setattr(os, "posix_fadvise", note)
    assert_whole(await filled(tmp_path / "file"))
    known = there
    for start, end in told:
        assert start <= known
        assert 100_000 <= end - known < 100_000 + PIECE
        known = end
    assert len(CONTENT) - known < 100_000


async def test_a_small_file_is_left_to_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda *arguments: told.append(arguments[3]))
    assert_whole(await filled(tmp_path / "file"))
    assert os.POSIX_FADV_DONTNEED not in told


async def test_a_file_system_that_takes_no_advice_gets_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: int) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(module, "WINDOW", 100_000)
    monkeypatch.setattr(os, "posix_fadvise", refuse)
    assert_whole(await filled(tmp_path / "file"))
