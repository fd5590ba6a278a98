"""Staged weights are read again: slowly, from the disk, and what is damaged is fetched again into its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from embedding_operator.staging.errors import StageError
from embedding_operator.staging.pace import Pace
from embedding_operator.staging.result import StageResult
from embedding_operator.staging.settings import Settings
from embedding_operator.staging.spec import parse_spec
from embedding_operator.staging.stage import stage
from tests.standins.modelhub import ModelHub

from .kit import BIG, QUICK, SECOND, Volume, make_model
from .test_adopt import flip


async def read_again(volume: Volume, staged: StageResult) -> StageResult:
    spec = {
        "source": {"path": {"path": staged.path}},
        "root": str(volume.root),
        "digest": staged.digest,
        "parallelism": 1,
        "readBytesPerSecond": 1 << 30,
        "progressPort": None,
    }
    return await stage(parse_spec(json.dumps(spec)))


async def mend(volume: Volume, staged: StageResult) -> StageResult:
    spec = json.loads(volume.spec(staged.digest, revision=staged.revision)) | {"verify": True}
    return await stage(parse_spec(json.dumps(spec)), settings=Settings(**QUICK))


@pytest.mark.parametrize("damage", [flip, lambda path: path.write_bytes(b"short"), Path.unlink])
async def test_damage_is_found_by_name_and_mended_alone(volume: Volume, hub: ModelHub, damage: object) -> None:
    staged = await volume.stage(user="c_ns_u")
    assert (await read_again(volume, staged)).digest == staged.digest
    damage(volume.root / staged.path / BIG)  # type: ignore[operator]
    with pytest.raises(StageError) as caught:
        await read_again(volume, staged)
    assert caught.value.reason == "ChecksumMismatch"
    assert BIG in caught.value.message
    hub.requests.clear()
    mended = await mend(volume, staged)
    assert (mended.mended, mended.path, mended.digest) == (1, staged.path, staged.digest)
    assert hub.bytes_sent() == (volume.source / BIG).stat().st_size
    volume.assert_published(staged.path)
    await read_again(volume, staged)


async def test_what_nfs_leaves_of_a_mended_file_is_no_damage(volume: Volume) -> None:
    staged = await volume.stage()
    (volume.root / staged.path / ".nfs000000000001").write_bytes(b"old")
    assert (await read_again(volume, staged)).digest == staged.digest


async def test_a_server_that_has_the_file_open_is_not_disturbed(volume: Volume) -> None:
    staged = await volume.stage()
    path = volume.root / staged.path / BIG
    flip(path, at=7)
    with path.open("rb") as held:
        before = held.read()
        await mend(volume, staged)
        held.seek(0)
        assert held.read() == before
    volume.assert_published(staged.path)


async def test_what_is_whole_after_all_is_not_touched(volume: Volume, hub: ModelHub) -> None:
    staged = await volume.stage()
    inodes = {path: path.stat().st_ino for path in (volume.root / staged.path).rglob("*")}
    hub.requests.clear()
    mended = await mend(volume, staged)
    assert (mended.mended, hub.bytes_sent()) == (0, 0)
    assert {path: path.stat().st_ino for path in (volume.root / staged.path).rglob("*")} == inodes


async def test_a_branch_that_moved_since_mends_nothing_with_other_weights(
    volume: Volume, hub: ModelHub, tmp_path: Path
) -> None:
    hub.fault("no-commit")
    staged = await volume.stage()
    damaged = volume.root / staged.path / SECOND
    flip(damaged)
    content = damaged.read_bytes()
    make_model(volume.source, seed=9)
    spec = json.loads(volume.spec(staged.digest)) | {"verify": True}
    with pytest.raises(StageError) as caught:
        await stage(parse_spec(json.dumps(spec)), settings=Settings(**QUICK))
    assert caught.value.reason == "DigestMismatch"
    assert damaged.read_bytes() == content


async def test_files_that_the_hub_calls_another_revision_by_now_are_mended_where_they_are(
    volume: Volume, hub: ModelHub
) -> None:
    """A hub without commits: the listing is the revision, and holds files that were not chosen, too."""
    hub.fault("no-commit")
    staged = await volume.stage()
    flip(volume.root / staged.path / BIG)
    (volume.source / ".gitattributes").write_bytes(b"*.bin lfs")
    spec = json.loads(volume.spec(staged.digest)) | {"verify": True, "directory": staged.path}
    mended = await stage(parse_spec(json.dumps(spec)), settings=Settings(**QUICK))
    assert mended.revision != staged.revision
    assert (mended.mended, mended.path, mended.digest) == (1, staged.path, staged.digest)
    volume.assert_published(staged.path)
    assert len(list((volume.root / staged.path).parent.iterdir())) == 1


async def test_a_pace_holds_back_what_would_be_too_fast_and_owes_nothing_for_what_was_slow() -> None:
    now, slept = [100.0], []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    pace = Pace(1000, clock=lambda: now[0], sleep=sleep)
    await pace(500)
    await pace(500)
    now[0] += 10  # the disk was slow: no burst follows
    await pace(2000)
    assert slept == [0.5, 0.5, 2.0]
