"""How the bytes of files are read: connections, stops, and the words for what is wrong with a line.

What resume, retries and verification make of it is tried with whole runs, in the other modules.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from contextlib import suppress

import pytest

from embedding_operator.staging.bodies import LineError
from embedding_operator.staging.partial import MismatchError, PartialFile
from embedding_operator.staging.transport import TransientError
from tests.cluster.certificates import Authority

from .wire import (
    CONTENT,
    OK,
    Server,
    answers_once,
    assert_whole,
    fetched,
    goes_silent,
    keeps_alive,
    serving_tls,
    transport,
)


async def test_one_connection_serves_one_file_after_another(partial: PartialFile) -> None:
    async with Server(keeps_alive).running() as server, transport() as line:
        for _ in range(3):
            await fetched(line, server.url(), partial)
            assert_whole(partial)
            partial.discard()
    assert (server.connections, len(server.heads)) == (1, 3)
    assert server.heads[0].startswith("GET /a%20file?signature=%2F HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{server.port}\r\n" in server.heads[0]
    assert server.heads[0].count("Accept-Encoding: identity") == 1


async def test_a_connection_that_was_closed_meanwhile_costs_no_attempt(partial: PartialFile) -> None:
    async with Server(answers_once).running() as server, transport() as line:
        for _ in range(3):
            await fetched(line, server.url(), partial)
            assert_whole(partial)
            partial.discard()
    assert server.connections == 3


async def test_a_connection_with_an_unread_rest_is_not_used_again(partial: PartialFile) -> None:
    async with Server(keeps_alive).running() as server, transport() as line:
        async with line.open(server.url(), {}, {}) as body:
            assert body.length == len(CONTENT)
        await fetched(line, server.url(), partial)
    assert_whole(partial)
    assert server.connections == 2


async def test_a_redirect_s_connection_is_used_again(partial: PartialFile) -> None:
    async def redirects(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await server.head(reader):
            moved = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 5\r\n\r\nmoved"
            writer.write(OK + CONTENT if "/elsewhere" in head else moved)
            await writer.drain()

    async with Server(redirects).running() as server, transport() as line:
        await fetched(line, server.url(), partial)
    assert_whole(partial)
    assert (server.connections, len(server.heads)) == (1, 2)


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("head", [OK, OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1), b"HTTP/1.1 200 OK\r\n\r\n"])
@pytest.mark.parametrize("with_it", [0, 1, 5000, 100_000])
async def test_a_body_is_whole_however_much_comes_with_its_head_and_whatever_ends_it(
    partial: PartialFile, authority: Authority, tls: bool, head: bytes, with_it: int
) -> None:
    async def serves(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await server.head(reader):
            writer.write(head + CONTENT[:with_it])
            await writer.drain()
            await server.going_on.wait()
            writer.write(CONTENT[with_it:])
            await writer.drain()
            if head != OK:
                break
        writer.close()

    served = serving_tls(authority) if tls else None
    async with Server(serves).running(served) as server, transport(ca_file=authority.certificate) as line:
        url = server.url("https" if tls else "http", "localhost")
        for _ in range(2):
            await partial.resume(len(CONTENT), lambda count: None)
            server.going_on.clear()
            async with line.open(url, {}, {}) as body:
                server.going_on.set()
                for most in (1, 700, 70_000, 1 << 30):
                    assert await body.in_thread(partial.take, body.readinto, len(CONTENT), most)
                assert await body.in_thread(partial.take, body.readinto, len(CONTENT), 1) == 0
            assert_whole(partial)
            partial.discard()
    assert server.connections == (1 if head == OK else 2)


@pytest.mark.parametrize("most", [1, 100_000, 1 << 30])
async def test_a_body_in_chunks_of_no_told_length_is_read_whole(partial: PartialFile, most: int) -> None:
    async def chunks(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(CONTENT), 30_000):
            part = CONTENT[start : start + 30_000]
            writer.write(b"%x\r\n%s\r\n" % (len(part), part))
        writer.write(b"0\r\n\r\n")

    async with Server(chunks).running() as server, transport() as line:
        assert (await fetched(line, server.url(), partial, most) > 1) == (most < len(CONTENT))
    assert_whole(partial)


async def test_more_bytes_than_listed_are_noticed(partial: PartialFile) -> None:
    async def more(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + CONTENT + b"!")
        writer.close()

    async with Server(more).running() as server, transport() as line:
        with pytest.raises(MismatchError, match=f"expected {len(CONTENT)} bytes, got more"):
            await fetched(line, server.url(), partial)
    assert partial.path.stat().st_size <= len(CONTENT)


async def test_what_came_before_a_line_broke_is_on_the_disk(partial: PartialFile) -> None:
    async def breaks(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.head(reader)
        writer.write(OK + CONTENT[:100_001])
        await writer.drain()
        writer.close()

    async with Server(breaks).running() as server, transport() as line:
        await fetched(line, server.url(), partial)
    assert partial.path.read_bytes() == CONTENT[:100_001]
    assert partial.sha256 == hashlib.sha256(CONTENT[:100_001]).hexdigest()


async def test_a_silent_server_is_told_with_its_name_and_what_came_is_kept(partial: PartialFile) -> None:
    async with Server(goes_silent).running() as server, transport(idle_timeout=0.2) as line:
        with pytest.raises(TransientError, match=r"^127\.0\.0\.1 sent nothing for 0\.2 s$"):
            await fetched(line, server.url(), partial)
    assert partial.path.read_bytes() == CONTENT[:1000]


@pytest.mark.parametrize("tls", [False, True])
async def test_a_stop_does_not_wait_for_a_silent_server(partial: PartialFile, authority: Authority, tls: bool) -> None:
    served = serving_tls(authority) if tls else None
    async with Server(goes_silent).running(served) as server, transport(600, authority.certificate) as line:
        work = asyncio.create_task(fetched(line, server.url("https" if tls else "http", "localhost"), partial))
        await server.asked.wait()
        await asyncio.sleep(0.1)  # the reader waits
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
    assert CONTENT.startswith(partial.path.read_bytes())


async def test_a_stop_in_the_middle_lets_no_byte_into_the_file_that_was_not_decrypted(
    partial: PartialFile, authority: Authority
) -> None:
    await partial.resume(len(CONTENT), lambda count: None)
    async with (
        Server(keeps_alive).running(serving_tls(authority)) as server,
        transport(ca_file=authority.certificate) as line,
        line.open(server.url("https", "localhost"), {}, {}) as body,
    ):
        await asyncio.sleep(0.1)  # much of it waits in the socket
        body.cut()
        with suppress(TransientError, LineError):
            await body.in_thread(partial.take, body.readinto, len(CONTENT), 1 << 30)
    assert CONTENT.startswith(partial.path.read_bytes())


async def test_a_stop_does_not_wait_for_an_answer_that_never_begins(partial: PartialFile) -> None:
    async def never(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.head(reader)
        await server.head(reader)

    async with Server(never).running() as server, transport(600) as line:
        work = asyncio.create_task(fetched(line, server.url(), partial))
        await server.asked.wait()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work


async def test_what_is_no_http_is_a_broken_connection(partial: PartialFile) -> None:
    async def babbles(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.head(reader)
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    async with Server(babbles).running() as server, transport() as line:
        with pytest.raises(TransientError, match=r"the connection to 127\.0\.0\.1 broke \(BadStatusLine\)"):
            await fetched(line, server.url(), partial)


def test_a_short_write_is_completed(partial: PartialFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a disk that fills up gives them."""
    asyncio.run(partial.resume(len(CONTENT), lambda count: None))
    stream = partial._stream
    assert stream is not None

    class Short:
        def write(self, data: memoryview) -> int:
            return os.write(stream.fileno(), data[:1000])

    monkeypatch.setattr(partial, "_stream", Short())
    partial.write(memoryview(CONTENT))
    monkeypatch.undo()
    assert_whole(partial)
