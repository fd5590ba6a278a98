"""A ModelCache is deleted with its files before they were published: what it began goes, what others need stays."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from embedding_operator.staging.clean import CleanResult, clean, parse_clean_spec
from embedding_operator.staging.users import others
from tests.standins.modelhub import ModelHub

from .kit import BIG, SECOND, Volume, make_model, wait_for

ME, OTHER = "c1_search_u-1", "c2_search_u-2"


def at_once(_: float) -> None:
    """No waiting for file systems that cache names."""


async def begun(volume: Volume, hub: ModelHub, user: str, **fields: object) -> None:
    """A download that was stopped in the middle, by one who may not tidy up."""
    hub.fault("stall-after", match=BIG, value=500_000)
    run = asyncio.create_task(volume.stage(user=user, **fields))  # type: ignore[arg-type]
    await asyncio.to_thread(wait_for, lambda: hub.bytes_sent(BIG) >= 500_000)
    run.cancel()
    with suppress(asyncio.CancelledError):
        await run
    hub.faults.clear()
    hub.requests.clear()


def removed(volume: Volume, user: str = ME, pause: Callable[[float], None] = at_once, **spec: Any) -> CleanResult:
    return clean(parse_clean_spec(json.dumps({"root": str(volume.root), "user": user} | spec)), pause=pause)


def left(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.name != ".staging")


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


class Killed(BaseException):
    """The process ends here."""


async def test_killed_at_each_step_the_next_run_completes(
    volume: Volume, hub: ModelHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await begun(volume, hub, ME)
    steps = 0
    while True:
        root = tmp_path / f"killed-{steps}"
        shutil.copytree(volume.root, root)
        copy = Volume(root=root, hub=hub, source=volume.source)
        with monkeypatch.context() as patch:
            finished = _run_until(copy, steps, patch)
        removed(copy)
        assert left(root) == []
        if finished:
            break
        steps += 1
    assert steps > 8


def _run_until(volume: Volume, steps: int, patch: pytest.MonkeyPatch) -> bool:
    """Clean, killed before the nth change of the disk; True if it came to its end before."""
    left_over = [steps]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            left_over[0] -= 1
            if left_over[0] < 0:
                raise Killed
            return real(*arguments, **options)

        return call

    for name in ("rename", "unlink", "rmdir", "mkdir"):
        patch.setattr(os, name, counted(getattr(os, name)))
    try:
        removed(volume)
    except Killed:
        return False
    return True
