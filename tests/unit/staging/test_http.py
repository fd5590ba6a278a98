"""Weights from a web server as a list of files."""

from __future__ import annotations

import pytest

from embedding_operator.staging.httpfiles import authorization
from embedding_operator.staging.manifest import read_manifest
from tests.standins.modelhub import ModelHub

from .kit import REPO, Volume
from .web import MODEL, listed, published, put, refused, serve_list, sha256, staged


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
