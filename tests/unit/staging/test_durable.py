"""What survives a power cut: nothing is published before the disk has all of it."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import shutil
import stat
import time
from pathlib import Path

import pytest

from embedding_operator.staging.journal import Journal
from embedding_operator.staging.layout import source_layout
from tests.standins.modelhub import ModelHub

from .kit import BIG, SECOND, Volume


class Disk:
    """Notes in which state each file and directory was synced last."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._synced: dict[int, tuple[int, int, int]] = {}
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self._note)

    def _note(self, descriptor: int) -> None:
        self._fsync(descriptor)
        found = os.fstat(descriptor)
        self._synced[found.st_ino] = self._state(found)

    @staticmethod
    def _state(found: os.stat_result) -> tuple[int, int, int]:
        return found.st_mtime_ns, found.st_size, found.st_mode

    def would_lose(self, *paths: Path) -> list[str]:
        """Those whose content, entries or rights are not on the disk yet."""
        return [str(path) for path in paths if self._synced.get(path.stat().st_ino) != self._state(path.stat())]


async def test_every_byte_and_name_is_on_the_disk_when_the_directory_appears(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    rename = os.rename
    lost: list[str] = []

    def renamed(source: Path, target: Path) -> None:
        lost.extend(disk.would_lose(source, *source.rglob("*")))
        rename(source, target)

    monkeypatch.setattr(os, "rename", renamed)
    before = os.umask(0o077)
    try:
        result = await volume.stage()
    finally:
        os.umask(before)
    assert lost == []
    published = volume.root / result.path
    assert disk.would_lose(published.parent, published.parent.parent) == []


async def test_a_journal_is_on_the_disk_before_the_first_byte(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = source_layout(volume.root, "modelscope", "a/b", "abc")
    disk = Disk(monkeypatch)
    Journal(layout, "a listing").open()
    assert disk.would_lose(layout.journal, layout.staging) == []


async def test_a_journal_that_is_torn_at_any_byte_costs_no_byte_from_the_hub(
    volume: Volume, hub: ModelHub, tmp_path: Path
) -> None:
    """What it forgot is hashed again; nothing that is there is fetched again."""
    hub.fault("status", match=SECOND, value=404)
    await asyncio.gather(volume.stage(parallelism=1), return_exceptions=True)
    hub.faults.clear()
    (journal,) = volume.root.glob(".staging/*/journal.jsonl")
    whole = journal.read_bytes()
    ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]
    assert len(ends) > 1
    missing = volume.total - volume.bytes_present()
    for cut in sorted({cut for end in ends for cut in (end, end + 1, end + 60) if cut <= len(whole)}):
        torn = dataclasses.replace(volume, root=tmp_path / f"cut-{cut}")
        shutil.copytree(volume.root, torn.root)
        os.truncate(torn.root / journal.relative_to(volume.root), cut)
        hub.requests.clear()
        torn.assert_published((await torn.stage()).path)
        assert hub.bytes_sent() == missing, cut


async def test_publishing_on_a_slow_disk_keeps_the_claim(
    volume: Volume, hub: ModelHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def slow(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            time.sleep(0.6)  # longer than a writer may be silent
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    results = await asyncio.gather(volume.stage(), volume.stage())
    assert sorted(result.adopted for result in results) == [False, True]
    assert hub.bytes_sent() == volume.total


async def test_a_directory_s_link_among_the_leftovers_is_not_followed(
    volume: Volume, hub: ModelHub, tmp_path: Path
) -> None:
    hub.fault("status", match=SECOND, value=404)
    await asyncio.gather(volume.stage(), return_exceptions=True)
    (files,) = volume.root.glob(".staging/*/files")
    elsewhere = tmp_path / "elsewhere"
    files.rename(elsewhere)
    files.symlink_to(elsewhere)
    held = sorted(elsewhere.rglob("*"))
    hub.faults.clear()
    result = await volume.stage()
    volume.assert_published(result.path)
    assert not (volume.root / result.path).is_symlink()
    assert sorted(elsewhere.rglob("*")) == held


async def test_an_answer_of_another_length_spoils_nothing_that_is_there(volume: Volume, hub: ModelHub) -> None:
    hub.fault("drop-after", match=BIG, value=500_000, times=1)
    hub.fault("truncate", match=BIG, value=0, times=1)  # uses up the first answer, which is right
    hub.fault("truncate", match=BIG, value=100, times=1)
    volume.assert_published((await volume.stage()).path)
    _, refused, accepted = [r.range for r in hub.requests if r.path == BIG]
    assert refused == accepted is not None
