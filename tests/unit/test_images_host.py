"""Where the machine lacks something, building says what, and what to do, in one line."""

import platform
import shutil
from pathlib import Path

import pytest

from images import build
from images.host import BuildError, certificate_bundle, require_packages, require_root, run
from images.python import make_relocatable
from images.vllm_cpu import recipe


def test_missing_programs_are_named_by_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_arguments, **_options: None)
    with pytest.raises(BuildError) as refused:
        require_packages({"buildah": "buildah", "readelf": "binutils", "strip": "binutils", "/": "base-files"})
    assert str(refused.value) == (
        "missing programs: install the Debian packages binutils buildah (apt-get install binutils buildah)"
    )


def test_root_is_asked_for_with_the_other_way_to_do_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(BuildError, match=r"^making x needs root .*: run it as root, or build it with docker$"):
        require_root("making x")


def test_the_real_vllm_is_refused_on_other_machines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EMBEDDING_OPERATOR_CACHE", str(tmp_path))
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(BuildError, match="built on x86_64 only, and this machine is aarch64"):
        recipe.environment()


def test_a_program_that_fails_shows_its_last_words() -> None:
    with pytest.raises(BuildError, match=r"sh ended with code 3:\nno space left"):
        run(["sh", "-c", "echo no space left >&2; exit 3"])


def test_the_certificates_are_the_ones_named_for_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(variable, raising=False)
    assert certificate_bundle() is None
    monkeypatch.setenv("SSL_CERT_FILE", "/general.pem")
    assert certificate_bundle() == Path("/general.pem")
    monkeypatch.setenv("PIP_CERT", "/packages.pem")
    assert certificate_bundle() == Path("/packages.pem")


def test_scripts_find_the_python_beside_them(tmp_path: Path) -> None:
    original = tmp_path / "original"
    original.mkdir()
    (original / "python").write_text('#!/bin/sh\necho "python runs $(basename "$1") $2"\n')
    (original / "tool").write_text(f"#!{original}/python3.11\nprint()\n")
    (original / "activate").write_text("VIRTUAL_ENV=...")
    for name in ("python", "tool"):
        (original / name).chmod(0o755)
    make_relocatable(original)
    moved = original.rename(tmp_path / "moved")
    assert run([moved / "tool", "argument"]) == "python runs tool argument\n"
    assert not (moved / "activate").exists()


def test_an_unknown_image_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["images.build", "operater"])
    with pytest.raises(SystemExit):
        build.main()
    known = "operator, standins, device-plugin, vllm-cpu"
    assert f"there is no image 'operater': choose from {known}" in capsys.readouterr().err
