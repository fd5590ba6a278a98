"""Disks that fill up, say no, or hold what others left: what is there is kept, and the next run completes."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embedding_operator.staging import stage
from embedding_operator.staging.errors import StageError
from embedding_operator.staging.layout import Layout
from embedding_operator.staging.partial import PartialFile
from embedding_operator.staging.publish import publish
from embedding_operator.staging.users import others
from tests.standins.modelhub import ModelHub

from .kit import BIG, SECOND, Volume, make_model


async def refused(volume: Volume) -> StageError:
    with pytest.raises(StageError) as caught:
        await volume.stage(parallelism=1)
    return caught.value


@pytest.mark.parametrize(
    ("number", "reason", "words"),
    [(errno.ENOSPC, "DiskFull", "ran full"), (errno.EDQUOT, "QuotaExceeded", "the quota"), (errno.EIO, "Internal", "")],
)
async def test_a_disk_that_refuses_in_the_middle_keeps_what_it_took_and_goes_on_from_there(
    volume: Volume, hub: ModelHub, monkeypatch: pytest.MonkeyPatch, number: int, reason: str, words: str
) -> None:
    """As a volume that is not ours alone: there was room when it was asked."""
    room = [1_300_000]
    write = PartialFile.write

    def until_full(self: PartialFile, data: bytes) -> None:
        if len(data) > room[0]:
            raise OSError(number, os.strerror(number), str(self.path))
        room[0] -= len(data)
        write(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(PartialFile, "write", until_full)
        error = await refused(volume)
    assert error.reason == reason
    assert words in error.message
    assert not (volume.root / "modelscope").exists()
    kept = volume.bytes_present()
    assert kept > 500_000
    hub.requests.clear()
    volume.assert_published((await volume.stage()).path)
    assert hub.bytes_sent() == volume.total - kept


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EXDEV, "Internal"),
        (errno.EROFS, "ReadOnly"),
        (errno.EACCES, "PermissionDenied"),
        (errno.ENOSPC, "DiskFull"),
    ],
)
async def test_a_rename_that_is_refused_costs_no_byte(
    volume: Volume, hub: ModelHub, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    """Such as a directory of the volume that is a mount of its own."""
    rename = os.rename

    def to_itself_only(source: Any, target: Any) -> None:
        if "modelscope" in Path(target).parts:
            raise OSError(number, os.strerror(number), str(source), None, str(target))
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", to_itself_only)
        error = await refused(volume)
    assert error.reason == reason
    if number == errno.EXDEV:
        assert "mount the volume as one" in error.message
    hub.requests.clear()
    volume.assert_published((await volume.stage()).path)
    assert hub.bytes_sent() == 0


LEFTOVERS: dict[str, Callable[[Path], object]] = {
    "a file in the place of files": lambda staging: (staging / "files").write_text("x"),
    "a file in the place of partials": lambda staging: (staging / "partials").write_text("x"),
    "a file that nobody knows": lambda staging: (staging / "else").write_text("x"),
    "a journal that is a directory's name": lambda staging: (staging / "journal.jsonl.d").mkdir(),
    "a partial that is a directory": lambda staging: (staging / "partials" / f"{BIG}.partial").mkdir(parents=True),
    "a journal of nonsense": lambda staging: (staging / "journal.jsonl").write_bytes(b"\x00\xff{"),
    "a claim of nonsense": lambda staging: (staging / "writer.json").write_bytes(b"\x00"),
}


@pytest.mark.parametrize("left", LEFTOVERS)
async def test_what_others_left_in_the_staging_directory_does_no_harm(volume: Volume, hub: ModelHub, left: str) -> None:
    commit = hub.repositories.commit(volume.source)
    staging = volume.root / ".staging" / f"modelscope.Acme--Tiny-Embedding.{commit}"
    staging.mkdir(parents=True)
    LEFTOVERS[left](staging)
    volume.assert_published((await volume.stage()).path)


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(b"short")])
async def test_a_file_that_goes_away_before_it_is_published_is_fetched_again_and_nothing_is_published_without_it(
    volume: Volume, hub: ModelHub, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], object]
) -> None:
    """As on a share that takes one name for another, or where somebody tidies up."""

    def without(layout: Layout, *rest: Any) -> bool:
        spoil(layout.final(SECOND))
        return publish(layout, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(stage, "publish", without)
        error = await refused(volume)
    assert (error.reason, error.exit_code) == ("Internal", 1)
    assert error.message.startswith(f"{SECOND} is not there any more, though it was fetched and checked")
    assert not (volume.root / "modelscope").exists()
    hub.requests.clear()
    volume.assert_published((await volume.stage()).path)
    assert hub.bytes_sent() == hub.bytes_sent(SECOND) > 0


@pytest.mark.parametrize("planted", [".staging", ".staging/modelscope.Acme--Tiny-Embedding.{}", "modelscope"])
async def test_nothing_is_written_through_a_link(volume: Volume, hub: ModelHub, tmp_path: Path, planted: str) -> None:
    link = volume.root / planted.format(hub.repositories.commit(volume.source))
    link.parent.mkdir(exist_ok=True)
    (tmp_path / "elsewhere").mkdir()
    link.symlink_to(tmp_path / "elsewhere")
    error = await refused(volume)
    assert error.reason == "PermissionDenied"
    assert error.message == f"{link} is a link, and nothing is written through one: make it a directory"
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_two_namespaces_that_race_for_one_directory_fetch_it_once_and_both_sign(
    volume: Volume, hub: ModelHub
) -> None:
    hub.fault("slow", match="*.safetensors", value=4 << 20)
    one, other = "c1_a_u-1", "c2_b_u-2"
    results = await asyncio.gather(volume.stage(user=one), volume.stage(user=other))
    assert hub.bytes_sent() == volume.total
    assert results[0].path == results[1].path
    volume.assert_published(results[0].path)
    assert others(volume.root, results[0].path, "nobody") == [one, other]


async def test_a_branch_that_moved_leaves_the_directory_of_the_former_commit_as_it_is(
    volume: Volume, hub: ModelHub
) -> None:
    first = await volume.stage()
    (volume.root / first.path / SECOND).unlink()
    make_model(volume.source, seed=5)
    moved = await volume.stage()
    assert moved.path != first.path
    volume.assert_published(moved.path)
    assert not (volume.root / first.path / SECOND).exists()
