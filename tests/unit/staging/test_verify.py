"""Weights that are on the volume already: hashed and compared, never changed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from embedding_operator.staging.errors import StageError
from embedding_operator.staging.result import StageResult
from embedding_operator.staging.spec import parse_spec
from embedding_operator.staging.stage import stage

from .kit import BIG, Volume


async def verify(root: Path, path: str, digest: str | None = None) -> StageResult:
    spec = {"source": {"path": {"path": path}}, "root": str(root), "digest": digest, "progressPort": 0}
    return await stage(parse_spec(json.dumps(spec)))


async def refused(root: Path, path: str, digest: str | None = None) -> StageError:
    with pytest.raises(StageError) as caught:
        await verify(root, path, digest)
    return caught.value


def model(root: Path) -> Path:
    directory = root / "models" / "mine"
    directory.mkdir(parents=True)
    (directory / "model.safetensors").write_bytes(b"weights" * 1000)
    (directory / "config.json").write_text("{}")
    return directory


def replace_text(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def snapshot(root: Path) -> list[tuple[str, int, int, int]]:
    found = []
    for path in sorted([root, *root.rglob("*")]):
        stat = path.lstat()
        found.append((str(path), stat.st_mode, stat.st_size, stat.st_mtime_ns))
    return found


async def test_staged_weights_verify_as_what_they_were_staged_as(volume: Volume) -> None:
    staged = await volume.stage()
    found = await verify(volume.root, staged.path, staged.digest)
    assert (found.digest, found.revision, found.bytes) == (staged.digest, staged.revision, staged.bytes)
    assert (found.path, found.files, found.adopted) == (staged.path, staged.files, True)


async def test_a_directory_without_a_manifest_gets_an_id_from_its_content(tmp_path: Path) -> None:
    directory = model(tmp_path)
    first = await verify(tmp_path, "models/mine/")
    assert first.path == "models/mine"
    assert first.revision.startswith("listing-")
    (directory / "config.json").write_text("[]")
    second = await verify(tmp_path, "models/mine")
    assert second.digest != first.digest
    assert second.revision != first.revision


async def test_nothing_is_written(tmp_path: Path) -> None:
    directory = model(tmp_path)
    for path in (directory, tmp_path / "models"):
        path.chmod(0o555)
    before = snapshot(tmp_path)
    await verify(tmp_path, "models/mine")
    assert snapshot(tmp_path) == before
    for path in (tmp_path / "models", directory):
        path.chmod(0o755)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda d: (d / BIG).write_bytes(b"x" + (d / BIG).read_bytes()[1:]), f"{BIG}: expected sha256 "),
        (lambda d: (d / BIG).write_bytes(b"short"), f"{BIG}: expected 2097152 bytes, got 5"),
        (lambda d: (d / BIG).unlink(), f"{BIG} is in manifest.json but missing"),
        (lambda d: (d / "more.py").write_text("x"), "more.py is not in manifest.json"),
        (
            lambda d: replace_text(d / "manifest.json", '"size": 0', '"size": 1'),
            "manifest.json is damaged: its digest does not fit its file list",
        ),
    ],
)  # fmt: skip
async def test_a_directory_that_does_not_fit_its_manifest_is_refused(
    volume: Volume, damage: object, words: str
) -> None:
    staged = await volume.stage()
    damage(volume.root / staged.path)  # type: ignore[operator]
    error = await refused(volume.root, staged.path)
    assert (error.reason, error.exit_code) == ("ChecksumMismatch", 3)
    assert words in error.message


async def test_another_digest_than_was_pinned_is_refused(tmp_path: Path) -> None:
    model(tmp_path)
    error = await refused(tmp_path, "models/mine", f"sha256:{'1' * 64}")
    assert (error.reason, error.exit_code) == ("DigestMismatch", 3)


async def test_a_model_s_own_manifest_is_a_file_like_others(tmp_path: Path) -> None:
    (model(tmp_path) / "manifest.json").write_text('{"format": "something else"}')
    assert (await verify(tmp_path, "models/mine")).files == 3


@pytest.mark.parametrize(
    ("path", "reason", "words"),
    [
        ("models/other", "NotFound", "there is no models/other on the volume"),
        ("models", "NotFound", "models on the volume is empty"),
        ("file", "BadSource", "is a file"),
    ],
)
async def test_a_path_that_is_no_model_is_named(tmp_path: Path, path: str, reason: str, words: str) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "file").touch()
    error = await refused(tmp_path, path)
    assert (error.reason, error.exit_code) == (reason, 3)
    assert words in error.message


@pytest.mark.parametrize("place", [".staging/x/files", ".trash/x", "modelscope/a--b/.users/x"])
async def test_what_is_unfinished_or_discarded_is_no_model(tmp_path: Path, place: str) -> None:
    model(tmp_path / place)
    (tmp_path / "by-a-link").symlink_to(tmp_path / place)
    for path in (f"{place}/models/mine", "by-a-link/models/mine"):
        error = await refused(tmp_path, path)
        assert error.reason == "BadSource"
        assert "holds unfinished or discarded work" in error.message


async def test_links_inside_the_volume_are_followed_and_others_refused(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    directory = model(volume)
    (volume / "blobs").mkdir()
    (volume / "blobs/abc").write_bytes(b"blob")
    (directory / "linked.safetensors").symlink_to("../../blobs/abc")
    (directory / "again").symlink_to(".")
    assert (await verify(volume, "models/mine")).files == 3

    (tmp_path / "secret").write_text("outside")
    (directory / "link.json").symlink_to(tmp_path / "secret")
    error = await refused(volume, "models/mine")
    assert error.reason == "BadSource"
    assert "leaves the volume" in error.message


@pytest.mark.parametrize("link", ["aa", "mm", "zz"])
async def test_of_two_ways_to_a_directory_always_the_first_name_counts(tmp_path: Path, link: str) -> None:
    directory = model(tmp_path)
    for name in ("bb", "nn", "yy"):
        (directory / name).mkdir()
        (directory / name / "weights").write_text(name)
        (directory / f"{link}-{name}").symlink_to(name)
    found = await verify(tmp_path, "models/mine")
    for path in directory.iterdir():
        if path.is_symlink() and path.name > path.resolve().name:
            path.unlink()
        elif path.is_symlink():
            moved = path.resolve().replace(tmp_path / "moved")
            path.unlink()
            moved.replace(path)
    assert (await verify(tmp_path, "models/mine")).digest == found.digest


async def test_a_name_that_is_no_text_is_told(tmp_path: Path) -> None:
    (model(tmp_path) / os.fsdecode(b"caf\xe9.txt")).touch()
    error = await refused(tmp_path, "models/mine")
    assert (error.reason, error.exit_code) == ("BadSource", 3)
    assert r"'caf\udce9.txt' is no valid text in UTF-8: rename it" in error.message


@pytest.mark.parametrize("manifest", ["[" * 200_000, "\udcff", "7"])
async def test_a_manifest_that_cannot_be_read_is_a_file_like_others(tmp_path: Path, manifest: str) -> None:
    (model(tmp_path) / "manifest.json").write_bytes(manifest.encode(errors="surrogateescape"))
    assert (await verify(tmp_path, "models/mine")).files == 3


async def test_a_revision_that_no_stager_wrote_is_refused(volume: Volume) -> None:
    staged = await volume.stage()
    replace_text(
        volume.root / staged.path / "manifest.json", f'"revision": "{staged.revision}"', f'"revision": "{"x" * 5000}"'
    )
    error = await refused(volume.root, staged.path)
    assert error.reason == "ChecksumMismatch"
    assert "manifest.json is damaged: its revision makes no sense" in error.message


async def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(model(tmp_path) / "pipe")
    error = await refused(tmp_path, "models/mine")
    assert error.reason == "BadSource"
    assert "pipe" in error.message
