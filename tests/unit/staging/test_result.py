"""What a run leaves for the operator: bounded, one line, without secrets; and the manifest's digest."""

from __future__ import annotations

import errno
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_operator.staging.errors import StageError, from_os_error
from embedding_operator.staging.layout import unsafe_path
from embedding_operator.staging.main import main_stage
from embedding_operator.staging.manifest import ManifestFile, files_digest
from embedding_operator.staging.result import (
    LIMIT,
    Excluded,
    StageResult,
    failure_document,
    success_document,
    termination_log,
)
from embedding_operator.staging.settings import Settings, parse_retry_after

from .kit import QUICK, Volume


@given(message=st.text(max_size=9000), secret=st.sampled_from(["", "s3cr3t"]))
def test_a_failure_always_fits_and_is_one_line(message: str, secret: str) -> None:
    text = failure_document(StageError("Internal", f"{message}{secret}{message}"), [secret])
    assert len(text.encode()) <= LIMIT
    document = json.loads(text)
    assert document["reason"] == "Internal"
    assert len(document["message"].splitlines()) <= 1
    assert not secret or secret not in text


def test_a_long_message_keeps_both_ends() -> None:
    document = json.loads(failure_document(StageError("Internal", "begin " + "x" * 9000 + " end")))
    assert document["message"].startswith("begin ")
    assert document["message"].endswith(" end")


async def test_a_success_has_the_fields_of_the_contract(volume: Volume) -> None:
    result = await volume.stage()
    document = json.loads(success_document(result))
    assert document == {
        "result": "Staged",
        "revision": result.revision,
        "digest": result.digest,
        "path": result.path,
        "files": 5,
        "bytes": volume.total,
        "excluded": {"files": 3, "bytes": result.excluded.bytes},
        "adopted": False,
        "mended": 0,
        "context": None,
    }


def test_the_result_is_in_the_termination_log_and_on_standard_output(
    volume: Volume, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "termination-log"
    assert main_stage(volume.spec(), {"TERMINATION_LOG": str(log)}, Settings(**QUICK)) == 0
    assert json.loads(log.read_text())["digest"] == volume.digest
    assert capsys.readouterr().out.strip() == log.read_text()


@pytest.mark.parametrize("path", ["/".join(['"'] * 1000), "/".join(["🦜" * 60] * 4), "/".join(["模" * 80] * 4)])
def test_the_longest_success_fits(path: str) -> None:
    assert unsafe_path(path) is None
    assert unsafe_path(f"{path}/{'x' * 100}") == "is too long"
    left_out = Excluded(10**6, 10**15)
    result = StageResult("r" * 100, f"sha256:{'d' * 64}", path, 10**6, 10**15, left_out, True, 10**6, 10**9)
    assert len(success_document(result).encode()) <= LIMIT


def test_a_result_that_cannot_be_written_does_not_change_the_exit_code(volume: Volume, tmp_path: Path) -> None:
    environ = {"TERMINATION_LOG": str(tmp_path / "no-such-directory" / "log")}
    assert main_stage(volume.spec(), environ, Settings(**QUICK)) == 0


def test_the_site_s_endpoint_is_used_where_the_spec_names_none(volume: Volume, tmp_path: Path) -> None:
    spec = json.loads(volume.spec())
    del spec["source"]["modelScope"]["endpoint"]
    environ = {"TERMINATION_LOG": str(tmp_path / "log"), "MODELSCOPE_ENDPOINT": f"{volume.hub.url}/"}
    assert main_stage(json.dumps(spec), environ, Settings(**QUICK)) == 0


def test_the_termination_log_may_be_named() -> None:
    assert termination_log({"TERMINATION_LOG": "/somewhere"}) == Path("/somewhere")


@pytest.mark.parametrize(
    ("number", "reason", "code"),
    [
        (errno.ENOSPC, "DiskFull", 3),
        (errno.EDQUOT, "QuotaExceeded", 3),
        (errno.EROFS, "ReadOnly", 3),
        (errno.EACCES, "PermissionDenied", 3),
        (errno.EPERM, "PermissionDenied", 3),
        (errno.EIO, "Internal", 1),
        (errno.ESTALE, "Internal", 1),
    ],
)
def test_the_volume_s_errors_are_told_apart(number: int, reason: str, code: int) -> None:
    error = from_os_error(OSError(number, "as the kernel says", "/cache/x"), "/cache")
    assert (error.reason, error.exit_code) == (reason, code)
    assert "/cache" in error.message


def test_the_digest_is_of_the_content_alone_and_never_changes() -> None:
    """A golden value: a digest in somebody's manifest must mean the same in every later version."""
    files = [ManifestFile("b/ü.json", 2, "b" * 64), ManifestFile("a.safetensors", 1, "a" * 64)]
    golden = "sha256:5eba9a0b33559d7e5e64a759c80b4ae3f79db7138310a182a5795a988a17cd33"
    assert files_digest(files) == golden
    assert files_digest(reversed(files)) == golden


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("Wed, 21 Oct 2026 07:28:10 GMT", 10.0),
        ("Wed, 21 Oct 2026 07:27:00 GMT", 0.0),
        (" 7 ", 7.0),
        ("soon", None),
        ("²", None),
        ("-1", None),
    ],
)
def test_retry_after_has_two_forms(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header, datetime(2026, 10, 21, 7, 28, tzinfo=UTC)) == seconds


@given(st.text())
def test_no_retry_after_is_too_strange(header: str) -> None:
    assert (parse_retry_after(header) or 0.0) >= 0


def test_waiting_grows_up_to_a_cap_and_is_longer_if_the_hub_asks_for_it() -> None:
    settings = Settings()
    assert 0.5 <= settings.delay(1) <= 1
    assert 30 <= settings.delay(20) <= 60
    assert settings.delay(1, retry_after=45) == 45
    assert settings.delay(20, retry_after=0) >= 30
    assert settings.delay(1, retry_after=1e9) == settings.retry_after_cap
