"""`/-/live` fails a server that hangs, and none that is slow, idle, or only asked for what it refuses."""

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from embedding_operator.podscripts.liveness import Liveness, Progress
from tests.unit.podscripts.conftest import Clock, Serve, StartDouble, until
from tests.unit.podscripts.test_middleware import fetch

LIMIT = 300.0


# ---- what counts as waiting


@pytest.fixture
def progress(clock: Clock) -> Progress:
    return Progress(clock)


def test_requests_wait_from_the_first_of_them_on(progress: Progress, clock: Clock) -> None:
    clock.now += 9999  # nobody asks
    progress.begin()
    clock.now += 5
    progress.begin()
    clock.now += 5
    assert progress.waited() == 10


def test_what_is_completed_lets_all_others_begin_anew(progress: Progress, clock: Clock) -> None:
    progress.begin()
    other = progress.begin()
    clock.now += 200
    progress.seen()
    progress.ended(other)
    clock.now += 50
    assert progress.waited() == 50


def test_clients_that_give_up_and_come_again_wait_as_one(progress: Progress, clock: Clock) -> None:
    """Each for 60 s only: the server hangs all the same."""
    for _ in range(10):
        request = progress.begin()
        clock.now += 60
        progress.left(request)
    progress.begin()
    assert progress.waited() == 600


def test_time_in_which_nobody_waits_does_not_count(progress: Progress, clock: Clock) -> None:
    progress.left(progress.begin())
    clock.now += 9999
    request = progress.begin()
    clock.now += 1
    progress.left(request)
    assert progress.waited() == 0  # nobody waits now
    progress.begin()
    assert progress.waited() == 1


def test_clients_that_wait_together_are_counted_once(progress: Progress, clock: Clock) -> None:
    requests = [progress.begin() for _ in range(50)]
    clock.now += 60
    for request in requests:
        progress.left(request)
    progress.begin()
    assert progress.waited() == 60


def test_a_flood_of_requests_that_are_refused_is_no_hang(progress: Progress, clock: Clock) -> None:
    """One of them is always in flight, and none is ever completed."""
    for _ in range(10_000):
        first = progress.begin()
        clock.now += 0.5
        progress.ended(first)
    progress.begin()
    assert progress.waited() == 0


# ---- what the server says


class Engine:
    """An application that answers when it is told, and counts its steps where it has any."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[int] = asyncio.Queue()
        self.steps: list[int] | None = None
        self.asked = 0
        self.healthy = True

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/health":
            status, body = (200 if self.healthy else 503), b""
        elif scope["path"] == "/metrics":
            status, body = 200, self.metrics()
        elif scope["path"] == "/tokenize":
            status, body = 200, b"{}"
        else:
            self.asked += 1
            status, body = await self.answers.get(), b"{}"
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    def metrics(self) -> bytes:
        """Of which the last line moves though nothing gets on."""
        steps = self.steps or [0]
        step = steps.pop(0) if len(steps) > 1 else steps[0]
        http_requests = f"http_requests_total {self.asked}\n"
        return (http_requests if self.steps is None else f"vllm:prompt_tokens_total {step}\n{http_requests}").encode()


def said(words: Path) -> str:
    return words.read_text()


class Watched:
    """An engine behind the part, with a clock of its own."""

    def __init__(self, port: int, engine: Engine, clock: Clock) -> None:
        self.port, self.engine, self.clock = port, engine, clock

    async def post(self, path: str = "/v1/embeddings") -> "asyncio.Task[Any]":
        """A request that has reached the engine."""
        before = self.engine.asked
        task = asyncio.create_task(fetch(self.port, path, "POST"))
        await until(lambda: self.engine.asked > before)
        return task

    async def live(self) -> int:
        status: int = (await fetch(self.port, "/-/live")).status
        return status


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMBEDDING_OPERATOR_TERMINATION_LOG", str(tmp_path / "words"))
    return tmp_path / "words"


@pytest.fixture
async def watched(serve: Serve, clock: Clock, words: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setenv("EMBEDDING_OPERATOR_HANG_SECONDS", str(LIMIT))
    engine = Engine()
    part = Liveness(engine)
    part.progress = Progress(clock)
    return Watched(await serve(part), engine, clock)


async def test_a_server_that_completes_nothing_fails_and_says_why_until_it_does(watched: Watched, words: Path) -> None:
    first, second = await watched.post(), await watched.post()
    watched.clock.now += LIMIT
    assert await watched.live() == 200  # not yet
    watched.clock.now += 1
    assert await watched.live() == 503
    assert said(words) == "embedding-operator live: hung: 2 requests in flight, none completed for 301 s"
    watched.engine.answers.put_nowait(200)
    await asyncio.wait([first, second], return_when=asyncio.FIRST_COMPLETED)
    assert await watched.live() == 200
    assert said(words) == ""  # if it ends now, it is for another reason
    watched.engine.answers.put_nowait(200)
    await asyncio.gather(first, second)


async def test_an_engine_that_makes_steps_is_alive_however_long_its_request_takes(watched: Watched) -> None:
    watched.engine.steps = list(range(100))
    task = await watched.post()
    for _ in range(20):
        watched.clock.now += 100
        assert await watched.live() == 200
    watched.engine.steps = [1000]  # and from now on the same
    for _ in range(5):
        watched.clock.now += 100
        last = await watched.live()
    assert last == 503
    watched.engine.answers.put_nowait(200)
    await task


@pytest.mark.parametrize("status", [400, 500])
async def test_an_answer_that_is_no_success_is_no_sign_of_progress(watched: Watched, status: int) -> None:
    waiting = await watched.post()
    watched.clock.now += LIMIT + 1
    refused = await watched.post()
    watched.engine.answers.put_nowait(status)
    await asyncio.wait([waiting, refused], return_when=asyncio.FIRST_COMPLETED)
    watched.clock.now += LIMIT + 1
    assert await watched.live() == 503
    watched.engine.answers.put_nowait(200)
    await asyncio.gather(waiting, refused)


async def test_what_the_engine_has_no_part_in_says_nothing_about_it(watched: Watched) -> None:
    task = await watched.post()
    watched.clock.now += LIMIT + 1
    assert (await fetch(watched.port, "/tokenize", "POST")).status == 200
    assert await watched.live() == 503
    watched.engine.answers.put_nowait(200)
    await task


async def test_a_dead_engine_is_what_health_says(watched: Watched) -> None:
    assert await watched.live() == 200
    watched.engine.healthy = False
    assert await watched.live() == 503


@pytest.mark.parametrize("setting", ["0", "-1"])
async def test_it_can_be_turned_off(
    serve: Serve, clock: Clock, words: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setenv("EMBEDDING_OPERATOR_HANG_SECONDS", setting)
    engine = Engine()
    part = Liveness(engine)
    part.progress = Progress(clock)
    watched = Watched(await serve(part), engine, clock)
    task = await watched.post()
    clock.now += 1e6
    assert await watched.live() == 200
    engine.answers.put_nowait(200)
    await task


@pytest.mark.parametrize("setting", [None, "five minutes"])
def test_five_minutes_where_nothing_or_nonsense_is_said(setting: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMBEDDING_OPERATOR_HANG_SECONDS", raising=False)
    if setting is not None:
        monkeypatch.setenv("EMBEDDING_OPERATOR_HANG_SECONDS", setting)
    assert Liveness(Engine()).limit == 300


# ---- with a whole server


def post(url: str, timeout: float) -> str:
    body = json.dumps({"model": "tiny", "input": "x"}).encode()
    request = urllib.request.Request(f"{url}/v1/embeddings", data=body, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return str(answer.status)
    except (urllib.error.URLError, OSError) as error:
        return type(error).__name__


async def test_a_hung_server_fails_its_liveness_and_is_not_waited_for_by_a_drain(
    double: StartDouble, tmp_path: Path
) -> None:
    words = tmp_path / "last-words"
    variables = {
        "VLLM_DOUBLE_HANGS_AFTER": "1",
        "EMBEDDING_OPERATOR_HANG_SECONDS": "0.5",
        "EMBEDDING_OPERATOR_TERMINATION_LOG": str(words),
    }
    with double(**variables) as server:
        assert post(server.url, 30) == "200"
        hanging = asyncio.create_task(asyncio.to_thread(post, server.url, 60))
        while (await fetch(server.port, "/-/live")).status != 503:  # noqa: ASYNC110 - it is the server that waits
            await asyncio.sleep(0.05)
        assert (await fetch(server.port, "/health")).status == 200  # which is all that vLLM would say
        await until(words.exists)
        assert "1 requests in flight, none completed" in said(words)
        drained = await asyncio.to_thread(
            server.run_script, "drain", "--port", str(server.port), "--settle", "0", "--timeout", "3600"
        )
        assert "nothing to drain: 1 requests are in flight, but the engine hangs or is dead" in drained.stdout
        server.kill()
        await hanging
