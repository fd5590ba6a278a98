"""The port of probes and scrapes: whoever hangs on it holds up nobody else."""

from __future__ import annotations

import asyncio
import itertools

from embedding_operator.controllers.health import serve_health
from tests.ports import free_ports

WAY_BELOW_AIOHTTPS_OWN = 30.0  # seconds; that waits for 60


async def test_a_scrape_that_is_never_read_does_not_hold_up_the_end_of_the_operator() -> None:
    port = free_ports(1)[0]
    more_than_fits_into_buffers = itertools.repeat(b"x" * 65536)
    runner = await serve_health(
        port, ready=lambda: True, complaints=lambda: (), metrics=lambda: more_than_fits_into_buffers
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: operator\r\n\r\n")
    assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    async with asyncio.timeout(WAY_BELOW_AIOHTTPS_OWN):
        await runner.cleanup()
    writer.close()
