"""Cleaning up: only what we wrote, only what nobody else uses, and whole at any moment."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embedding_operator.cli import main
from embedding_operator.staging import clean as cleaning
from embedding_operator.staging import stage as staging_module
from embedding_operator.staging.clean import CleanResult, clean, parse_clean_spec
from embedding_operator.staging.errors import StageError
from embedding_operator.staging.main import main_clean
from embedding_operator.staging.result import StageResult
from embedding_operator.staging.users import others, sign, signatures, unsign
from tests.standins.modelhub import ModelHub

from .kit import BIG, Volume, killed_at_each_step, left, make_model

ME, OTHER = "c1_search_u-1", "c2_search_u-2"


def at_once(_: float) -> None:
    """No waiting for file systems that cache names."""


def removed(volume: Volume, staged: StageResult, user: str = ME, **spec: Any) -> CleanResult:
    document = {"root": str(volume.root), "path": staged.path, "digest": staged.digest, "user": user} | spec
    return clean(parse_clean_spec(json.dumps(document)), pause=at_once)


def kept_files(root: Path) -> list[str]:
    """Files and links, but for signatures."""
    return [name for name in left(root) if ".users" not in name and not stat.S_ISDIR((root / name).lstat().st_mode)]


async def test_what_is_ours_alone_goes_and_leaves_nothing_behind(volume: Volume) -> None:
    staged = await volume.stage(user=ME)
    assert [path.name for path in signatures(volume.root, staged.path).iterdir()] == [ME]
    result = removed(volume, staged)
    assert result.removed
    assert staged.path in result.message
    assert left(volume.root) == []


async def test_other_revisions_stay_with_those_who_signed_for_them(volume: Volume, tmp_path: Path) -> None:
    make_model(tmp_path / "hub" / "Acme/Tiny-Embedding@v2", seed=2)
    first, second = await volume.stage(user=ME), await volume.stage(user=OTHER, revision="v2")
    assert removed(volume, first).removed
    assert not (volume.root / first.path).exists()
    assert (volume.root / second.path / BIG).is_file()
    assert others(volume.root, second.path, ME) == [OTHER]


async def test_what_another_uses_stays_until_the_last_one_goes(volume: Volume) -> None:
    staged = await volume.stage(user=ME)
    await volume.stage(user=OTHER)
    kept = removed(volume, staged)
    assert (kept.removed, kept.message) == (False, f"others still use the files: {OTHER}")
    volume.assert_published(staged.path)
    assert removed(volume, staged, OTHER).removed


async def test_a_cluster_that_was_renamed_still_knows_its_own(volume: Volume) -> None:
    staged = await volume.stage(user="old_search_u-1")
    assert removed(volume, staged, "new_search_u-1").removed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: (d / "manifest.json").unlink(), "has no manifest of ours: whoever made it removes it"),
        (lambda d: (d / "manifest.json").write_text('{"format": "other"}'), "has no manifest of ours"),
        (
            lambda d: (d / "manifest.json").write_text((d / "manifest.json").read_text().replace('": 0', '": 1')),
            "the manifest of",
        ),
        (lambda d: (shutil.rmtree(d), d.touch()), "is no directory, or is a link: nothing is removed"),
        (lambda d: (d.rename(d.parent / "real"), d.symlink_to("real")), "is no directory, or is a link"),
        (
            lambda d: (d.parent.rename(d.parents[1] / "real"), d.parent.symlink_to("real")),
            "is no directory, or is a link",
        ),
    ],
    ids=["no manifest", "a model's own", "damaged", "a file", "a link", "a link on the way"],
)
async def test_what_is_not_plainly_ours_stays(volume: Volume, change: Callable[[Path], object], words: str) -> None:
    staged = await volume.stage(user=ME)
    change(volume.root / staged.path)
    before = kept_files(volume.root)
    result = removed(volume, staged)
    assert not result.removed
    assert words in result.message
    assert kept_files(volume.root) == before


async def test_what_is_gone_already_is_removed(volume: Volume) -> None:
    """As by an earlier run that was killed before it could say so."""
    staged = await volume.stage(user=ME)
    assert removed(volume, staged).removed
    assert removed(volume, staged) == CleanResult(True, f"{staged.path} is not there any more")


async def test_another_content_than_this_cache_was_told_of_stays(volume: Volume) -> None:
    staged = await volume.stage(user=ME)
    result = removed(volume, staged, digest=f"sha256:{'0' * 64}")
    assert not result.removed
    assert "somebody else staged it" in result.message
    volume.assert_published(staged.path)


async def test_a_link_inside_is_removed_and_not_followed(volume: Volume, tmp_path: Path) -> None:
    staged = await volume.stage(user=ME)
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "mine").write_text("mine")
    (volume.root / staged.path / "link").symlink_to(victim)
    assert removed(volume, staged).removed
    assert (victim / "mine").read_text() == "mine"


async def test_one_who_signs_while_it_is_away_gets_it_back(volume: Volume) -> None:
    staged = await volume.stage(user=ME)
    seen: list[bool] = []

    def meanwhile(_: float) -> None:
        seen.append((volume.root / staged.path).exists())
        sign(volume.root, staged.path, OTHER)

    spec = parse_clean_spec(
        json.dumps({"root": str(volume.root), "path": staged.path, "digest": staged.digest, "user": ME})
    )
    assert clean(spec, pause=meanwhile) == CleanResult(False, f"others still use the files: {OTHER}")
    assert seen == [False]
    volume.assert_published(staged.path)


async def test_one_who_stages_anew_while_it_is_away_keeps_what_it_staged(volume: Volume, hub: ModelHub) -> None:
    staged = await volume.stage(user=ME)
    away = volume.root / ".trash" / ME
    away.parent.mkdir()
    (volume.root / staged.path).rename(away)  # as a clean-up that was killed right there
    await volume.stage(user=OTHER)
    assert removed(volume, staged).removed
    volume.assert_published(staged.path)
    assert not away.exists()


async def test_killed_at_each_step_the_next_run_completes(
    volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = await volume.stage(user=ME)
    for copy in killed_at_each_step(volume, tmp_path, monkeypatch, lambda copy: removed(copy, staged)):
        if (copy.root / staged.path).exists():
            copy.assert_published(staged.path)
        assert removed(copy, staged).removed
        assert left(copy.root) == []


def test_what_it_is_told_is_read_strictly() -> None:
    good = {"root": "/cache", "path": "modelscope/a--b/c", "digest": f"sha256:{'0' * 64}", "user": ME}
    assert parse_clean_spec(json.dumps(good)).path == good["path"]
    for wrong in (
        {"path": "../x"},
        {"path": "/etc"},
        {"path": ".staging/x"},
        {"path": "modelscope/a--b/.users/c"},
        {"path": ""},
        {"root": "cache"},
        {"digest": "sha256:1"},
        {"user": "../../x"},
        {"user": "a_b_c/d"},
        {"more": 1},
    ):
        with pytest.raises(StageError) as caught:
            parse_clean_spec(json.dumps(good | wrong))
        assert caught.value.reason == "BadSource"


async def test_the_process_says_what_became_of_it(
    volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning, "SETTLE", 0.0)
    staged = await volume.stage(user=ME)
    log = tmp_path / "log"
    monkeypatch.setenv("TERMINATION_LOG", str(log))
    spec = json.dumps({"root": str(volume.root), "path": staged.path, "digest": staged.digest, "user": ME})
    assert main(["clean", "--spec", spec]) == 0
    assert json.loads(log.read_text())["result"] == "Removed"
    other = json.loads(spec) | {"digest": f"sha256:{'0' * 64}"}
    assert (await volume.stage(user=ME)).path == staged.path
    assert main(["clean", "--spec", json.dumps(other)]) == 0
    assert json.loads(log.read_text())["result"] == "Kept"
    assert main_clean("{", {"TERMINATION_LOG": str(log)}) == 3
    assert json.loads(log.read_text())["reason"] == "BadSource"


async def test_a_signature_that_is_a_link_is_not_followed(volume: Volume, tmp_path: Path) -> None:
    staged = await volume.stage()
    place = signatures(volume.root, staged.path)
    place.mkdir(parents=True)
    (place / ME).symlink_to(tmp_path / "victim")
    with pytest.raises(StageError):
        await volume.stage(user=ME)
    assert not (tmp_path / "victim").exists()


async def test_everybody_may_sign_and_erase_its_own(volume: Volume) -> None:
    """Another namespace may stage as another user."""
    staged = await volume.stage(user=ME)
    assert stat.S_IMODE(signatures(volume.root, staged.path).stat().st_mode) == 0o1777
    sign(volume.root, staged.path, OTHER)
    unsign(volume.root, staged.path, ME)
    assert others(volume.root, staged.path, ME) == [OTHER]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
async def test_where_nobody_may_write_what_is_there_serves_unsigned(
    volume: Volume, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    first = await volume.stage()

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(staging_module, "sign", refuse)
    assert (await volume.stage(user=ME)).path == first.path


async def test_a_staging_that_finds_it_gone_after_it_signed_stages_anew(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = await volume.stage(user=ME)

    def late(root: Path, relative: str, user: str, digest: str | None = None) -> None:
        if (root / relative).exists() and not (root / "away").exists():
            (root / relative).rename(root / "away")
        sign(root, relative, user, digest)

    monkeypatch.setattr(staging_module, "sign", late)
    again = await volume.stage(user=OTHER)
    assert not again.adopted
    volume.assert_published(staged.path)
