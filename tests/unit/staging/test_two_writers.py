"""Two stagers in one staging directory: one works, the other waits, and neither can harm what was published."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import pytest

from embedding_operator.staging.claim import Claim
from embedding_operator.staging.errors import StageError
from embedding_operator.staging.settings import Settings
from tests.standins.modelhub import ModelHub

from .kit import BIG, QUICK, Volume, wait_for


async def test_two_stagers_at_once_download_once(volume: Volume, hub: ModelHub) -> None:
    hub.fault("slow", match="*.safetensors", value=4 << 20)
    results = await asyncio.gather(volume.stage(), volume.stage())
    assert sorted(result.adopted for result in results) == [False, True]
    assert hub.bytes_sent() == volume.total
    volume.assert_published(results[0].path)


async def test_a_machine_that_stands_still_for_a_while_makes_nobody_look_dead(volume: Volume, hub: ModelHub) -> None:
    hub.fault("slow", match="*.safetensors", value=1 << 20)

    async def stand_still() -> None:
        while True:
            await asyncio.sleep(0.1)
            time.sleep(0.6)  # noqa: ASYNC251 - longer than a writer may be silent, and both of them at once

    standing = asyncio.create_task(stand_still())
    results = await asyncio.gather(volume.stage(), volume.stage())
    standing.cancel()
    assert sorted(result.adopted for result in results) == [False, True]


async def test_a_stager_stops_when_another_took_over(volume: Volume, hub: ModelHub) -> None:
    hub.fault("stall-after", match="*.safetensors", value=1000)
    run = asyncio.create_task(volume.stage())
    await asyncio.to_thread(wait_for, lambda: hub.bytes_sent(BIG) > 0)
    claims = list(volume.root.glob(".staging/*/writer.json"))
    other = claims[0].with_name("draft")
    other.write_text(json.dumps({"writer": "another", "beats": 1}))
    other.replace(claims[0])
    with pytest.raises(StageError, match="another stager took over") as caught:
        await run
    assert caught.value.reason == "Internal"
    assert json.loads(claims[0].read_text())["writer"] == "another"


async def test_a_stager_that_was_frozen_and_wakes_up_harms_nothing(
    volume: Volume, hub: ModelHub, tmp_path: Path
) -> None:
    """As on a node that was cut off: it still has bytes in memory, and the file open that another went on with."""
    hub.fault("stall-after", match=BIG, value=1_900_000)
    frozen = volume.process(tmp_path / "log", settings={"chunk": 1 << 20})

    def holds_bytes_back() -> bool:
        partials = list(volume.root.glob(f".staging/*/partials/{BIG}.partial"))
        return hub.bytes_sent(BIG) == 1_900_000 and bool(partials) and partials[0].stat().st_size >= 1 << 20

    try:
        await asyncio.to_thread(wait_for, holds_bytes_back, frozen)
        frozen.send_signal(signal.SIGSTOP)
        hub.faults.clear()
        result = await volume.stage()
        frozen.send_signal(signal.SIGCONT)
        assert await asyncio.to_thread(frozen.wait, 60) == 0
    finally:
        frozen.kill()
        frozen.wait()
    volume.assert_published(result.path)
    assert json.loads((tmp_path / "log").read_text())["adopted"]


async def test_a_file_that_somebody_else_made_longer_is_fetched_again(volume: Volume, hub: ModelHub) -> None:
    hub.fault("slow", match=BIG, value=4 << 20)
    run = asyncio.create_task(volume.stage())
    await asyncio.to_thread(wait_for, lambda: bool(list(volume.root.glob(f".staging/*/partials/{BIG}.partial"))))
    (partial,) = volume.root.glob(f".staging/*/partials/{BIG}.partial")
    os.truncate(partial, (volume.source / BIG).stat().st_size + 1)
    volume.assert_published((await run).path)


async def test_a_link_in_a_file_s_place_is_not_followed(volume: Volume, hub: ModelHub, tmp_path: Path) -> None:
    hub.fault("stall-after", match=BIG, value=100_000)
    run = asyncio.create_task(volume.stage())
    await asyncio.to_thread(wait_for, lambda: bool(list(volume.root.glob(f".staging/*/partials/{BIG}.partial"))))
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    (partial,) = volume.root.glob(f".staging/*/partials/{BIG}.partial")
    victim = tmp_path / "victim"
    victim.write_text("mine")
    partial.unlink()
    partial.symlink_to(victim)
    hub.faults.clear()
    volume.assert_published((await volume.stage()).path)
    assert victim.read_text() == "mine"


async def test_a_claim_that_comes_free_because_the_work_is_done_is_not_taken(tmp_path: Path) -> None:
    """The other one may publish, and tidy up, between the look at the result and the look at the claim."""
    looks = iter([False, True])
    claim = Claim(tmp_path / "staging" / "writer.json", tmp_path, Settings(**QUICK))
    assert await claim.acquire(lambda: next(looks)) is False
    assert not (tmp_path / "staging").exists()
