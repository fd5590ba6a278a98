"""What lay in the place of weights and was moved aside: it goes with the last of those who may read from it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from embedding_operator.staging.clean import CleanResult, clean, parse_clean_spec
from embedding_operator.staging.result import StageResult
from tests.standins.modelhub import ModelHub

from .kit import Volume, killed_at_each_step, left

ME, OTHER = "c1_search_u-1", "c2_search_u-2"


def removed(volume: Volume, staged: StageResult, user: str = ME) -> CleanResult:
    document = {"root": str(volume.root), "path": staged.path, "digest": staged.digest, "user": user}
    return clean(parse_clean_spec(json.dumps(document)), pause=lambda _: None)


def aside(volume: Volume) -> list[str]:
    return sorted(path.name for path in (volume.root / ".staging").glob("displaced-*"))


async def displace(volume: Volume, user: str = ME, spoil: Callable[[Path], object] | None = None) -> StageResult:
    """Weights of this user, staged where something else had to be moved away."""
    first = await volume.stage(user=user)
    (spoil or (lambda directory: (directory / "more.bin").write_bytes(b"more")))(volume.root / first.path)
    return await volume.stage(user=user)


async def test_what_was_moved_aside_goes_with_the_weights(volume: Volume) -> None:
    staged = await displace(volume)
    staged = await displace(volume)
    assert len(aside(volume)) == 2
    result = removed(volume, staged)
    assert result.removed
    assert result.message.startswith(f"{staged.path} is removed, ")
    assert f"; what was replaced by {staged.path} is removed, " in result.message
    assert left(volume.root) == []


async def test_it_stays_while_anybody_has_signed_who_may_still_read_it(volume: Volume) -> None:
    await volume.stage(user=OTHER)
    staged = await displace(volume)
    assert not removed(volume, staged).removed
    assert len(aside(volume)) == 1
    assert removed(volume, staged, OTHER).removed
    assert left(volume.root) == []


async def test_it_goes_also_where_the_weights_themselves_are_gone(volume: Volume) -> None:
    staged = await displace(volume)
    shutil.rmtree(volume.root / staged.path)
    assert removed(volume, staged).message.startswith(f"what was replaced by {staged.path} is removed, ")
    assert aside(volume) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda directory: (directory / "manifest.json").unlink(),
        lambda directory: (directory / "manifest.json").write_text('{"format": "other"}'),
        lambda directory: (directory / "manifest.json").write_text(
            (directory / "manifest.json").read_text().replace('": 0', '": 1')
        ),
        lambda directory: (directory.rename(directory.parent / "real"), directory.symlink_to("real")),
    ],
    ids=["no manifest", "somebody else's", "damaged", "a link"],
)
async def test_what_does_not_say_that_we_wrote_it_is_left_to_whoever_did(
    volume: Volume, spoil: Callable[[Path], object]
) -> None:
    staged = await displace(volume, spoil=spoil)
    (kept,) = aside(volume)
    assert removed(volume, staged).removed
    assert aside(volume) == [kept]


async def test_what_was_moved_aside_for_other_weights_stays(volume: Volume) -> None:
    staged = await displace(volume)
    (mine,) = aside(volume)
    other = volume.root / ".staging" / mine.replace("-1", "-1-1")  # of a revision whose name goes on with -1
    shutil.copytree(volume.root / ".staging" / mine, other)
    assert removed(volume, staged).removed
    assert aside(volume) == [other.name]


async def test_a_dangling_link_that_was_moved_aside_is_in_nobodys_way(volume: Volume) -> None:
    def unhinge(directory: Path) -> None:
        shutil.rmtree(directory)
        directory.symlink_to("nowhere")

    await displace(volume, spoil=unhinge)
    staged = await displace(volume)
    volume.assert_published(staged.path)
    assert len(aside(volume)) == 2


async def test_killed_at_each_step_the_next_run_completes(
    volume: Volume, hub: ModelHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = await displace(volume)
    for copy in killed_at_each_step(volume, tmp_path, monkeypatch, lambda copy: removed(copy, staged)):
        removed(copy, staged)
        assert left(copy.root) == []
