"""Archives that no honest person makes: each is refused with what is wrong, and nothing outside is touched."""

from __future__ import annotations

import asyncio
import io
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedding_operator.staging import unpack as unpacking
from embedding_operator.staging.errors import StageError
from embedding_operator.staging.layout import source_layout
from embedding_operator.staging.select import RemoteFile
from embedding_operator.staging.unpack import unpack
from tests.standins.modelhub import ModelHub

from .kit import Volume
from .web import MODEL, archive, refused, tar, zipped


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
