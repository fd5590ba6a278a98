"""The whole path: a repository at the hub becomes a published directory on the volume."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import stat
import time
from contextlib import suppress
from pathlib import Path

import pytest

from embedding_operator.staging.errors import StageError
from embedding_operator.staging.layout import source_layout
from embedding_operator.staging.manifest import read_manifest
from tests.standins.modelhub import ModelHub

from .kit import BIG, LEFT_OUT, REPO, SECOND, Volume, make_model, selected_files, wait_for


async def test_a_repository_is_staged_with_its_manifest(volume: Volume, hub: ModelHub) -> None:
    result = await volume.stage()

    commit = hub.repositories.commit(volume.source)
    assert result.path == f"modelscope/Acme--Tiny-Embedding/{commit}"
    assert (result.revision, result.adopted) == (commit, False)
    assert (result.files, result.bytes) == (5, volume.total)
    assert (result.excluded.files, result.excluded.bytes) == (3, 7000 + len("*.safetensors lfs"))
    assert result.digest == volume.digest
    volume.assert_published(result.path)
    manifest = read_manifest(volume.root / result.path)
    assert manifest is not None
    assert list(manifest.files) == selected_files(volume.source)
    assert (manifest.repo, manifest.requested_revision, manifest.revision) == (REPO, "master", commit)
    assert manifest.source == "modelscope"


async def test_nothing_is_left_in_the_staging_directory(volume: Volume) -> None:
    await volume.stage()
    assert list((volume.root / ".staging").iterdir()) == []


async def test_everyone_may_read_what_was_staged(volume: Volume) -> None:
    result = await volume.stage()
    below = [volume.root / "modelscope", *(volume.root / "modelscope").rglob("*")]
    assert volume.root / result.path / BIG in below
    for path in below:
        wanted = 0o755 if path.is_dir() else 0o644
        assert stat.S_IMODE(path.stat().st_mode) & wanted == wanted, path


async def test_a_second_run_adopts_what_is_there(volume: Volume, hub: ModelHub) -> None:
    first = await volume.stage()
    hub.requests.clear()
    second = await volume.stage()
    assert second.adopted
    assert (second.digest, second.path, second.bytes) == (first.digest, first.path, first.bytes)
    assert second.excluded == first.excluded
    assert hub.bytes_sent() == 0


def test_memory_does_not_grow_with_the_files(volume: Volume, tmp_path: Path) -> None:
    def peak() -> int:
        """Bytes that a stager of its own had in memory at the most, as far as looking often can tell."""
        process = volume.process(tmp_path / "log")
        seen = [0]
        while process.poll() is None:
            with suppress(OSError):  # gone between the two looks
                text = Path(f"/proc/{process.pid}/status").read_text()
                seen += [int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmHWM:")]
            time.sleep(0.01)
        assert process.returncode == 0, (tmp_path / "log.err").read_text()
        return max(seen)

    small = peak()
    size = 48 << 20
    os.truncate(volume.source / BIG, size)
    assert small > 0
    assert peak() - small < size // 2


async def test_what_a_run_left_that_was_killed_after_publishing_is_tidied_up(volume: Volume) -> None:
    first = await volume.stage()
    layout = source_layout(volume.root, "modelscope", REPO, first.revision)
    layout.staging.mkdir()
    layout.journal.write_text("{}")
    assert (await volume.stage()).adopted
    assert list((volume.root / ".staging").iterdir()) == []


async def test_a_directory_without_a_manifest_is_not_taken_for_a_model(volume: Volume, hub: ModelHub) -> None:
    squatter = volume.root / "modelscope/Acme--Tiny-Embedding" / hub.repositories.commit(volume.source)
    squatter.mkdir(parents=True)
    (squatter / "config.json").write_text("{}")
    result = await volume.stage()
    assert not result.adopted
    volume.assert_published(result.path)


async def test_revisions_have_directories_of_their_own(volume: Volume, tmp_path: Path) -> None:
    make_model(tmp_path / "hub" / f"{REPO}@v2", seed=2)
    master, tag = await volume.stage(), await volume.stage(revision="v2")
    assert master.path != tag.path
    assert master.digest != tag.digest
    by_commit = await volume.stage(revision=tag.revision)
    assert (by_commit.path, by_commit.adopted) == (tag.path, True)


async def test_a_hub_without_commits_gets_an_id_from_its_listing(volume: Volume, hub: ModelHub) -> None:
    hub.fault("no-commit")
    first = await volume.stage()
    assert first.revision.startswith("listing-")
    assert len(first.revision) == len("listing-") + 40
    assert first.digest == volume.digest
    assert (await volume.stage()).adopted
    (volume.source / "config.json").write_text('{"changed": true}')
    assert (await volume.stage()).revision != first.revision


async def test_a_hub_that_serves_no_files_by_commit_is_read_by_branch(volume: Volume, hub: ModelHub) -> None:
    hub.fault("no-commit-reads")
    volume.assert_published((await volume.stage()).path)


async def test_a_branch_that_moves_after_the_listing_does_no_harm(volume: Volume, hub: ModelHub) -> None:
    """Files are read by commit, so that a push in between does not mix two revisions."""
    hub.fault("slow", match=BIG, value=2 << 20)
    run = asyncio.create_task(volume.stage(parallelism=1))
    await asyncio.to_thread(wait_for, lambda: hub.bytes_sent(BIG) > 0)
    before = volume.source.rename(volume.source.with_name(f"{volume.source.name}@before"))
    make_model(volume.source, seed=2)
    result = await run
    assert len([r for r in hub.requests if r.path == SECOND]) == 1  # after the push
    dataclasses.replace(volume, source=before).assert_published(result.path)


async def test_other_files_than_the_default_have_a_directory_of_their_own(volume: Volume) -> None:
    default = await volume.stage()
    chosen = await volume.stage(include=["*.json", "onnx/*"])
    assert chosen.revision == default.revision
    assert chosen.path.startswith(f"{default.path}-files-")
    assert (volume.root / chosen.path / "onnx/model.onnx").is_file()
    assert not (volume.root / chosen.path / BIG).exists()


async def test_an_empty_exclude_leaves_nothing_out(volume: Volume) -> None:
    default = await volume.stage()
    everything = await volume.stage(exclude=[])
    assert everything.excluded.files == 0
    assert everything.path.startswith(f"{default.path}-files-")
    for name in LEFT_OUT:
        assert (volume.root / everything.path / name).read_bytes() == (volume.source / name).read_bytes()


async def test_files_without_a_sum_get_ours(volume: Volume, hub: ModelHub) -> None:
    hub.fault("no-sha256")
    result = await volume.stage()
    assert result.digest == volume.digest


async def test_a_pinned_digest_is_held_against_the_listing_first(volume: Volume, hub: ModelHub) -> None:
    assert (await volume.stage(digest=volume.digest)).digest == volume.digest
    hub.requests.clear()
    with pytest.raises(StageError, match="other content than was pinned") as caught:
        await volume.stage(digest=f"sha256:{'0' * 64}")
    assert (caught.value.reason, caught.value.exit_code) == ("DigestMismatch", 3)
    assert hub.bytes_sent() == 0


async def test_a_pinned_digest_is_held_against_the_bytes(volume: Volume, hub: ModelHub) -> None:
    hub.fault("no-sha256")
    with pytest.raises(StageError) as caught:
        await volume.stage(digest=f"sha256:{'0' * 64}")
    assert caught.value.reason == "DigestMismatch"
    assert not (volume.root / "modelscope").exists()


async def test_the_digest_does_not_depend_on_who_staged_it_from_where(volume: Volume, tmp_path: Path) -> None:
    first = await volume.stage()
    make_model(tmp_path / "mirror" / "Other" / "Name")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with ModelHub(tmp_path / "mirror") as mirror:
        mirror.fault("no-commit")
        other = Volume(root=elsewhere, hub=mirror, source=volume.source)
        second = await other.stage(repo="Other/Name")
    assert second.revision != first.revision
    assert second.digest == first.digest


async def test_a_listing_that_was_cut_is_walked_by_directory(
    volume: Volume, hub: ModelHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedding_operator.staging.modelscope.LISTING_CUT", 10)
    hub.fault("listing-limit", value=10)
    for number in range(9):
        (volume.source / f"sub{number % 3}").mkdir(exist_ok=True)
        (volume.source / f"sub{number % 3}" / f"{number}.txt").write_text(str(number))
    (volume.source / "1_Pooling/config.json").unlink()
    (volume.source / "onnx/model.onnx").unlink()
    (volume.source / "onnx").rmdir()
    (volume.source / "1_Pooling").rmdir()
    for name in ("empty.txt", ".gitattributes"):
        (volume.source / name).unlink()
    result = await volume.stage()
    volume.assert_published(result.path)
    assert result.files == 12
