"""Everything that a hub, a CDN or a line can do wrong, and what the user reads then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from embedding_operator.staging.errors import StageError
from embedding_operator.staging.main import main_stage
from embedding_operator.staging.settings import Settings
from tests.standins.modelhub import ModelHub

from .kit import BIG, QUICK, REPO, SECOND, Volume

TOKEN = "a-token-nobody-may-see"


async def refused(volume: Volume, **kwargs: object) -> StageError:
    """The error of a run that must fail, and must not publish anything."""
    with pytest.raises(StageError) as caught:
        await volume.stage(**kwargs)  # type: ignore[arg-type]
    assert not (volume.root / "modelscope").exists()
    return caught.value


async def test_a_wrong_sum_in_the_listing_is_refused_by_name(volume: Volume, hub: ModelHub) -> None:
    hub.fault("wrong-sha256", match=SECOND)
    error = await refused(volume)
    assert (error.reason, error.exit_code) == ("ChecksumMismatch", 3)
    assert error.message.startswith(f"{SECOND}: expected sha256 ")
    assert ", got " in error.message
    assert "3 times" in error.message
    assert len([r for r in hub.requests if r.path == SECOND]) == 3


async def test_bytes_that_stay_corrupt_are_refused(volume: Volume, hub: ModelHub) -> None:
    hub.fault("corrupt", match=BIG)
    error = await refused(volume)
    assert error.reason == "ChecksumMismatch"
    assert BIG in error.message


@pytest.mark.parametrize("redirect", ["", "port", "path"])
async def test_bytes_that_are_corrupt_once_are_fetched_again(volume: Volume, hub: ModelHub, redirect: str) -> None:
    hub.fault("corrupt", match=BIG, times=1)
    if redirect:
        hub.fault("redirect", value=redirect)
    result = await volume.stage()
    volume.assert_published(result.path)


@pytest.mark.parametrize(
    ("fault", "value"),
    [("truncate", 100), ("changed", None)],
)
async def test_a_file_of_another_length_than_listed_is_refused(
    volume: Volume, hub: ModelHub, fault: str, value: object
) -> None:
    hub.fault(fault, match=BIG, value=value)
    error = await refused(volume)
    assert error.reason == "ChecksumMismatch"
    assert f"expected {(volume.source / BIG).stat().st_size} bytes" in error.message


async def test_a_file_that_changes_between_listing_and_download_once(volume: Volume, hub: ModelHub) -> None:
    hub.fault("changed", match=BIG, times=1)
    volume.assert_published((await volume.stage()).path)


@pytest.mark.parametrize("redirect", ["", "port", "path"])
async def test_a_line_that_breaks_is_resumed_where_it_broke(volume: Volume, hub: ModelHub, redirect: str) -> None:
    """More breaks than attempts are allowed: what counts is that bytes keep coming."""
    if redirect:
        hub.fault("redirect", value=redirect)
    hub.fault("drop-after", match=BIG, value=300_000)
    result = await volume.stage(settings={"attempts": 2})
    volume.assert_published(result.path)
    ranges = [r.range for r in hub.requests if r.path == BIG and r.count]
    starts = [int(r.removeprefix("bytes=").removesuffix("-")) if r else 0 for r in ranges]
    assert len(starts) > 2
    assert starts == sorted(set(starts))  # each goes on behind the one before; none starts over


async def test_a_line_that_breaks_before_the_first_byte_is_given_up(volume: Volume, hub: ModelHub) -> None:
    hub.fault("drop-after", match=BIG, value=0)
    error = await refused(volume)
    assert (error.reason, error.exit_code) == ("HubUnavailable", 1)
    assert f"{BIG}: gave up after 4 attempts" in error.message


async def test_a_line_that_goes_silent_is_left(volume: Volume, hub: ModelHub) -> None:
    hub.fault("stall-after", match=BIG, value=100_000, times=1)
    volume.assert_published((await volume.stage(settings={"idle_timeout": 0.3})).path)


async def test_a_server_without_ranges_starts_the_file_over(volume: Volume, hub: ModelHub) -> None:
    hub.fault("drop-after", match=BIG, value=500_000, times=1)
    hub.fault("no-ranges")
    volume.assert_published((await volume.stage()).path)
    assert hub.bytes_sent(BIG) == 500_000 + (volume.source / BIG).stat().st_size


async def test_a_server_that_sends_another_range_is_not_believed(volume: Volume, hub: ModelHub) -> None:
    hub.fault("drop-after", match=BIG, value=500_000, times=1)
    hub.fault("wrong-range", match=BIG, times=1)
    volume.assert_published((await volume.stage()).path)


@pytest.mark.parametrize("path", ["@listing", BIG])
async def test_a_busy_hub_is_asked_again(volume: Volume, hub: ModelHub, path: str) -> None:
    hub.fault("status", match=path, value=500, times=3)
    volume.assert_published((await volume.stage()).path)


async def test_a_hub_that_stays_down_is_worth_another_try(volume: Volume, hub: ModelHub) -> None:
    hub.fault("status", match="@listing", value=503)
    error = await refused(volume)
    assert (error.reason, error.exit_code) == ("HubUnavailable", 1)
    assert "failed 4 times: 127.0.0.1 answers HTTP 503" in error.message


async def test_no_hub_at_all_is_worth_another_try(volume: Volume, hub: ModelHub) -> None:
    hub.stop()
    error = await refused(volume)
    assert error.reason == "HubUnavailable"
    assert "cannot connect to 127.0.0.1" in error.message


async def test_a_limit_on_requests_is_honoured(volume: Volume, hub: ModelHub, caplog: pytest.LogCaptureFixture) -> None:
    hub.fault("rate-limit", match="config.json", value=1, times=1)
    volume.assert_published((await volume.stage()).path)
    assert "config.json: 127.0.0.1 answers HTTP 429; going on in 1.0 s" in caplog.text
    assert len([r for r in hub.requests if r.path == "config.json"]) == 2


async def test_a_cdn_link_that_expired_is_fetched_anew_from_the_hub(volume: Volume, hub: ModelHub) -> None:
    hub.fault("redirect", value="port")
    hub.fault("cdn-status", match=BIG, value=403, times=2)
    volume.assert_published((await volume.stage()).path)
    assert len([r for r in hub.requests if r.path == BIG and r.server == "hub"]) == 3


async def test_an_unknown_repository_is_named(volume: Volume) -> None:
    error = await refused(volume, repo="Acme/Nothing")
    assert (error.reason, error.exit_code) == ("NotFound", 3)
    assert error.message.startswith("Acme/Nothing (revision master) is not at http://127.0.0.1:")


async def test_an_unknown_revision_is_named(volume: Volume) -> None:
    error = await refused(volume, revision="v9")
    assert error.reason == "NotFound"
    assert "revision v9" in error.message


@pytest.mark.parametrize("token", [None, "wrong"])
async def test_a_private_repository_says_what_it_needs(volume: Volume, hub: ModelHub, token: str | None) -> None:
    hub.tokens[REPO] = TOKEN
    error = await refused(volume, token=token)
    assert (error.reason, error.exit_code) == ("Unauthorized", 3)
    assert "source.modelScope.secretRef" in error.message


@pytest.mark.parametrize("redirect", ["port", "path"])
async def test_the_token_goes_to_the_hub_and_never_to_a_cdn(volume: Volume, hub: ModelHub, redirect: str) -> None:
    hub.tokens[REPO] = TOKEN
    hub.fault("redirect", value=redirect)
    volume.assert_published((await volume.stage(token=TOKEN)).path)
    foreign = [r for r in hub.requests if r.server == "cdn" and redirect == "port"]
    assert len(foreign) == (4 if redirect == "port" else 0)  # the empty file is not fetched
    assert not any(r.credentials for r in foreign)
    assert all(r.credentials for r in hub.requests if r.server == "hub")


@pytest.mark.parametrize(
    "path",
    ["../outside.txt", "/etc/passwd", "a/../../b", "a\\..\\b", "nul\0byte", "line\nbreak", "a//b", "./a", ""],
)
async def test_names_that_leave_their_directory_are_refused(volume: Volume, hub: ModelHub, path: str) -> None:
    hub.fault("extra-entry", value={"Path": path, "Type": "blob", "Size": 1, "Sha256": ""})
    error = await refused(volume)
    assert (error.reason, error.exit_code) == ("BadSource", 3)
    assert "the listing of" in error.message
    assert list(volume.root.iterdir()) == []


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"Path": "x", "Type": "blob", "Size": -1}, "gives no sensible size for x"),
        ({"Path": "x", "Type": "blob", "Size": "7"}, "gives no sensible size for x"),
        ({"Path": "x", "Type": "blob", "Size": 7, "Sha256": "zz"}, "gives no valid sha256 for x"),
        ({"Type": "blob", "Size": 7}, "an entry without a path"),
        ({"Path": "config.json", "Type": "blob", "Size": 7}, "config.json is listed twice"),
        ({"Path": "config.json/x", "Type": "blob", "Size": 7}, "config.json is both a file and a directory"),
    ],
)
async def test_a_listing_that_makes_no_sense_is_refused(
    volume: Volume, hub: ModelHub, entry: dict[str, object], words: str
) -> None:
    hub.fault("extra-entry", value=entry)
    error = await refused(volume)
    assert error.reason == "BadSource"
    assert words in error.message


async def test_a_full_volume_is_told_before_the_first_byte(volume: Volume, hub: ModelHub) -> None:
    error = await refused(volume, settings={"free_bytes": lambda path: 1 << 20})
    assert (error.reason, error.exit_code) == ("DiskFull", 3)
    assert error.message.startswith(
        "2.0 MiB too little: 3.0 MiB are still to be downloaded, and the volume has 1.0 MiB"
    )
    assert hub.bytes_sent() == 0


async def test_what_is_there_already_is_not_counted_as_missing(volume: Volume, hub: ModelHub) -> None:
    hub.fault("status", match=SECOND, value=404)
    await refused(volume, parallelism=1)
    hub.faults.clear()
    present = volume.bytes_present()
    assert present >= (volume.source / BIG).stat().st_size
    result = await volume.stage(settings={"free_bytes": lambda path: volume.total - present})
    volume.assert_published(result.path)


async def test_a_volume_that_may_not_be_written_is_told(volume: Volume) -> None:
    locked = Volume(root=Path("/sys"), hub=volume.hub, source=volume.source)  # nobody may, not even root
    with pytest.raises(StageError) as caught:
        await locked.stage()
    assert (caught.value.reason, caught.value.exit_code) == ("PermissionDenied", 3)
    assert "set cache.securityContext (runAsUser" in caught.value.message


async def test_a_missing_mount_is_told(volume: Volume, tmp_path: Path) -> None:
    nowhere = Volume(root=tmp_path / "nowhere", hub=volume.hub, source=volume.source)
    with pytest.raises(StageError, match="is the claim mounted") as caught:
        await nowhere.stage()
    assert caught.value.reason == "BadSource"


async def test_a_proxy_of_the_environment_is_used(
    volume: Volume, hub: ModelHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in takes a proxy's absolute URLs; the name itself leads nowhere."""
    monkeypatch.setenv("http_proxy", hub.url)
    volume.assert_published((await volume.stage(endpoint="http://hub.invalid")).path)


def test_the_token_is_in_no_log_and_no_result(
    volume: Volume, hub: ModelHub, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    hub.tokens[REPO] = TOKEN
    hub.fault("redirect", value="port")
    hub.fault("cdn-status", match=BIG, value=500)
    log = tmp_path / "termination-log"
    environ = {"TERMINATION_LOG": str(log), "MODELSCOPE_API_TOKEN": TOKEN}
    with caplog.at_level("DEBUG"):
        code = main_stage(volume.spec(), environ, Settings(**QUICK))
    assert code == 1
    assert json.loads(log.read_text())["reason"] == "HubUnavailable"
    output = capfd.readouterr()
    for text in (caplog.text, output.out, output.err, log.read_text()):
        assert TOKEN not in text
        assert "Signature" not in text
