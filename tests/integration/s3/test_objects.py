"""Weights from S3: against a real S3 server, which checks signatures, keeps sums and knows ETags."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from embedding_operator.staging import s3 as s3_source
from embedding_operator.staging.errors import StageError
from embedding_operator.staging.main import main_stage
from embedding_operator.staging.manifest import read_manifest, write_manifest
from embedding_operator.staging.settings import Settings
from embedding_operator.staging.spec import parse_spec
from embedding_operator.staging.stage import stage
from tests.integration.s3.support import BUCKET, KEY, PREFIX, SECRET, Server, refused, spec, staged
from tests.unit.staging.kit import QUICK, selected_files


@pytest.mark.usefixtures("keys")
async def test_a_prefix_is_staged(server: Server, source: Path, tmp_path: Path) -> None:
    result = await staged(server, tmp_path)
    manifest = read_manifest(tmp_path / "volume" / result.path)
    assert manifest is not None
    assert list(manifest.files) == selected_files(source)
    assert (manifest.source, manifest.repo) == ("s3", "models/acme/tiny")
    assert result.path.startswith("s3/models--acme--tiny/listing-")
    for file in manifest.files:
        assert (tmp_path / "volume" / result.path / file.path).read_bytes() == (source / file.path).read_bytes()


@pytest.mark.usefixtures("keys")
async def test_stored_sums_prove_what_is_there_and_a_wrong_digest_is_known_at_once(
    server: Server, source: Path, tmp_path: Path
) -> None:
    first = await staged(server, tmp_path)
    assert (await staged(server, tmp_path)).adopted
    text = json.loads(spec(server, tmp_path / "volume")) | {"digest": f"sha256:{'0' * 64}"}
    with pytest.raises(StageError) as caught:
        await stage(parse_spec(json.dumps(text)), settings=Settings(**QUICK))
    assert caught.value.reason == "DigestMismatch"
    assert "the listed revision" in caught.value.message or first.digest in caught.value.message


@pytest.mark.usefixtures("keys")
async def test_bytes_that_do_not_fit_the_stored_sum_are_refused(server: Server, source: Path, tmp_path: Path) -> None:
    """Changed behind the server's back, as a disk does it."""
    on_disk = tmp_path / "objects" / BUCKET / PREFIX / "config.json"
    on_disk.write_bytes(on_disk.read_bytes().replace(b"Tiny", b"Tinx"))
    error = await refused(server, tmp_path)
    assert (error.reason, error.exit_code) == ("ChecksumMismatch", 3)
    assert error.message.startswith("config.json: expected sha256 ")


@pytest.mark.usefixtures("keys")
async def test_without_stored_sums_ours_are_taken_and_another_object_is_another_revision(
    server: Server, tmp_path: Path
) -> None:
    server.put(f"{PREFIX}/config.json", b"{}", with_sum=False)
    first = await staged(server, tmp_path)
    manifest = read_manifest(tmp_path / "volume" / first.path)
    assert manifest is not None
    assert [file.sha256 for file in manifest.files] == [hashlib.sha256(b"{}").hexdigest()]
    server.put(f"{PREFIX}/config.json", b"[]", with_sum=False)  # of the same size
    second = await staged(server, tmp_path)
    assert second.path != first.path


@pytest.mark.usefixtures("keys")
async def test_without_stored_sums_the_etag_proves_what_is_there(server: Server, tmp_path: Path) -> None:
    parts = [b"a" * (5 << 20), b"b" * 1000]
    server.put(f"{PREFIX}/config.json", b"{}", with_sum=False)
    server.put_in_parts(f"{PREFIX}/model.safetensors", parts)
    first = await staged(server, tmp_path)
    again = await staged(server, tmp_path)
    assert (again.path, again.adopted, again.mended) == (first.path, True, 0)
    planted = tmp_path / "volume" / first.path / "config.json"
    planted.write_bytes(b"[]")  # and a manifest that fits it
    manifest = tmp_path / "volume" / first.path / "manifest.json"
    was = read_manifest(manifest.parent)
    assert was is not None
    write_manifest(
        manifest.parent,
        replace(
            was,
            files=tuple(replace(f, sha256=hashlib.sha256(b"[]").hexdigest()) if f.size == 2 else f for f in was.files),
        ),
    )
    assert (await staged(server, tmp_path)).digest == first.digest
    assert planted.read_bytes() == b"{}"


@pytest.mark.usefixtures("keys")
async def test_an_object_that_changes_after_it_was_listed_is_not_mixed_in(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put(f"{PREFIX}/config.json", b"{}", with_sum=False)
    listing = s3_source.S3Bucket.listing

    async def then_changed(self: s3_source.S3Bucket) -> Any:
        found = await listing(self)
        await asyncio.to_thread(server.put, f"{PREFIX}/config.json", b"[]", with_sum=False)
        return found

    monkeypatch.setattr(s3_source.S3Bucket, "listing", then_changed)
    error = await refused(server, tmp_path)
    assert (error.reason, error.exit_code) == ("HubUnavailable", 1)
    assert error.message == "s3://models/acme/tiny/config.json was changed or removed after it was listed"


@pytest.mark.usefixtures("keys")
async def test_more_objects_than_a_page_has_are_all_listed(server: Server, tmp_path: Path) -> None:
    for number in range(1001):
        server.put(f"{PREFIX}/{number:04}.json", b"{}", with_sum=False)
    assert (await staged(server, tmp_path)).files == 1001


@pytest.mark.usefixtures("keys")
async def test_names_of_every_kind_are_staged(server: Server, tmp_path: Path) -> None:
    names = [
        "with space.json",
        "ümlaut/模型.json",
        "a+b&c=d;e.json",
        "50%25.json",
        "#?.json",
        "~[1].json",
        "quote'\".json",
    ]
    for name in names:
        server.put(f"{PREFIX}/{name}", name.encode())
    result = await staged(server, tmp_path)
    for name in names:
        assert (tmp_path / "volume" / result.path / name).read_bytes() == name.encode()


@pytest.mark.usefixtures("keys")
async def test_globs_choose_here_too(server: Server, source: Path, tmp_path: Path) -> None:
    result = await staged(server, tmp_path, include=["*.json"], exclude=["1_Pooling/"])
    assert (result.files, result.excluded.files) == (1, 7)


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    ("fields", "reason", "words"),
    [
        ({"bucket": "nobodys"}, "NotFound", "s3://nobodys/acme/tiny/ is not at 127.0.0.1"),
        ({"prefix": "no/such"}, "NotFound", "s3://models/no/such/ has no objects"),
    ],
)
async def test_what_is_not_there_is_told(
    server: Server, source: Path, tmp_path: Path, fields: dict[str, str], reason: str, words: str
) -> None:
    error = await refused(server, tmp_path, **fields)
    assert (error.reason, error.exit_code) == (reason, 3)
    assert words in error.message


@pytest.mark.parametrize("secret", [None, "wrong"])
async def test_who_may_not_read_is_told_what_to_give(
    server: Server, source: Path, tmp_path: Path, secret: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if secret:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    error = await refused(server, tmp_path)
    assert (error.reason, error.exit_code) == ("Unauthorized", 3)
    assert "s3://models/acme/tiny/: access denied (HTTP 403): give a key that may list and read it" in error.message


def test_the_keys_are_in_no_log_and_no_result(
    server: Server, source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], keys: None
) -> None:
    environ = {"TERMINATION_LOG": str(tmp_path / "log"), "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    assert main_stage(spec(server, tmp_path / "volume"), environ, Settings(**QUICK)) == 0
    output = capfd.readouterr()
    said = output.out + output.err + (tmp_path / "log").read_text()
    said += "".join(path.read_text() for path in (tmp_path / "volume").rglob("manifest.json"))
    assert "Signature" not in said
    assert KEY not in said
    assert SECRET not in said
