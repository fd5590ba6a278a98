"""Through which TLS and which proxies the bytes of files come, and the words for what is wrong with these."""

from __future__ import annotations

import asyncio
import base64

import pytest
from yarl import URL

from embedding_operator.staging.errors import StageError
from embedding_operator.staging.partial import PartialFile
from embedding_operator.staging.transport import TransientError
from tests.cluster.certificates import Authority

from .wire import Server, assert_whole, fetched, keeps_alive, serving_tls, transport


async def test_tls_is_spoken_to_whom_the_bundle_vouches_for(partial: PartialFile, authority: Authority) -> None:
    async with Server(keeps_alive).running(serving_tls(authority)) as server:
        async with transport(ca_file=authority.certificate) as line:
            for _ in range(2):
                await fetched(line, server.url("https", "localhost"), partial)
                assert_whole(partial)
                partial.discard()
        async with transport() as line:
            with pytest.raises(StageError, match="the TLS certificate of localhost is not trusted: give the stager"):
                await fetched(line, server.url("https", "localhost"), partial)
        async with transport(ca_file=authority.certificate) as line:
            with pytest.raises(StageError, match=r"the TLS certificate of 127\.0\.0\.1 is not trusted"):
                await fetched(line, server.url("https"), partial)
    assert (server.connections, len(server.heads)) == (1, 2)  # a handshake that fails is no connection yet


async def test_https_goes_through_a_proxy_that_sees_its_own_credentials_and_nothing_else(
    partial: PartialFile, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def tunnels(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await server.head(reader)
        assert head is not None
        host, port = head.split()[1].split(":")
        back, forth = await asyncio.open_connection("127.0.0.1" if host == "localhost" else host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(copy(reader, forth), copy(back, writer))

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(64 << 10):
            writer.write(data)
            await writer.drain()
        writer.close()

    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with Server(keeps_alive).running(serving_tls(authority)) as server, Server(tunnels).running() as proxy:
        monkeypatch.setenv("https_proxy", f"http://user:pass%40word@127.0.0.1:{proxy.port}")
        async with transport(ca_file=authority.certificate) as line:
            url = server.url("https", "localhost")
            async with line.open(url, {"Authorization": "Bearer secret"}, {"Range": "bytes=0-"}) as body:
                assert body.status == 200
            await fetched(line, url, partial)
    assert_whole(partial)
    pair = base64.b64encode(b"user:pass@word").decode()
    expected = f"CONNECT localhost:{server.port} HTTP/1.1\r\nHost: localhost:{server.port}\r\n"
    assert set(proxy.heads) == {f"{expected}Proxy-Authorization: Basic {pair}\r\n\r\n"}
    assert ["Bearer secret" in head for head in server.heads] == [True, False]
    assert not any("Proxy-Authorization" in head for head in server.heads)


async def test_http_asks_the_proxy_for_the_whole_address(partial: PartialFile, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Server(keeps_alive).running() as proxy, transport() as line:
        monkeypatch.setenv("http_proxy", f"http://user:word@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "direct.invalid")
        await fetched(line, URL("http://hub.invalid/a%20file?x=%2F#there", encoded=True), partial)
        with pytest.raises(TransientError, match=r"^cannot connect to direct\.invalid: "):
            async with line.open(URL("http://direct.invalid/file"), {}, {}):
                pass
    assert_whole(partial)
    [head] = proxy.heads
    assert head.startswith("GET http://hub.invalid/a%20file?x=%2F HTTP/1.1\r\nHost: hub.invalid\r\n")
    assert f"Proxy-Authorization: Basic {base64.b64encode(b'user:word').decode()}\r\n" in head


async def test_a_proxy_s_refusal_is_told_from_the_hub_s(partial: PartialFile, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuses(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.head(reader)
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with Server(refuses).running() as proxy, transport() as line:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(TransientError, match=r"the proxy answers HTTP 407 instead of leading to hub\.invalid"):
            await fetched(line, URL("https://hub.invalid/file"), partial)
    with pytest.raises(TransientError, match=rf"cannot connect to the proxy 127\.0\.0\.1:{proxy.port} \(HTTP_PROXY"):
        async with transport() as line:
            await fetched(line, URL("https://hub.invalid/file"), partial)
