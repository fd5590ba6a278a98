"""Only who has a key is let in, on every path but those of probes and scrapes; keys change without a lost request."""

import asyncio
import http.client
import json
from pathlib import Path
from typing import Any

import pytest

from embedding_operator.podscripts.keys import DIRECTORY, KeyFiles
from embedding_operator.podscripts.middleware import Middleware
from tests.standins.secretvolume import SecretVolume
from tests.unit.podscripts.conftest import Clock, Serve, json_app

pytestmark = pytest.mark.usefixtures("flag")


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SecretVolume:
    monkeypatch.setenv(DIRECTORY, str(tmp_path / "keys"))
    return SecretVolume(tmp_path / "keys", team_a="key-of-a\n", team_b="key-of-b")


@pytest.fixture
async def port(serve: Serve, secret: SecretVolume) -> int:
    return await serve(Middleware(json_app(200, b"{}")))


async def ask(port: int, path: str = "/v1/embeddings", method: str = "POST", **headers: str) -> tuple[int, Any, Any]:
    """Status, headers and body."""

    def exchange() -> tuple[int, Any, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, response.headers, json.loads(body or b"null")

    return await asyncio.to_thread(exchange)


async def status(port: int, key: str) -> int:
    return (await ask(port, Authorization=f"Bearer {key}"))[0]


async def until_refused(port: int, key: str) -> None:
    """Until the next look at the files; the test's own time limit ends a wait in vain."""
    while True:
        if await status(port, key) == 401:
            return
        await asyncio.sleep(0.05)


async def test_each_value_of_the_secret_is_a_key(port: int) -> None:
    assert [await status(port, key) for key in ("key-of-a", "key-of-b")] == [200, 200]
    assert (await ask(port, Authorization="bearer  key-of-a "))[0] == 200  # schemes have no case


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer key-of-"},
        {"Authorization": "Bearer key-of-ab"},
        {"Authorization": "Bearer team_a"},
        {"Authorization": "key-of-a"},
        {"Authorization": "Basic key-of-a"},
        {"X-Api-Key": "key-of-a"},
    ],
)
async def test_nobody_else_is_let_in(port: int, headers: dict[str, str]) -> None:
    code, told, body = await ask(port, **headers)
    assert code == 401
    assert told["www-authenticate"] == "Bearer"
    assert body["error"]["type"] == "AuthenticationError"
    assert body["error"]["code"] == 401
    assert body["error"]["message"].endswith("send the header `Authorization: Bearer KEY`")
    assert "key-of" not in json.dumps(body)


@pytest.mark.parametrize(
    "path", ["/v1/models", "/rerank", "/tokenize", "/version", "/docs", "/", "/healthy", "/metrics/x", "//health", "/-"]
)
async def test_every_other_path_is_guarded(port: int, path: str) -> None:
    assert (await ask(port, path, "GET"))[0] == 401
    assert (await ask(port, path, "GET", Authorization="Bearer key-of-a"))[0] == 200


@pytest.mark.parametrize("path", ["/health", "/metrics", "/-/ready", "/-/inflight", "/health?x=1"])
async def test_probes_and_scrapes_need_no_key(port: int, path: str) -> None:
    assert (await ask(port, path, "GET"))[0] == 200


async def test_a_browser_may_ask_without_a_key_what_it_may_send(port: int) -> None:
    assert (await ask(port, method="OPTIONS"))[0] == 200


async def test_keys_change_one_after_the_other_and_nothing_is_lost(port: int, secret: SecretVolume) -> None:
    secret.write(team_a="key-of-a", team_b="key-of-b", newcomer="key-of-c")
    # a key that is there counts at once, also right after the last look
    assert [await status(port, key) for key in ("key-of-c", "key-of-a", "key-of-b")] == [200, 200, 200]
    secret.write(newcomer="key-of-c")
    assert await status(port, "key-of-c") == 200
    await until_refused(port, "key-of-a")
    assert [await status(port, key) for key in ("key-of-a", "key-of-b", "key-of-c")] == [401, 401, 200]


@pytest.mark.parametrize("data", [{}, {"empty": ""}, {"blank": " \n"}, {"two_lines": "a\nb"}, {"binary": b"\xff\x00"}])
async def test_without_a_usable_key_nobody_is_let_in_and_the_log_says_so(
    port: int, secret: SecretVolume, capfd: pytest.CaptureFixture[str], data: dict[str, Any]
) -> None:
    secret.write(**data)
    sent = ["", "a", "b", "a\tb", "\xff"]
    assert [await status(port, key) for key in sent][-1] == 401
    await until_refused(port, "key-of-a")
    assert [await status(port, key) for key in sent] == [401] * len(sent)
    line = f"middleware: no API key in {secret.directory}, so nobody is let in: put one into the Secret"
    assert capfd.readouterr().err.count(line) == 1
    secret.write(again="key")
    assert await status(port, "key") == 200


async def test_a_secret_that_is_not_mounted_lets_nobody_in(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(DIRECTORY, str(tmp_path / "nowhere"))
    port = await serve(Middleware(json_app(200, b"{}")))
    assert [await status(port, key) for key in ("", "x")] == [401, 401]
    assert "cannot read the API keys" in capfd.readouterr().err


async def test_without_the_setting_everybody_is_let_in(serve: Serve) -> None:
    assert (await ask(await serve(Middleware(json_app(200, b"{}")))))[0] == 200


def test_the_files_are_looked_at_once_a_second_however_many_ask(secret: SecretVolume, clock: Clock) -> None:
    files = KeyFiles(secret.directory, clock)
    looked = files.looked
    clock.now += 0.9
    assert files.hold(b"key-of-a")
    assert files.looked == looked
    clock.now += 0.1
    assert files.hold(b"key-of-a")
    assert files.looked == clock.now


def test_in_the_middle_of_a_replacement_the_keys_before_it_count(secret: SecretVolume, clock: Clock) -> None:
    files = KeyFiles(secret.directory, clock)
    (secret.directory / "..data").unlink()
    clock.now += 5
    assert files.hold(b"key-of-a")


def test_no_key_is_kept_in_memory(secret: SecretVolume) -> None:
    assert b"key-of-a" not in str(vars(KeyFiles(secret.directory))).encode()


async def test_websockets_are_guarded_too(secret: SecretVolume) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})

    async def sent(key: bytes) -> str:
        messages: list[Any] = []

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            messages.append(message)

        scope = {"type": "websocket", "path": "/v1/realtime", "headers": [(b"authorization", b"Bearer " + key)]}
        await Middleware(app)(scope, receive, send)
        return str(messages[0]["type"])

    assert [await sent(key) for key in (b"key-of-a", b"other")] == ["websocket.accept", "websocket.close"]


async def test_a_server_starts_though_lifespans_have_no_key(secret: SecretVolume) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    await Middleware(app)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen == ["lifespan"]
