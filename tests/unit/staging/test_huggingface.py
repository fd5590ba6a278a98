"""Weights from the Hugging Face Hub's API: what is particular to it. All that the download does is the same for all."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest

from embedding_operator.staging.errors import StageError
from embedding_operator.staging.main import main_stage
from embedding_operator.staging.manifest import read_manifest, write_manifest
from embedding_operator.staging.settings import Settings
from tests.standins.modelhub import ModelHub

from .kit import BIG, LEFT_OUT, QUICK, REPO, SECOND, Volume, make_model, selected_files

TOKEN = "hf_nobody-may-see-this"


@pytest.fixture
def volume(volume: Volume) -> Volume:
    return dataclasses.replace(volume, kind="huggingFace")


async def refused(volume: Volume, **kwargs: object) -> StageError:
    """The error of a run that must fail, and must not publish anything."""
    with pytest.raises(StageError) as caught:
        await volume.stage(**kwargs)  # type: ignore[arg-type]
    assert not (volume.root / "huggingface").exists()
    return caught.value


async def test_a_repository_is_staged_with_its_commit(volume: Volume, hub: ModelHub) -> None:
    result = await volume.stage()
    commit = hub.repositories.commit(volume.source)
    assert (result.path, result.revision) == (f"huggingface/Acme--Tiny-Embedding/{commit}", commit)
    assert result.digest == volume.digest
    volume.assert_published(result.path)
    manifest = read_manifest(volume.root / result.path)
    assert manifest is not None
    assert (manifest.source, manifest.repo, manifest.requested_revision) == ("huggingface", REPO, "main")
    assert list(manifest.files) == selected_files(volume.source)


async def test_a_second_run_moves_no_byte(volume: Volume, hub: ModelHub) -> None:
    await volume.stage()
    hub.requests.clear()
    assert (await volume.stage()).adopted
    assert hub.bytes_sent() == 0


async def test_a_small_file_that_somebody_changed_is_fetched_again(volume: Volume, hub: ModelHub) -> None:
    """Manifest and all: only git's id of the content, which the hub tells, gives it away."""
    first = await volume.stage()
    planted = (volume.root / first.path / "config.json").read_bytes().replace(b"Tiny", b"Evil")
    forged = [
        dataclasses.replace(f, sha256=hashlib.sha256(planted).hexdigest()) if f.path == "config.json" else f
        for f in selected_files(volume.source)
    ]
    manifest = read_manifest(volume.root / first.path)
    assert manifest is not None
    (volume.root / first.path / "config.json").write_bytes(planted)
    write_manifest(volume.root / first.path, dataclasses.replace(manifest, files=tuple(forged)))
    hub.requests.clear()
    second = await volume.stage()
    assert second.digest == volume.digest
    volume.assert_published(second.path)


async def test_the_same_bytes_have_the_same_digest_from_both_hubs(volume: Volume) -> None:
    one = await volume.stage()
    other = await dataclasses.replace(volume, kind="modelScope").stage()
    assert (one.digest, one.revision) == (other.digest, other.revision)
    assert one.path != other.path


@pytest.mark.parametrize("revision", ["v2", "feature/x"])
async def test_tags_branches_with_slashes_and_commits_are_revisions(
    volume: Volume, hub: ModelHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revision: str
) -> None:
    tagged = tmp_path / "hub" / f"{REPO}@v2"
    make_model(tagged, seed=2)
    known = hub.repositories.revisions
    monkeypatch.setattr(hub.repositories, "revisions", lambda repo: known(repo) | {revision: tagged})
    by_name = await volume.stage(revision=revision)
    dataclasses.replace(volume, source=tagged).assert_published(by_name.path)
    by_commit = await volume.stage(revision=by_name.revision)
    assert (by_commit.path, by_commit.adopted) == (by_name.path, True)


@pytest.mark.parametrize("fault", ["", "foreign-pages"])
async def test_a_tree_of_many_pages_is_read_to_its_end_at_the_endpoint(
    volume: Volume, hub: ModelHub, fault: str
) -> None:
    hub.fault("page-size", value=3)
    if fault:
        hub.fault(fault)
    volume.assert_published((await volume.stage()).path)
    assert len([r for r in hub.requests if "/tree/" in r.url]) == 4


async def test_pages_without_end_are_left(volume: Volume, hub: ModelHub) -> None:
    hub.fault("page-size", value=3)
    hub.fault("endless-pages")
    error = await refused(volume)
    assert (error.reason, error.message) == ("BadSource", f"the listing of {REPO} (revision main) has no end")


async def test_names_of_every_kind_are_staged(volume: Volume) -> None:
    for name in (
        "with space.json",
        "ümlaut/模型.safetensors",
        "a+b&c=d;e.json",
        "50%25.json",
        "#?.json",
        "~[1].bin.txt",
    ):
        (volume.source / name).parent.mkdir(exist_ok=True)
        (volume.source / name).write_text(name)
    volume.assert_published((await volume.stage()).path)


@pytest.mark.parametrize(("name", "what"), [(SECOND, "sha256"), ("config.json", "git id")])
async def test_big_files_are_held_against_their_sum_and_small_ones_against_git_s(
    volume: Volume, hub: ModelHub, name: str, what: str
) -> None:
    hub.fault("corrupt", match=name)
    error = await refused(volume)
    assert (error.reason, error.exit_code) == ("ChecksumMismatch", 3)
    assert error.message.startswith(f"{name}: expected {what} ")
    assert len([r for r in hub.requests if r.path == name and r.count]) == 3


async def test_a_small_file_that_is_corrupt_once_is_fetched_again(volume: Volume, hub: ModelHub) -> None:
    hub.fault("corrupt", match="config.json", times=1)
    volume.assert_published((await volume.stage()).path)


async def test_a_line_that_breaks_is_resumed_at_the_cdn(volume: Volume, hub: ModelHub) -> None:
    hub.fault("drop-after", match=BIG, value=700_000)
    volume.assert_published((await volume.stage(settings={"attempts": 2})).path)
    ranges = [r.range for r in hub.requests if r.path == BIG and r.server == "cdn"]
    starts = [int(r.removeprefix("bytes=").removesuffix("-")) if r else 0 for r in ranges]
    assert len(starts) > 2
    assert starts == sorted(set(starts))  # each goes on behind the one before; none starts over


async def test_an_empty_exclude_leaves_nothing_out(volume: Volume) -> None:
    result = await volume.stage(exclude=[])
    assert all((volume.root / result.path / name).is_file() for name in LEFT_OUT)


@pytest.mark.parametrize("entry", ["../x", "/etc/passwd", "a/../../x", "a\\b"])
async def test_a_path_that_leaves_its_directory_is_refused(volume: Volume, hub: ModelHub, entry: str) -> None:
    hub.fault("extra-entry", value={"type": "file", "path": entry, "size": 1, "oid": "0" * 40})
    error = await refused(volume)
    assert error.reason == "BadSource"
    assert f"names {entry!r}, which " in error.message


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"type": "file", "size": 1, "oid": "0" * 40}, "has an entry without a path"),
        ({"type": "file", "path": "x", "size": -1, "oid": "0" * 40}, "gives no sensible size for x"),
        ({"type": "file", "path": "x", "size": 1}, "gives no valid git id for x"),
        ({"type": "file", "path": "x", "size": 1, "lfs": {"oid": "0" * 40, "size": 1}}, "gives no valid sha256 for x"),
        ({"type": "file", "path": "x", "size": 1, "lfs": {"oid": "0" * 64, "size": 2}}, "gives two sizes for x"),
        ({"type": "file", "path": "config.json/x", "size": 1, "oid": "0" * 40}, "is both a file and a directory"),
    ],
)
async def test_a_listing_that_makes_no_sense_is_refused(
    volume: Volume, hub: ModelHub, entry: dict[str, object], words: str
) -> None:
    hub.fault("extra-entry", value=entry)
    error = await refused(volume)
    assert error.reason == "BadSource"
    assert words in error.message


async def test_a_hub_that_tells_no_commit_is_not_believed(volume: Volume, hub: ModelHub) -> None:
    hub.fault("no-commit")
    assert (await refused(volume)).message == f"{hub.url} tells no commit for {REPO} (revision main)"


@pytest.mark.parametrize(
    ("fields", "reason", "words"),
    [
        ({"revision": "v9"}, "NotFound", "(revision v9) is not at "),
        ({"repo": "No/Such"}, "Unauthorized", "knows no public repository of that name (HTTP 401): check its spelling"),
        ({"repo": "No/Such", "token": TOKEN}, "NotFound", "check repo and revision"),
    ],
)
async def test_what_is_not_there_is_told(volume: Volume, fields: dict[str, str], reason: str, words: str) -> None:
    error = await refused(volume, **fields)
    assert (error.reason, error.exit_code) == (reason, 3)
    assert words in error.message


async def test_a_private_repository_says_what_it_needs(volume: Volume, hub: ModelHub) -> None:
    hub.tokens[REPO] = TOKEN
    nothing = await refused(volume)
    assert nothing.message.endswith("or give a token that may read it by source.huggingFace.secretRef")
    wrong = await refused(volume, token="hf_wrong")
    assert wrong.message.endswith("the token of source.huggingFace.secretRef is not valid or may not read it")
    assert (nothing.reason, wrong.reason) == ("Unauthorized", "Unauthorized")
    volume.assert_published((await volume.stage(token=TOKEN)).path)


async def test_a_gated_repository_says_whose_terms_to_accept(volume: Volume, hub: ModelHub) -> None:
    hub.gated[REPO] = TOKEN
    nothing = await refused(volume)
    assert "is gated (HTTP 401): accept its terms at " in nothing.message
    assert nothing.message.endswith(f"/{REPO} and give that account's token by source.huggingFace.secretRef")
    wrong = await refused(volume, token="hf_other")
    assert wrong.message.endswith(f"(HTTP 403): accept its terms at {hub.url}/{REPO} with the account of the token")
    assert (nothing.reason, wrong.reason) == ("Unauthorized", "Unauthorized")
    volume.assert_published((await volume.stage(token=TOKEN)).path)


async def test_the_token_goes_to_the_hub_and_never_to_a_cdn(volume: Volume, hub: ModelHub) -> None:
    hub.tokens[REPO] = TOKEN
    await volume.stage(token=TOKEN)
    assert {r.server for r in hub.requests} == {"hub", "cdn"}
    assert {r.server for r in hub.requests if r.credentials} == {"hub"}
    assert all(r.credentials for r in hub.requests if r.server == "hub")


def test_token_and_mirror_of_the_site_come_by_the_environment_and_stay_secret(
    volume: Volume, hub: ModelHub, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    hub.tokens[REPO] = TOKEN
    spec = json.loads(volume.spec())
    del spec["source"]["huggingFace"]["endpoint"]
    environ = {"TERMINATION_LOG": str(tmp_path / "log"), "HF_TOKEN": f"{TOKEN}\n", "HF_ENDPOINT": f"{hub.url}/"}
    assert main_stage(json.dumps(spec), environ, Settings(**QUICK)) == 0
    output = capfd.readouterr()
    assert TOKEN not in output.out + output.err + (tmp_path / "log").read_text()
