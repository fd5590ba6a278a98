"""A ModelCache is deleted with its files before they were published: what it began goes, what others need stays."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from embedding_operator.staging.clean import CleanResult, clean, parse_clean_spec
from embedding_operator.staging.users import others, sign, signatures
from tests.standins.modelhub import ModelHub

from .kit import BIG, SECOND, Volume, killed_at_each_step, left, make_model, wait_for

ME, OTHER = "c1_search_u-1", "c2_search_u-2"


def at_once(_: float) -> None:
    """No waiting for file systems that cache names."""


async def begun(volume: Volume, hub: ModelHub, user: str, **fields: object) -> None:
    """A download that was stopped in the middle, by one who may not tidy up."""
    hub.fault("stall-after", match=BIG, value=500_000)
    run = asyncio.create_task(volume.stage(user=user, **fields))  # type: ignore[arg-type]
    await asyncio.to_thread(wait_for, lambda: hub.bytes_sent(BIG) >= 500_000 and volume.bytes_present() > 400_000)
    run.cancel()
    with suppress(asyncio.CancelledError):
        await run
    hub.faults.clear()
    hub.requests.clear()


def removed(volume: Volume, user: str = ME, pause: Callable[[float], None] = at_once, **spec: Any) -> CleanResult:
    return clean(parse_clean_spec(json.dumps({"root": str(volume.root), "user": user} | spec)), pause=pause)


async def test_what_was_begun_goes_and_leaves_nothing_behind(volume: Volume, hub: ModelHub) -> None:
    await begun(volume, hub, ME)
    size = volume.bytes_present()
    assert size > 100_000
    result = removed(volume)
    assert result.removed
    assert result.message.startswith("an unfinished download is removed, ")
    assert left(volume.root) == []
    again = removed(volume)
    assert (again.removed, again.message) == (False, "nothing was there that could be removed")


async def test_all_that_was_begun_goes_of_a_branch_that_moved_in_between(volume: Volume, hub: ModelHub) -> None:
    await begun(volume, hub, ME)
    make_model(volume.source, seed=5)
    await begun(volume, hub, ME)
    assert len(list(volume.root.glob(".staging/modelscope*"))) == 2
    assert removed(volume).removed
    assert left(volume.root) == []


async def test_what_is_published_goes_with_what_was_begun(volume: Volume, hub: ModelHub) -> None:
    staged = await volume.stage(user=ME)
    (volume.root / staged.path / SECOND).unlink()
    hub.requests.clear()
    hub.fault("stall-after", match=SECOND, value=1000)
    mending = asyncio.create_task(volume.stage(user=ME))
    await asyncio.to_thread(wait_for, lambda: hub.bytes_sent(SECOND) >= 1000)
    mending.cancel()
    with suppress(asyncio.CancelledError):
        await mending
    result = removed(volume, path=staged.path, digest=staged.digest)
    assert result.removed
    assert result.message.startswith(f"{staged.path} is removed, ")
    assert "; an unfinished download is removed" in result.message
    assert left(volume.root) == []


async def test_a_download_that_came_to_its_end_leaves_no_signature(volume: Volume, hub: ModelHub) -> None:
    await begun(volume, hub, OTHER)
    await begun(volume, hub, ME)
    staged = await volume.stage(user=ME)
    volume.assert_published(staged.path)
    assert list((volume.root / ".staging").iterdir()) == []


async def test_what_another_has_begun_too_stays_and_goes_on_where_it_was(volume: Volume, hub: ModelHub) -> None:
    await begun(volume, hub, OTHER)
    await begun(volume, hub, ME)
    present = volume.bytes_present()
    assert not removed(volume).removed
    assert volume.bytes_present() == present
    volume.assert_published((await volume.stage(user=OTHER)).path)
    assert hub.bytes_sent() == volume.total - present


async def test_what_nobody_signed_or_somebody_else_stays(volume: Volume, hub: ModelHub) -> None:
    await begun(volume, hub, OTHER)
    before = left(volume.root)
    assert not removed(volume).removed
    assert left(volume.root) == before
    assert removed(volume, OTHER).removed


async def test_what_somebody_writes_in_stays(volume: Volume, hub: ModelHub) -> None:
    """Such as a stager of another cluster that has not signed, or whose claim is all that tells."""
    await begun(volume, hub, ME)
    (staging,) = volume.root.glob(".staging/modelscope*")
    beats = iter(range(99))

    def beat(_: float) -> None:
        (staging / "writer.json").write_text(json.dumps({"writer": "another", "beats": next(beats)}))

    beat(0)
    assert not removed(volume, pause=beat).removed
    assert staging.is_dir()


async def test_a_writer_that_was_told_to_stop_is_waited_for(volume: Volume, hub: ModelHub) -> None:
    await begun(volume, hub, ME)
    (staging,) = volume.root.glob(".staging/modelscope*")
    claim = staging / "writer.json"
    last = iter([lambda: claim.write_text('{"writer": "ours", "beats": 2}'), claim.unlink])
    claim.write_text('{"writer": "ours", "beats": 1}')
    assert removed(volume, pause=lambda _: next(last)()).removed
    assert left(volume.root) == []


async def test_a_claim_that_stands_still_is_of_a_writer_that_was_killed(volume: Volume, hub: ModelHub) -> None:
    await begun(volume, hub, ME)
    (staging,) = volume.root.glob(".staging/modelscope*")
    (staging / "writer.json").write_text('{"writer": "dead", "beats": 7}')
    assert removed(volume).removed
    assert left(volume.root) == []


async def test_one_who_signs_during_the_look_keeps_it(volume: Volume, hub: ModelHub) -> None:
    await begun(volume, hub, ME)
    (staging,) = volume.root.glob(".staging/modelscope*")
    (staging / "writer.json").write_text("{}")

    def meanwhile(_: float) -> None:
        (volume.root / ".staging/.users" / staging.name / OTHER).touch()

    assert not removed(volume, pause=meanwhile).removed
    assert others(volume.root, f".staging/{staging.name}", ME) == [OTHER]


@pytest.mark.parametrize("planted", [".staging", ".staging/.users"])
async def test_no_link_is_followed(volume: Volume, hub: ModelHub, tmp_path: Path, planted: str) -> None:
    await begun(volume, hub, ME)
    real = tmp_path / "elsewhere"
    (volume.root / planted).rename(real)
    (volume.root / planted).symlink_to(real)
    before = left(real)
    assert not removed(volume).removed
    assert left(real) == before


async def test_a_link_in_the_place_of_a_download_is_not_followed(volume: Volume, hub: ModelHub, tmp_path: Path) -> None:
    await begun(volume, hub, ME)
    (staging,) = volume.root.glob(".staging/modelscope*")
    staging.rename(tmp_path / "elsewhere")
    staging.symlink_to(tmp_path / "elsewhere")
    assert not removed(volume).removed
    assert list((tmp_path / "elsewhere").iterdir())


async def test_killed_at_each_step_the_next_run_completes(
    volume: Volume, hub: ModelHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await begun(volume, hub, ME)
    for copy in killed_at_each_step(volume, tmp_path, monkeypatch, removed):
        removed(copy)
        assert left(copy.root) == []


# ---- published, and killed before anybody was told


async def test_what_was_published_and_nobody_was_told_of_goes_too(volume: Volume) -> None:
    staged = await volume.stage(user=ME)
    result = removed(volume)
    assert result.removed
    assert result.message.startswith(f"{staged.path} is removed, ")
    assert left(volume.root) == []


async def test_what_another_has_signed_for_too_stays_and_is_its_own_from_then_on(volume: Volume) -> None:
    staged = await volume.stage(user=ME)
    await volume.stage(user=OTHER)
    result = removed(volume)
    assert (result.removed, result.message) == (False, f"others still use the files: {OTHER}")
    volume.assert_published(staged.path)
    assert removed(volume, OTHER).removed
    assert left(volume.root) == []


async def test_what_lies_there_with_another_digest_than_was_signed_for_stays(volume: Volume) -> None:
    staged = await volume.stage()
    sign(volume.root, staged.path, ME, f"sha256:{'0' * 64}")
    result = removed(volume)
    assert not result.removed
    assert "somebody else staged it" in result.message
    volume.assert_published(staged.path)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"digest": 1}', '{"path": "../x", "digest": "sha256:0"}', '{"path": "a"}', "[" * 2000],
    ids=["of a former version", "torn", "a list", "no path", "another place", "no digest", "deep"],
)
async def test_a_signature_that_does_not_say_what_it_is_for_removes_nothing(volume: Volume, text: str) -> None:
    staged = await volume.stage(user=ME)
    (signatures(volume.root, staged.path) / ME).write_text(text)
    assert not removed(volume).removed
    volume.assert_published(staged.path)
    assert others(volume.root, staged.path, OTHER) == []


async def test_a_signature_for_another_directory_than_it_lies_beside_removes_nothing(volume: Volume) -> None:
    """Everybody may sign, also in our name."""
    staged = await volume.stage()
    place = signatures(volume.root, "modelscope/Acme--Other/1")
    place.mkdir(parents=True)
    (place / ME).write_text(json.dumps({"path": staged.path, "digest": staged.digest}))
    assert not removed(volume).removed
    volume.assert_published(staged.path)


async def test_a_full_disk_keeps_nobody_from_signing(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    staged = await volume.stage()

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    sign(volume.root, staged.path, ME, staged.digest)
    assert others(volume.root, staged.path, OTHER) == [ME]


async def test_all_that_was_signed_for_is_found_and_killed_at_each_step_the_next_run_completes(
    volume: Volume, hub: ModelHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await volume.stage(user=ME)
    make_model(volume.source, seed=5)
    await volume.stage(user=ME)
    assert len(list(volume.root.glob("modelscope/*/*/manifest.json"))) == 2
    for copy in killed_at_each_step(volume, tmp_path, monkeypatch, removed):
        for directory in copy.root.glob("modelscope/*/*/"):
            assert directory.name == ".users" or (directory / BIG).is_file()
        removed(copy)
        assert left(copy.root) == []


@pytest.mark.parametrize("planted", ["modelscope", "modelscope/Acme--Tiny-Embedding", ".trash"])
async def test_no_link_is_followed_to_what_was_published(volume: Volume, tmp_path: Path, planted: str) -> None:
    await volume.stage(user=ME)
    (volume.root / ".trash").mkdir()
    (volume.root / planted).rename(tmp_path / "elsewhere")
    (volume.root / planted).symlink_to(tmp_path / "elsewhere")
    before = left(tmp_path / "elsewhere")
    assert not removed(volume).removed
    assert left(tmp_path / "elsewhere") == before
