"""The stand-in hub is held honest by the hubs' own clients, which must work, resume and refuse with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.standins.modelhub import ModelHub

from .kit import BIG, REPO, SECOND, Volume, wait_for

CLIENT = Path(sys.executable).parent / "modelscope"


def client(hub: ModelHub, home: Path, *extra: str, **environ: str) -> subprocess.Popen[str]:
    """`modelscope download` of the model into home/out, with a home of its own."""
    arguments = [str(CLIENT), "download", REPO, "--local-dir", str(home / "out"), "--max-workers", "2", *extra]
    variables = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(home),
        "MODELSCOPE_ENDPOINT": hub.url,
        "MODELSCOPE_CACHE": str(home / "cache"),
        "MODELSCOPE_HOME": str(home / "settings"),
        "MODELSCOPE_DOWNLOAD_INTRA_CLOUD": "false",
        "MODELSCOPE_DOWNLOAD_MAX_RETRIES": "2",
        **environ,
    }
    return subprocess.Popen(arguments, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def assert_complete(volume: Volume, out: Path) -> None:
    for path in volume.source.rglob("*"):
        if path.is_file():
            assert (out / path.relative_to(volume.source)).read_bytes() == path.read_bytes(), path


@pytest.mark.parametrize("redirect", ["", "port", "path"])
def test_the_real_client_downloads(volume: Volume, hub: ModelHub, tmp_path: Path, redirect: str) -> None:
    if redirect:
        hub.fault("redirect", value=redirect)
    process = client(hub, tmp_path)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert_complete(volume, tmp_path / "out")


def test_the_real_client_resumes_after_a_kill(volume: Volume, hub: ModelHub, tmp_path: Path) -> None:
    hub.fault("stall-after", match=BIG, value=1_500_000)
    process = client(hub, tmp_path)
    started = tmp_path / "out" / f"{BIG}.incomplete"
    wait_for(lambda: started.exists() and started.stat().st_size > 0, process)
    process.kill()
    process.communicate()
    present = started.stat().st_size
    assert present > 0
    hub.faults.clear()
    hub.requests.clear()
    process = client(hub, tmp_path)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert_complete(volume, tmp_path / "out")
    assert [r.range for r in hub.requests if r.path == BIG] == [f"bytes={present}-"]


@pytest.mark.parametrize("fault", ["wrong-sha256", "corrupt"])
def test_the_real_client_refuses_wrong_bytes(volume: Volume, hub: ModelHub, tmp_path: Path, fault: str) -> None:
    hub.fault(fault, match=SECOND)
    process = client(hub, tmp_path)
    output, _ = process.communicate()
    assert process.returncode == 1, output
    assert not (tmp_path / "out" / SECOND).exists()


def test_the_real_client_needs_the_token(volume: Volume, hub: ModelHub, tmp_path: Path) -> None:
    hub.tokens[REPO] = "open-sesame"
    process = client(hub, tmp_path)
    output, _ = process.communicate()
    assert process.returncode == 1, output
    assert hub.bytes_sent() == 0
    process = client(hub, tmp_path, MODELSCOPE_API_TOKEN="open-sesame")
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert_complete(volume, tmp_path / "out")


def test_the_real_client_takes_a_commit_as_revision(volume: Volume, hub: ModelHub, tmp_path: Path) -> None:
    process = client(hub, tmp_path, "--revision", hub.repositories.commit(volume.source))
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert_complete(volume, tmp_path / "out")


def hf(hub: ModelHub, home: Path, *extra: str, **environ: str) -> tuple[int, str]:
    """`hf download` of the model into home/out, with a home of its own; its exit code and what it said."""
    variables = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(home),
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(home / "settings"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        **environ,
    }
    program = str(CLIENT.with_name("hf"))
    arguments = [program, "download", REPO, "--local-dir", str(home / "out"), *extra]
    done = subprocess.run(arguments, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def test_hf_downloads_page_by_page(volume: Volume, hub: ModelHub, tmp_path: Path) -> None:
    hub.fault("page-size", value=3)
    code, output = hf(hub, tmp_path)
    assert code == 0, output
    assert_complete(volume, tmp_path / "out")
    assert len([r for r in hub.requests if "/tree/" in r.url]) == 4
    assert {r.server for r in hub.requests if r.path == BIG} == {"hub", "cdn"}


def test_hf_takes_a_commit_as_revision(volume: Volume, hub: ModelHub, tmp_path: Path) -> None:
    code, output = hf(hub, tmp_path, "--revision", hub.repositories.commit(volume.source))
    assert code == 0, output
    assert_complete(volume, tmp_path / "out")


def test_hf_needs_the_token_of_a_private_repository(volume: Volume, hub: ModelHub, tmp_path: Path) -> None:
    hub.tokens[REPO] = "open-sesame"
    code, output = hf(hub, tmp_path)
    assert code != 0
    assert f"'{REPO}' not found" in output
    code, output = hf(hub, tmp_path, HF_TOKEN="open-sesame")
    assert code == 0, output
    assert_complete(volume, tmp_path / "out")
    assert {r.server for r in hub.requests if r.credentials} == {"hub"}


def test_hf_says_that_a_repository_is_gated(volume: Volume, hub: ModelHub, tmp_path: Path) -> None:
    hub.gated[REPO] = "open-sesame"
    code, output = hf(hub, tmp_path, HF_TOKEN="other")
    assert code != 0
    assert "requires approval" in output
    code, output = hf(hub, tmp_path, HF_TOKEN="open-sesame")
    assert code == 0, output
    assert_complete(volume, tmp_path / "out")


def control(url: str, method: str = "GET", body: object = None) -> object:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def test_the_stand_in_runs_as_a_process_whose_faults_are_switched_by_http(volume: Volume, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.standins.modelhub", "--root", str(tmp_path / "hub"), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline().split("port ")[1].split(",")[0])
        base = f"http://127.0.0.1:{port}"
        listing = f"{base}/api/v1/models/{REPO}/repo/files?Revision=master&Recursive=True"
        assert control(f"{base}/__control__/faults") == []
        control(f"{base}/__control__/faults", "POST", [{"name": "no-commit"}])
        answer = control(listing)
        assert isinstance(answer, dict)
        assert answer["Data"]["LatestCommitter"]["Id"] == ""
        assert control(f"{base}/__control__/faults", "DELETE") == []
        answer = control(listing)
        assert isinstance(answer, dict)
        assert len(answer["Data"]["LatestCommitter"]["Id"]) == 40
        seen = control(f"{base}/__control__/requests")
        assert isinstance(seen, list)
        assert [row["path"] for row in seen] == ["@listing", "@listing"]
    finally:
        process.terminate()
        assert process.wait(30) == 0
