"""A stager that is killed, at any moment: the next one completes, and fetches only what is missing."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path

import pytest

from embedding_operator.staging.manifest import read_manifest
from tests.standins.modelhub import ModelHub

from .kit import BIG, SECOND, Volume, selected_files, wait_for


def finish(volume: Volume, log: Path) -> dict[str, object]:
    process = volume.process(log)
    assert process.wait(120) == 0, log.with_suffix(".err").read_text()
    document: dict[str, object] = json.loads(log.read_text())
    assert document["result"] == "Staged"
    volume.assert_published(str(document["path"]))
    return document


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_after_a_kill_only_the_rest_is_fetched(volume: Volume, hub: ModelHub, tmp_path: Path, share: float) -> None:
    hub.fault("slow", match="*.safetensors", value=2 << 20)
    process = volume.process(tmp_path / "log")
    wait_for(lambda: bool(hub.requests) and volume.bytes_present() >= share * volume.total, process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (volume.root / "modelscope").exists()

    present = volume.bytes_present()
    assert present >= share * volume.total
    hub.faults.clear()
    hub.requests.clear()
    finish(volume, tmp_path / "log")
    assert hub.bytes_sent() == volume.total - present


def test_a_file_that_was_checked_is_not_read_again(volume: Volume, hub: ModelHub, tmp_path: Path) -> None:
    hub.fault("stall-after", match=BIG, value=100_000)
    process = volume.process(tmp_path / "log")
    wait_for(lambda: any((volume.root / ".staging").glob(f"*/files/{SECOND}")), process)
    process.kill()
    process.wait()
    hub.faults.clear()
    hub.requests.clear()
    finish(volume, tmp_path / "log")
    assert not [r for r in hub.requests if r.path == SECOND]
    assert [r for r in hub.requests if r.path == BIG]


def test_a_partial_file_is_never_trusted(volume: Volume, hub: ModelHub, tmp_path: Path) -> None:
    """Bytes that went bad on the disk between two runs are noticed, and the file is fetched again."""
    hub.fault("stall-after", match=BIG, value=500_000)
    process = volume.process(tmp_path / "log")
    partials = volume.root / ".staging"
    wait_for(lambda: any(p.stat().st_size > 300_000 for p in partials.glob(f"*/partials/{BIG}.partial")), process)
    process.kill()
    process.wait()
    (partial,) = partials.glob(f"*/partials/{BIG}.partial")
    partial.write_bytes(b"\0" * partial.stat().st_size)
    hub.faults.clear()
    finish(volume, tmp_path / "log")


def test_a_termination_signal_stops_at_once_and_keeps_what_is_there(
    volume: Volume, hub: ModelHub, tmp_path: Path
) -> None:
    hub.fault("stall-after", match="*.safetensors", value=500_000)
    log = tmp_path / "log"
    process = volume.process(log)
    wait_for(lambda: volume.bytes_present() >= 900_000, process)
    process.terminate()
    assert process.wait(30) == 1
    document = json.loads(log.read_text())
    assert (document["result"], document["reason"]) == ("Failed", "Internal")
    assert "the next attempt continues here" in document["message"]
    assert not list(volume.root.glob(".staging/*/writer.json"))  # nobody has to wait for this writer

    present = volume.bytes_present()
    hub.faults.clear()
    hub.requests.clear()
    finish(volume, log)
    assert hub.bytes_sent() == volume.total - present


def kill_at_random(volume: Volume, hub: ModelHub, log: Path, seed: int, kills: int) -> None:
    """Many small files: most of the time goes into syncing, renaming and publishing."""
    moments = random.Random(seed)
    for number in range(150):
        (volume.source / f"part-{number:03}.txt").write_bytes(moments.randbytes(moments.randrange(20_000)))
    for _ in range(kills):
        hub.requests.clear()
        process = volume.process(log, settings={"claim_stale": 0.2})
        wait_for(lambda: bool(hub.requests), process)
        time.sleep(moments.uniform(0, 0.6))
        process.kill()
        process.wait()
        for manifest in volume.root.glob("modelscope/*/*/manifest.json"):  # all of it or nothing
            volume.assert_published(str(manifest.parent.relative_to(volume.root)))
        assert all((path / "manifest.json").exists() for path in volume.root.glob("modelscope/*/*"))
    document = finish(volume, log)
    published = read_manifest(volume.root / str(document["path"]))
    assert published is not None
    assert list(published.files) == selected_files(volume.source)


def test_kills_at_random_moments(volume: Volume, hub: ModelHub, tmp_path: Path) -> None:
    kill_at_random(volume, hub, tmp_path / "log", seed=1, kills=4)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
def test_many_kills_at_random_moments(volume: Volume, hub: ModelHub, tmp_path: Path, seed: int) -> None:
    kill_at_random(volume, hub, tmp_path / "log", seed=seed, kills=20)
