"""An S3 server of the test's own, a model in it, and its keys."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cluster.binaries import ensure_binaries
from tests.cluster.sources import S3
from tests.integration.s3.support import BUCKET, KEY, PREFIX, SECRET, Server
from tests.ports import free_ports
from tests.unit.staging.kit import make_model


@pytest.fixture(scope="module")
def program() -> Path:
    return ensure_binaries([S3])["versitygw"]


@pytest.fixture
def server(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    address = f"127.0.0.1:{free_ports(1)[0]}"
    for folder in ("objects", "notes", "volume"):
        (tmp_path / folder).mkdir()
    command = [str(program), "--port", address, "--access", KEY, "--secret", SECRET, "--quiet", "posix"]
    process = subprocess.Popen([*command, "--sidecar", str(tmp_path / "notes"), str(tmp_path / "objects")])
    running = Server(f"http://{address}")
    try:
        while process.poll() is None:
            with suppress(urllib.error.URLError, ConnectionError):
                running.request("PUT", f"/{BUCKET}")
                break
            time.sleep(0.05)
        assert process.poll() is None
        yield running
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def source(tmp_path: Path, server: Server) -> Path:
    """A model in the bucket, with sums stored, and other things beside it."""
    directory = tmp_path / "model"
    make_model(directory, size=200_000)
    for path in directory.rglob("*"):
        if path.is_file():
            server.put(f"{PREFIX}/{path.relative_to(directory)}", path.read_bytes())
    server.put("acme/tiny-other/config.json", b"{}")
    return directory


@pytest.fixture
def keys(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kubelet puts them there; the server's fixture took all others away."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
