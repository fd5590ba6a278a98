"""Answers that no honest hub gives, or that only some give: each ends in the weights or in one line of words."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from embedding_operator.staging.errors import StageError
from embedding_operator.staging.manifest import read_manifest
from tests.standins.modelhub import ModelHub

from .kit import BIG, Volume, selected_files

ODD_NAMES = [
    "with space.json",
    "ümlaut/模型.json",
    "a+b&c=d;e.json",
    "50%25.json",
    "#?.json",
    "quote'\".json",
    "~[1].json",
]


@pytest.mark.parametrize("redirect", ["", "port"])
async def test_names_of_every_kind_are_staged(volume: Volume, hub: ModelHub, redirect: str) -> None:
    for name in ODD_NAMES:
        (volume.source / name).parent.mkdir(exist_ok=True)
        (volume.source / name).write_text(name)
    if redirect:
        hub.fault("redirect", value=redirect)
    result = await volume.stage()
    volume.assert_published(result.path)
    manifest = read_manifest(volume.root / result.path)
    assert manifest is not None
    assert set(ODD_NAMES) < {file.path for file in manifest.files}


async def test_a_redirect_that_was_not_encoded_is_followed(volume: Volume, hub: ModelHub) -> None:
    (volume.source / "with space.json").write_text("{}")
    hub.fault("redirect", match="with*", value="raw")
    volume.assert_published((await volume.stage()).path)


@pytest.mark.parametrize("status", [408, 425, 429, 507, 521, 529])
async def test_every_busy_gateway_is_asked_again(volume: Volume, hub: ModelHub, status: int) -> None:
    hub.fault("status", match=BIG, value=status, times=1)
    volume.assert_published((await volume.stage()).path)


async def test_a_busy_hub_that_says_so_in_its_body_only_is_asked_again(volume: Volume, hub: ModelHub) -> None:
    hub.fault("code", match="@listing", value=503, times=2)
    volume.assert_published((await volume.stage()).path)


@pytest.mark.parametrize(("code", "reason"), [(403, "Unauthorized"), (404, "NotFound"), ("no", "NotFound")])
async def test_a_refusal_in_the_body_only_is_a_refusal(
    volume: Volume, hub: ModelHub, code: object, reason: str
) -> None:
    hub.fault("code", match="@listing", value=code)
    with pytest.raises(StageError) as caught:
        await volume.stage()
    assert caught.value.reason == reason


async def test_a_size_beyond_all_measure_is_refused_by_name(volume: Volume, hub: ModelHub) -> None:
    hub.fault("extra-entry", value={"Path": "x", "Type": "blob", "Size": 10**400})
    with pytest.raises(StageError, match="gives no sensible size for x") as caught:
        await volume.stage()
    assert caught.value.reason == "BadSource"


async def test_a_directory_that_lists_itself_ends_the_walk(
    volume: Volume, hub: ModelHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedding_operator.staging.modelscope.LISTING_CUT", 5)
    for number, path in enumerate(sorted(path for path in volume.source.rglob("*") if path.is_file())):
        deep = volume.source / "loop" / str(number % 3)
        deep.mkdir(parents=True, exist_ok=True)
        path.rename(deep / f"{number}.safetensors")
    for name in ("1_Pooling", "onnx"):
        (volume.source / name).rmdir()
    hub.fault("extra-entry", value={"Path": "loop", "Type": "tree"})
    with pytest.raises(StageError) as caught:
        await volume.stage()
    assert caught.value.reason == "BadSource"
    assert caught.value.message.endswith("names loop below loop")


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address that lets a client wait: its queue is full, and nobody takes anything out of it."""
    with socket.socket() as listener, socket.socket() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting.connect(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_a_connection_that_never_comes_about_is_told_as_such(volume: Volume, nowhere: str) -> None:
    with pytest.raises(StageError) as caught:
        await volume.stage(endpoint=nowhere, settings={"connect_timeout": 0.2, "attempts": 2})
    assert "cannot connect to 127.0.0.1 within 0.2 s" in caught.value.message


async def test_a_proxy_that_is_not_there_is_named(
    volume: Volume, hub: ModelHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.stop()
    monkeypatch.setenv("http_proxy", hub.url)
    with pytest.raises(StageError) as caught:
        await volume.stage(endpoint="http://hub.invalid")
    assert f"cannot connect to the proxy 127.0.0.1:{hub.port} (HTTP_PROXY, HTTPS_PROXY)" in caught.value.message


async def test_a_proxy_that_refuses_is_told_from_the_hub(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")
        with pytest.raises(StageError) as caught:
            await volume.stage(endpoint="https://hub.invalid")
    assert "the proxy answers HTTP 407 instead of leading to hub.invalid" in caught.value.message


@pytest.mark.parametrize("body", [b"<html>", b"[" * 200_000, b"7"])
async def test_an_answer_that_is_no_listing_is_told(volume: Volume, body: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(StageError) as caught:
            await volume.stage(endpoint=endpoint)
    assert caught.value.reason == "HubUnavailable"
    assert f"{endpoint} answers no " in caught.value.message


async def test_redirects_in_a_circle_are_left(volume: Volume, hub: ModelHub) -> None:
    hub.fault("redirect-loop", match=BIG)
    with pytest.raises(StageError) as caught:
        await volume.stage()
    assert caught.value.reason == "HubUnavailable"
    assert caught.value.message.endswith(f"{BIG}: gave up after 4 attempts: 127.0.0.1 redirects without end")
    assert not (volume.root / "modelscope").exists()
    hub.faults.clear()
    hub.fault("redirect-loop", match=BIG, times=2)
    volume.assert_published((await volume.stage()).path)


@pytest.mark.parametrize("kind", ["modelScope", "huggingFace"])
@pytest.mark.parametrize("count", [500, pytest.param(5000, marks=pytest.mark.long)])
async def test_thousands_of_files_are_staged_and_found_again(
    volume: Volume, hub: ModelHub, kind: str, count: int
) -> None:
    few = len(selected_files(volume.source))
    for number in range(count):
        place = volume.source / f"part-{number % 7}"
        place.mkdir(exist_ok=True)
        (place / f"{number:04}.txt").write_text(str(number))
    hub.repositories.freeze()
    both = replace(volume, kind=kind)
    result = await both.stage()
    assert result.files == few + count
    both.assert_published(result.path)
    hub.requests.clear()
    assert (await both.stage()).adopted
    assert hub.bytes_sent() == 0
