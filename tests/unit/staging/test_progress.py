"""How far a run is, for the operator and for people."""

from __future__ import annotations

import asyncio
import socket

import aiohttp
import pytest

from embedding_operator.staging.progress import Progress, human, reported
from embedding_operator.staging.settings import Settings
from embedding_operator.staging.spec import parse_spec
from embedding_operator.staging.stage import stage
from tests.standins.modelhub import ModelHub

from .kit import BIG, QUICK, SECOND, Volume, wait_for


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_rate_and_time_left_come_from_what_was_worked() -> None:
    clock = Clock()
    progress = Progress(clock)
    progress.start("Downloading", 1000)
    progress.credit(500)  # was there already: no reason to promise more speed
    clock.now += 10
    progress.work(100)
    progress.file = "model.safetensors"
    assert progress.snapshot() == {
        "phase": "Downloading",
        "percent": 60,
        "bytes": 600,
        "totalBytes": 1000,
        "bytesPerSecond": 10,
        "secondsLeft": 40,
        "file": "model.safetensors",
    }
    assert progress.line() == "downloading: 60% (600 B of 1000 B), 10 B/s, 40 s left"


def test_what_is_not_known_is_left_out() -> None:
    assert Progress(Clock()).snapshot() == {
        "phase": "Listing",
        "percent": 0,
        "bytes": 0,
        "totalBytes": 0,
        "bytesPerSecond": 0,
    }


def test_the_rate_forgets_what_was_long_ago() -> None:
    clock = Clock()
    progress = Progress(clock)
    progress.start("Downloading", 10_000)
    progress.work(5000)
    for _ in range(60):
        clock.now += 1
        progress.work(1)
        progress.sample()
    assert progress.bytes_per_second == 1


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (17 << 30, "17.0 GiB"), (3 << 40, "3.0 TiB")]
)
def test_sizes_are_told_in_units(count: int, text: str) -> None:
    assert human(count) == text


async def test_progress_is_served_while_a_download_runs(volume: Volume, hub: ModelHub) -> None:
    hub.fault("stall-after", match="*.safetensors", value=500_000)
    progress = Progress()
    settings = Settings(**QUICK)
    async with reported(progress, port=0, log_every=0.05) as port, aiohttp.ClientSession() as session:
        run = asyncio.create_task(stage(parse_spec(volume.spec()), progress=progress, settings=settings))
        await asyncio.to_thread(wait_for, lambda: volume.bytes_present() >= 900_000)
        async with session.get(f"http://127.0.0.1:{port}/progress") as answer:
            document = await answer.json()
        async with session.get(f"http://127.0.0.1:{port}/etc/passwd") as other:
            assert other.status == 404
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
    assert document["phase"] == "Downloading"
    assert document["totalBytes"] == volume.total
    assert 0 < document["bytes"] < volume.total
    assert document["percent"] == document["bytes"] * 100 // volume.total
    assert document["bytesPerSecond"] > 0
    assert document["secondsLeft"] > 0
    assert document["file"] in (BIG, SECOND)


async def test_a_log_line_tells_how_far_it_is(caplog: pytest.LogCaptureFixture) -> None:
    progress = Progress()
    progress.start("Downloading", 100)
    progress.work(50)
    with caplog.at_level("INFO"):
        async with reported(progress, port=None, log_every=0.02):
            await asyncio.to_thread(wait_for, lambda: "downloading: 50% (50 B of 100 B)" in caplog.text)


async def test_a_port_that_is_taken_does_not_stop_the_run(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        number = taken.getsockname()[1]
        async with reported(Progress(), port=number, log_every=10) as port:
            assert port is None
    assert f"progress is not served on port {number}" in caplog.text
