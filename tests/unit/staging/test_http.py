"""Weights from a web server: a list of files, or one archive that is unpacked with care."""

from __future__ import annotations

import asyncio
import errno
import gzip
import hashlib
import io
import json
import random
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedding_operator.staging import unpack as unpacking
from embedding_operator.staging.errors import StageError
from embedding_operator.staging.httpfiles import authorization
from embedding_operator.staging.layout import source_layout
from embedding_operator.staging.manifest import read_manifest
from embedding_operator.staging.result import StageResult
from embedding_operator.staging.select import RemoteFile
from embedding_operator.staging.settings import Settings
from embedding_operator.staging.spec import parse_spec
from embedding_operator.staging.stage import stage
from embedding_operator.staging.unpack import unpack
from tests.standins.modelhub import ModelHub

from .kit import QUICK, REPO, Volume

MODEL = {
    "config.json": b'{"architectures": ["Tiny"]}',
    "1_Pooling/config.json": b"{}",
    "empty.txt": b"",
    "model.safetensors": random.Random(7).randbytes(300_000),
}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def url(hub: ModelHub, name: str) -> str:
    """The hub's pages of files, which are a web server like any other: redirects, ranges, faults and all."""
    return f"{hub.url}/{REPO}/resolve/main/{name}"


def tar(members: dict[str, bytes], mode: str = "w", **special: bytes) -> bytes:
    """An archive; `special` adds members of a type of tarfile's."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, kind in special.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "config.json"
            archive.addfile(member)
    return out.getvalue()


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def below(folder: str, members: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}{name}": data for name, data in members.items()}


async def staged(
    volume: Volume,
    http: dict[str, Any],
    digest: str | None = None,
    free: int | Callable[[Path], int] | None = None,
    **kwargs: Any,
) -> StageResult:
    spec = {"source": {"http": http}, "root": str(volume.root), "digest": digest, "progressPort": 0}
    room = {} if free is None else {"free_bytes": free if callable(free) else lambda path: free}
    return await stage(parse_spec(json.dumps(spec)), settings=Settings(**QUICK | room), **kwargs)


async def refused(volume: Volume, http: dict[str, Any], **kwargs: Any) -> StageError:
    with pytest.raises(StageError) as caught:
        await staged(volume, http, **kwargs)
    assert not (volume.root / "http").exists()
    return caught.value


def published(volume: Volume, result: StageResult) -> dict[str, bytes]:
    directory = volume.root / result.path
    found = {p.relative_to(directory).as_posix(): p.read_bytes() for p in directory.rglob("*") if p.is_file()}
    assert found.pop("manifest.json")
    return found


def put(volume: Volume, name: str, data: bytes) -> None:
    (volume.source / name).parent.mkdir(parents=True, exist_ok=True)
    (volume.source / name).write_bytes(data)


def listed(hub: ModelHub, members: dict[str, bytes]) -> dict[str, Any]:
    """The spec of a list of files, which lie on the server under other names than they get."""
    return {
        "files": [
            {"path": name, "url": url(hub, f"files/{number}.bin?download=1"), "sha256": sha256(data)}
            for number, (name, data) in enumerate(members.items())
        ]
    }


def serve_list(volume: Volume, hub: ModelHub) -> dict[str, Any]:
    for number, data in enumerate(MODEL.values()):
        put(volume, f"files/{number}.bin", data)
    return listed(hub, MODEL)


# A list of files


async def test_a_list_of_files_is_staged_under_the_names_it_gives(volume: Volume, hub: ModelHub) -> None:
    result = await staged(volume, serve_list(volume, hub))
    assert published(volume, result) == MODEL
    assert result.path.startswith(f"http/127.0.0.1-{hub.port}--files/listing-")
    assert (result.files, result.bytes) == (4, sum(map(len, MODEL.values())))
    assert result.excluded.files == 0
    manifest = read_manifest(volume.root / result.path)
    assert manifest is not None
    assert (manifest.source, manifest.repo) == ("http", f"127.0.0.1-{hub.port}/files")


async def test_a_list_that_is_there_is_adopted(volume: Volume, hub: ModelHub) -> None:
    source = serve_list(volume, hub)
    await staged(volume, source)
    again = await staged(volume, source)
    assert again.adopted
    assert published(volume, again) == MODEL


async def test_no_file_of_a_list_is_left_out(volume: Volume, hub: ModelHub) -> None:
    members = {"model.safetensors": b"1", "pytorch_model.bin": b"2", ".gitattributes": b"3"}
    for number, data in enumerate(members.values()):
        put(volume, f"files/{number}.bin", data)
    assert published(volume, await staged(volume, listed(hub, members))) == members


async def test_a_file_with_another_sum_is_refused_by_name(volume: Volume, hub: ModelHub) -> None:
    source = serve_list(volume, hub)
    source["files"][0]["sha256"] = "0" * 64
    error = await refused(volume, source)
    assert (error.reason, error.exit_code) == ("ChecksumMismatch", 3)
    assert error.message.startswith(f"config.json: expected sha256 {'0' * 64}, got {sha256(MODEL['config.json'])}")


async def test_a_line_that_breaks_is_resumed(volume: Volume, hub: ModelHub) -> None:
    source = serve_list(volume, hub)
    hub.fault("drop-after", match="files/3.bin", value=200_000, times=2)  # once while its size is asked for
    assert published(volume, await staged(volume, source)) == MODEL
    assert any(r.range for r in hub.requests if r.path == "files/3.bin")


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (401, "Unauthorized", "access denied by 127.0.0.1 (HTTP 401): give a token, or user:password"),
        (403, "Unauthorized", "by source.http.secretRef"),
        (404, "NotFound", "config.json is not at 127.0.0.1 (HTTP 404): check its url in source.http"),
        (418, "HubUnavailable", "config.json: 127.0.0.1 answers HTTP 418"),
        (503, "HubUnavailable", "listing config.json failed 4 times: 127.0.0.1 answers HTTP 503"),
    ],
)
async def test_what_a_server_refuses_is_told(
    volume: Volume, hub: ModelHub, status: int, reason: str, words: str
) -> None:
    source = serve_list(volume, hub)
    hub.fault("status", match="files/0.bin", value=status)
    error = await refused(volume, source)
    assert error.reason == reason
    assert words in error.message
    assert "download=1" not in error.message


async def test_the_token_goes_to_the_hosts_that_are_named_and_never_to_a_cdn(volume: Volume, hub: ModelHub) -> None:
    source = serve_list(volume, hub)
    hub.tokens[REPO] = "a-token"
    assert (await refused(volume, source)).reason == "Unauthorized"
    hub.requests.clear()
    await staged(volume, source, token="a-token")
    assert {r.server for r in hub.requests} == {"hub", "cdn"}
    assert {r.server for r in hub.requests if r.credentials} == {"hub"}


def test_a_password_is_sent_as_such_and_a_token_as_a_token() -> None:
    assert authorization("user:secret") == "Basic dXNlcjpzZWNyZXQ="
    assert authorization("eyJ.x-y_z") == "Bearer eyJ.x-y_z"


# An archive

KINDS: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "tar": tar,
    "tar.gz": lambda members: tar(members, "w:gz"),
    "pax": lambda members: gzip.compress(tar(members)),
    "zip": zipped,
    "stored zip": lambda members: zipped(members, zipfile.ZIP_STORED),
}


def archive(volume: Volume, hub: ModelHub, data: bytes, name: str = "tiny-model.tar.gz") -> dict[str, Any]:
    put(volume, name, data)
    return {"url": url(hub, name), "sha256": sha256(data)}


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


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (tar({"../x": b"1"}), "it names '../x', which leaves its directory by '..'"),
        (tar({"/etc/x": b"1"}), "it names '/etc/x', which is absolute"),
        (tar({"a/../../x": b"1"}), "which leaves its directory by '..'"),
        (tar({"a\\b": b"1"}), "which holds a backslash"),
        (tar({"a\nb": b"1"}), "which holds a control character"),
        (tar({"x" * 241: b"1"}), "which is too long"),
        (zipped({"../x": b"1"}), "it names '../x', which leaves its directory by '..'"),
        (tar(MODEL, link=tarfile.SYMTYPE), "'link' in it is a link, a device or sparse"),
        (tar(MODEL, link=tarfile.LNKTYPE), "'link' in it is a link, a device or sparse"),
        (tar(MODEL, pipe=tarfile.FIFOTYPE), "'pipe' in it is a link, a device or sparse"),
        (tar(MODEL, disk=tarfile.BLKTYPE), "'disk' in it is a link, a device or sparse"),
        (tar(MODEL | {"manifest.json": b"{}"}), "it holds a manifest.json, which is the name of our own"),
        (tar({}), "it holds no files"),
        (zipped({}), "it holds no files"),
        (tar(MODEL)[:200_000], "it is damaged or of no kind that is understood"),
        (tar(MODEL, "w:gz")[:-100], "it is damaged or of no kind that is understood"),
        (zipped(MODEL)[:-100], "it is damaged or of no kind that is understood"),
        (b"<html>", "it is damaged or of no kind that is understood"),
        (tar({"zeros": bytes(65 << 20)}, "w:gz"), "it is more than 20 times as big as its archive"),
        (zipped({"zeros": bytes(65 << 20)}), "it is more than 20 times as big as its archive"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
async def test_what_no_honest_archive_holds_is_refused(volume: Volume, hub: ModelHub, data: bytes, words: str) -> None:
    before = {path for path in volume.root.parent.rglob("*") if volume.root not in path.parents}
    error = await refused(volume, archive(volume, hub, data, "files/evil"))
    assert (error.reason, error.exit_code) == ("BadSource", 3)
    assert error.message.startswith("the archive cannot be used: ")
    assert words in error.message
    after = {path for path in volume.root.parent.rglob("*") if volume.root not in path.parents}
    assert {path.name for path in after - before} <= {"files", "evil"}


async def test_a_link_in_a_zip_is_refused(volume: Volume, hub: ModelHub) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        member = zipfile.ZipInfo("link")
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(member, "/etc/passwd")
    error = await refused(volume, archive(volume, hub, out.getvalue()))
    assert "'link' in it is a link or a device: pack the files themselves" in error.message


@pytest.mark.parametrize("names", [["a", "a"], ["a", "a/b"], ["a/b", "a"]])
async def test_two_members_of_one_name_are_refused(volume: Volume, hub: ModelHub, names: list[str]) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as packed:
        for name in names:
            packed.addfile(tarfile.TarInfo(name))
    error = await refused(volume, archive(volume, hub, out.getvalue()))
    assert "twice, or as a file and as a directory" in error.message


async def test_more_files_than_any_model_has_are_refused(
    volume: Volume, hub: ModelHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "MAX_FILES", 3)
    error = await refused(volume, archive(volume, hub, tar(MODEL)))
    assert error.message == "the archive cannot be used: it holds more than 3 files"


async def test_a_header_that_claims_gigabytes_is_not_read_into_memory(volume: Volume, hub: ModelHub) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 1 << 32
    error = await refused(volume, archive(volume, hub, header.tobuf() + bytes(4 << 20)))
    assert "it has a header of more than a megabyte" in error.message


GOOD = [tar(MODEL), tar(MODEL, "w:gz"), zipped(MODEL), zipped(MODEL, zipfile.ZIP_STORED)]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(GOOD), st.lists(st.tuples(st.integers(0, 400_000), st.binary(min_size=1, max_size=4)), max_size=4)
)
def test_a_damaged_archive_is_unpacked_or_refused_and_nothing_else(
    tmp_path: Path, good: bytes, damage: list[tuple[int, bytes]]
) -> None:
    data = bytearray(good)
    for place, wrong in damage:
        start = place % len(data)
        data[start : start + len(wrong)] = wrong
    layout = source_layout(tmp_path, "http", "host/x", "1")
    file = RemoteFile("x.archive", len(data))
    layout.files.mkdir(parents=True, exist_ok=True)
    layout.final(file.path).write_bytes(data)
    refusal = ""
    try:
        files = asyncio.run(unpack(layout, file, lambda count: None))
        assert all(layout.final(found.path).stat().st_size == found.size for found in files)
    except StageError as error:
        refusal = error.reason
    finally:
        shutil.rmtree(layout.files)
    assert refusal in ("", "BadSource")
