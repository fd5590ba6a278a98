"""Weights from a web server in one archive: it is unpacked, also after a kill, and there is room for it."""

from __future__ import annotations

import errno
import gzip
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from embedding_operator.staging import unpack as unpacking
from tests.standins.modelhub import ModelHub

from .kit import Volume
from .web import MODEL, archive, published, refused, serve_list, sha256, staged, tar, zipped


def below(folder: str, members: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}{name}": data for name, data in members.items()}


KINDS: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "tar": tar,
    "tar.gz": lambda members: tar(members, "w:gz"),
    "pax": lambda members: gzip.compress(tar(members)),
    "zip": zipped,
    "stored zip": lambda members: zipped(members, zipfile.ZIP_STORED),
}


@pytest.mark.parametrize("folder", ["", "./", "tiny-model/"])
@pytest.mark.parametrize("kind", KINDS)
async def test_an_archive_is_unpacked(volume: Volume, hub: ModelHub, kind: str, folder: str) -> None:
    data = KINDS[kind](below(folder, MODEL))
    result = await staged(volume, archive(volume, hub, data))
    assert published(volume, result) == MODEL
    assert result.path == f"http/127.0.0.1-{hub.port}--tiny-model/archive-{sha256(data)[:40]}"
    assert (result.files, result.excluded.files, result.adopted) == (4, 0, False)
    assert list((volume.root / ".staging").iterdir()) == []
    for path in (volume.root / result.path).rglob("*"):
        wanted = 0o755 if path.is_dir() else 0o644
        assert stat.S_IMODE(path.stat().st_mode) & wanted == wanted, path


async def test_the_same_files_have_the_same_digest_packed_and_one_by_one(volume: Volume, hub: ModelHub) -> None:
    packed = await staged(volume, archive(volume, hub, tar(MODEL)))
    assert packed.digest == (await staged(volume, serve_list(volume, hub))).digest


async def test_an_archive_with_another_sum_is_not_unpacked(volume: Volume, hub: ModelHub) -> None:
    source = archive(volume, hub, tar(MODEL)) | {"sha256": "0" * 64}
    assert (await refused(volume, source)).reason == "ChecksumMismatch"


async def test_what_an_archive_must_come_to_can_be_said(volume: Volume, hub: ModelHub) -> None:
    source = archive(volume, hub, tar(MODEL))
    error = await refused(volume, source, digest=f"sha256:{'0' * 64}")
    assert error.reason == "DigestMismatch"
    first = await staged(volume, source)
    hub.requests.clear()
    again = await staged(volume, source, digest=first.digest)
    assert (again.adopted, again.digest) == (True, first.digest)
    assert len(hub.requests) == 1  # for its size


async def test_an_archive_whose_digest_nobody_knows_is_unpacked_anew(volume: Volume, hub: ModelHub) -> None:
    """What is inside is listed nowhere, so what lies there proves nothing."""
    source = archive(volume, hub, tar(MODEL))
    first = await staged(volume, source)
    (volume.root / first.path / "config.json").write_bytes(b"planted")
    second = await staged(volume, source)
    assert (second.adopted, second.path) == (False, first.path)
    assert published(volume, second) == MODEL


async def test_a_damaged_directory_of_a_known_digest_is_unpacked_anew(volume: Volume, hub: ModelHub) -> None:
    source = archive(volume, hub, tar(MODEL))
    first = await staged(volume, source)
    (volume.root / first.path / "config.json").write_bytes(b"short")
    second = await staged(volume, source, digest=first.digest)
    assert not second.adopted
    assert published(volume, second) == MODEL


class Killed(BaseException):
    """What no code of ours catches."""


async def test_a_run_that_was_killed_while_unpacking_goes_on_with_the_archive_that_is_there(
    volume: Volume, hub: ModelHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = archive(volume, hub, tar(MODEL), "tiny.bin")
    renames = iter([True, False])
    replace = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if self.parent.name == "unpacked" and not next(renames):
            raise Killed
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(Killed):
        await staged(volume, source)
    monkeypatch.undo()
    hub.requests.clear()
    result = await staged(volume, source)
    assert published(volume, result) == MODEL
    assert [r.server for r in hub.requests] == ["hub", "cdn"]  # once, for its size


async def test_room_for_what_is_in_an_archive_is_seen_to_before_the_first_byte(volume: Volume, hub: ModelHub) -> None:
    packed = tar(MODEL)
    source, both = archive(volume, hub, packed, "tiny.bin"), 2 * len(packed)
    error = await refused(volume, source, free=both - 1)
    assert (error.reason, error.exit_code) == ("DiskFull", 3)
    assert error.message.startswith(
        "1 B too little: 300.0 KiB are still to be downloaded, what is in the archive needs"
    )
    assert not list(volume.root.glob(".staging/*/partials/*"))
    assert published(volume, await staged(volume, source, free=both)) == MODEL


async def test_what_a_killed_run_unpacked_is_not_held_against_the_next_one(
    volume: Volume, hub: ModelHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a volume that holds the archive and its files, and nothing more."""
    packed = tar(MODEL)
    source = archive(volume, hub, packed, "tiny.bin")

    def room(path: Path) -> int:
        return 2 * len(packed) + 4096 - sum(each.stat().st_size for each in volume.root.rglob("*") if each.is_file())

    renames = iter([True, True, False])
    replace = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if "unpacked" in self.parts and not next(renames):
            raise Killed
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(Killed):
            await staged(volume, source)
    assert room(volume.root) < len(packed)
    result = await staged(volume, source, free=room)
    assert published(volume, result) == MODEL


async def test_a_volume_that_runs_full_while_unpacking_is_given_back_what_was_unpacked(
    volume: Volume, hub: ModelHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = archive(volume, hub, tar(MODEL), "tiny.bin")
    create = unpacking._create

    def until_full(scratch: Path, name: str) -> BinaryIO:
        if name == "model.safetensors":
            raise OSError(errno.ENOSPC, "No space left on device", str(scratch / name))
        return create(scratch, name)

    with monkeypatch.context() as patch:
        patch.setattr(unpacking, "_create", until_full)
        error = await refused(volume, source)
    assert error.reason == "DiskFull"
    assert [path.suffix for path in volume.root.rglob("*") if path.is_file()] == [".jsonl", ".archive"]
    hub.requests.clear()
    assert published(volume, await staged(volume, source)) == MODEL
    assert [r.server for r in hub.requests] == ["hub", "cdn"]  # once, for its size
