"""A directory that is there already: anybody may have put it there, so it counts once it was proven."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from embedding_operator.staging.errors import StageError
from embedding_operator.staging.manifest import Manifest, ManifestFile, read_manifest, write_manifest
from tests.standins.modelhub import ModelHub

from .kit import BIG, SECOND, Volume, wait_for

SMALL = "config.json"


def flip(path: Path, at: int = 0) -> None:
    """Other bytes of the same length."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


async def test_what_was_asked_for_by_digest_is_adopted_unread(volume: Volume, hub: ModelHub) -> None:
    first = await volume.stage()
    flip(volume.root / first.path / BIG)  # nobody looks
    adopted = await volume.stage(digest=first.digest)
    assert (adopted.adopted, adopted.digest) == (True, first.digest)
    assert (volume.root / first.path / BIG).read_bytes() != (volume.source / BIG).read_bytes()


async def test_what_nobody_vouches_for_is_read_once_and_nothing_is_fetched(volume: Volume, hub: ModelHub) -> None:
    first = await volume.stage()
    hub.requests.clear()
    assert (await volume.stage()).adopted
    assert hub.bytes_sent() == 0
    volume.assert_published(first.path)


@pytest.mark.parametrize("digest", [False, True], ids=["unknown", "pinned"])
@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"short")])
async def test_a_file_that_is_missing_or_short_is_fetched_again_alone(
    volume: Volume, hub: ModelHub, damage: Callable[[Path], object], digest: bool
) -> None:
    first = await volume.stage()
    inode = (volume.root / first.path / SECOND).stat().st_ino
    damage(volume.root / first.path / BIG)
    hub.requests.clear()
    second = await volume.stage(digest=first.digest if digest else None)
    volume.assert_published(second.path)
    assert hub.bytes_sent() == (volume.source / BIG).stat().st_size
    assert (volume.root / first.path / SECOND).stat().st_ino == inode
    assert list((volume.root / ".staging").iterdir()) == []


async def test_a_planted_file_of_the_right_length_is_found_and_replaced(volume: Volume, hub: ModelHub) -> None:
    first = await volume.stage()
    planted = volume.root / first.path / BIG
    with planted.open("rb") as held:
        flip(planted, at=1_000_000)
        hub.requests.clear()
        volume.assert_published((await volume.stage()).path)
        held.seek(1_000_000)  # whoever has the old one open keeps it
        assert held.read(1) != (volume.source / BIG).read_bytes()[1_000_000:1_000_001]
    assert hub.bytes_sent() == (volume.source / BIG).stat().st_size


def plant(volume: Volume, path: str, changed: dict[str, bytes]) -> None:
    """Other files, and a manifest that fits them."""
    directory = volume.root / path
    for name, data in changed.items():
        (directory / name).write_bytes(data)
    write_again(directory, set(changed))


def write_again(directory: Path, changed: set[str]) -> None:
    before = read_manifest(directory)
    assert before is not None
    files = tuple(
        ManifestFile(f.path, f.size, hashlib.sha256((directory / f.path).read_bytes()).hexdigest())
        if f.path in changed
        else f
        for f in before.files
    )
    write_manifest(directory, Manifest(**{**vars(before), "files": files}))


async def test_a_planted_directory_with_a_manifest_that_fits_it_is_moved_aside(volume: Volume) -> None:
    first = await volume.stage()
    plant(volume, first.path, {SMALL: b'{"architectures": ["Evil"]}'})
    second = await volume.stage()
    assert not second.adopted
    volume.assert_published(second.path)
    (aside,) = (volume.root / ".staging").glob("displaced-*")
    assert b"Evil" in (aside / SMALL).read_bytes()


async def test_where_the_hub_tells_no_sums_its_bytes_tell(volume: Volume, hub: ModelHub) -> None:
    hub.fault("no-sha256")
    first = await volume.stage()
    assert (await volume.stage()).adopted
    plant(volume, first.path, {SMALL: b'{"architectures": ["Evil"]}'})
    second = await volume.stage()
    assert not second.adopted
    volume.assert_published(second.path)
    assert second.digest == first.digest


@pytest.mark.parametrize(
    "plant_it",
    [
        lambda d: (d / "extra.safetensors").write_bytes(b"more"),
        lambda d: (d / "1_Pooling" / "more.py").write_text("import os"),
        lambda d: (d / "link").symlink_to("config.json"),
        lambda d: ((d / SMALL).rename(d.parent / "elsewhere"), (d / SMALL).symlink_to("../elsewhere")),
        lambda d: ((d / "1_Pooling").rename(d.parent / "dir"), (d / "1_Pooling").symlink_to("../dir")),
        lambda d: (d.rename(d.parent / "whole"), d.symlink_to("whole")),
    ],
    ids=["file", "nested", "link", "file-is-link", "directory-is-link", "all-is-link"],
)
async def test_strangers_and_links_are_not_adopted(volume: Volume, plant_it: Callable[[Path], object]) -> None:
    first = await volume.stage()
    plant_it(volume.root / first.path)
    second = await volume.stage()
    assert not second.adopted
    volume.assert_published(second.path)
    directory = volume.root / second.path
    assert not any(path.is_symlink() for path in (directory, *directory.rglob("*")))


async def test_what_nfs_leaves_of_a_replaced_file_harms_nothing(volume: Volume) -> None:
    first = await volume.stage()
    (volume.root / first.path / ".nfs000000000001").write_bytes(b"old")
    assert (await volume.stage()).adopted


async def test_another_digest_than_was_asked_for_names_both(volume: Volume) -> None:
    first = await volume.stage()
    with pytest.raises(StageError) as caught:
        await volume.stage(digest=f"sha256:{'1' * 64}")
    assert caught.value.reason == "DigestMismatch"
    assert first.digest in caught.value.message
    assert f"sha256:{'1' * 64}" in caught.value.message


def test_killed_while_it_mends_the_next_run_completes(volume: Volume, hub: ModelHub, tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert volume.process(log).wait() == 0
    path = json.loads(log.read_text())["path"]
    flip(volume.root / path / BIG)
    hub.requests.clear()
    hub.fault("stall-after", match=BIG, value=1_500_000)
    stager = volume.process(log)
    wait_for(lambda: hub.bytes_sent(BIG) == 1_500_000 and volume.bytes_present() > 1_000_000, stager)
    stager.kill()
    stager.wait()
    hub.faults.clear()
    assert volume.process(log).wait() == 0, log.with_suffix(".err").read_text()
    volume.assert_published(path)
    assert hub.bytes_sent() < 2 * (volume.source / BIG).stat().st_size
    assert list((volume.root / ".staging").iterdir()) == []
