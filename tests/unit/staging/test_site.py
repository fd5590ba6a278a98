"""What a site is like: its own certificate authority, a line that must not be filled, secrets that must stay so."""

from __future__ import annotations

import dataclasses
import json
import os
import ssl
from pathlib import Path

import pytest

from embedding_operator.staging import stage as staging
from embedding_operator.staging.main import main_stage
from embedding_operator.staging.pace import Pace
from embedding_operator.staging.settings import Settings
from embedding_operator.staging.spec import parse_spec
from embedding_operator.staging.usage import ENDPOINT_VARIABLES, TOKEN_VARIABLES
from tests.cluster.certificates import Authority
from tests.standins.modelhub import ModelHub

from .kit import BIG, QUICK, REPO, Volume

TOKEN = "a-token-nobody-may-see"


@pytest.fixture
def authority(tmp_path: Path, hub: ModelHub) -> Path:
    """The hub speaks TLS now, with a certificate that only this file vouches for."""
    made = Authority(tmp_path / "authority")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*made.issue("hub", "localhost", hosts=["localhost"]))
    hub.speak_tls(context)
    return made.certificate


def result_of(volume: Volume, hub: ModelHub, tmp_path: Path, **environ: str) -> tuple[int, dict[str, str]]:
    spec = json.loads(volume.spec())
    spec["source"][volume.kind]["endpoint"] = f"https://localhost:{hub.port}"
    log = tmp_path / "log"
    code = main_stage(json.dumps(spec), {"TERMINATION_LOG": str(log), **environ}, Settings(**QUICK))
    return code, json.loads(log.read_text())


def test_a_hub_that_the_site_vouches_for_is_trusted(
    volume: Volume, hub: ModelHub, tmp_path: Path, authority: Path
) -> None:
    code, told = result_of(volume, hub, tmp_path, EXTRA_CA_FILE=str(authority))
    assert (code, told["result"]) == (0, "Staged")
    volume.assert_published(told["path"])


def test_a_hub_that_nobody_vouches_for_is_told_with_what_to_do(
    volume: Volume, hub: ModelHub, tmp_path: Path, authority: Path
) -> None:
    code, told = result_of(volume, hub, tmp_path)
    assert (code, told["reason"]) == (1, "HubUnavailable")
    assert (
        "the TLS certificate of localhost is not trusted: give the stager your CA by staging.caBundle"
        in told["message"]
    )


def test_a_bundle_that_is_not_there_is_worth_another_try(volume: Volume, hub: ModelHub, tmp_path: Path) -> None:
    code, told = result_of(volume, hub, tmp_path, EXTRA_CA_FILE=str(tmp_path / "no" / "ca.crt"))
    assert (code, told["reason"]) == (1, "HubUnavailable")
    assert told["message"].startswith("the CA bundle is not there: make the ConfigMap")


def test_a_bundle_without_certificates_is_refused(volume: Volume, hub: ModelHub, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("certificates, but where?")
    code, told = result_of(volume, hub, tmp_path, EXTRA_CA_FILE=str(tmp_path / "empty"))
    assert (code, told["reason"]) == (3, "BadSource")
    assert told["message"] == "the CA bundle holds no certificates in PEM: look at its ConfigMap"


async def test_every_byte_that_is_fetched_counts_against_the_limit(
    volume: Volume, hub: ModelHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[tuple[int, int]] = []

    class Counting(Pace):
        def __init__(self, bytes_per_second: int) -> None:
            super().__init__(bytes_per_second)
            self.rate = bytes_per_second

        async def __call__(self, count: int) -> None:
            counted.append((self.rate, count))

    monkeypatch.setattr(staging, "Pace", Counting)
    text = json.loads(volume.spec()) | {"bytesPerSecond": 123}
    result = await staging.stage(parse_spec(json.dumps(text)), settings=Settings(**QUICK))
    volume.assert_published(result.path)
    assert {rate for rate, _ in counted} == {123}
    assert sum(count for _, count in counted) == volume.total


@pytest.mark.parametrize("kind", TOKEN_VARIABLES)
@pytest.mark.parametrize("trouble", ["", "corrupt", "cdn-status", "status"])
def test_a_token_is_in_nothing_that_a_run_leaves(
    volume: Volume,
    hub: ModelHub,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    kind: str,
    trouble: str,
) -> None:
    """No log, no result, no file on the volume, whether all is well or nothing."""
    hub.tokens[REPO] = TOKEN
    hub.fault("redirect", value="port")
    if trouble:
        hub.fault(trouble, match=BIG, value=500)
    spec = json.loads(dataclasses.replace(volume, kind=kind).spec())
    if kind == "http":
        sha256 = next(file.sha256 for file in volume.listed() if file.path == BIG)
        address = f"{hub.url}/{REPO}/resolve/main/{BIG}"
        spec["source"] = {"http": {"files": [{"path": BIG, "url": address, "sha256": sha256}]}}
    log = tmp_path / "termination-log"
    environ = {"TERMINATION_LOG": str(log), TOKEN_VARIABLES[kind]: f"{TOKEN}\n"}
    with caplog.at_level("DEBUG"):
        code = main_stage(json.dumps(spec), environ, Settings(**QUICK))
    assert (code == 0) is (not trouble)
    assert any(request.credentials for request in hub.requests)
    output = capfd.readouterr()
    said = caplog.text + output.out + output.err + log.read_text()
    assert said
    assert TOKEN not in said
    left = [path for path in volume.root.rglob("*") if path.is_file()]
    assert [path for path in left if TOKEN.encode() in path.read_bytes()] == []


@pytest.mark.parametrize("names", [("HTTP_PROXY",), ("http_proxy", "https_proxy")])
def test_a_proxys_password_is_in_nothing_that_a_run_leaves(
    volume: Volume,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    names: tuple[str, ...],
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in names:
        monkeypatch.setenv(name, "http://somebody:p%40ssword-nobody-may-see@127.0.0.1:9")
    log = tmp_path / "termination-log"
    with caplog.at_level("DEBUG"):
        code = main_stage(volume.spec(), {**os.environ, "TERMINATION_LOG": str(log)}, Settings(**QUICK))
    assert code == 1
    assert "cannot connect to the proxy 127.0.0.1:9" in log.read_text()
    output = capfd.readouterr()
    said = caplog.text + output.out + output.err + log.read_text()
    assert "ssword-nobody-may-see" not in said


def test_a_proxys_password_is_left_out_of_whatever_repeats_it(
    volume: Volume, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    spec = json.loads(volume.spec()) | {"root": str(tmp_path / "p@ss" / "nowhere")}
    log = tmp_path / "termination-log"
    environ = {"TERMINATION_LOG": str(log), "HTTPS_PROXY": "http://somebody:p%40ss@127.0.0.1:9"}
    assert main_stage(json.dumps(spec), environ, Settings(**QUICK)) == 3
    output = capfd.readouterr()
    assert "***" in log.read_text()
    assert "p@ss" not in output.out + output.err + log.read_text()


def test_every_site_endpoint_is_an_endpoint_of_a_source() -> None:
    assert set(ENDPOINT_VARIABLES) == {"modelScope", "huggingFace", "s3"}
