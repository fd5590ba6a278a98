"""The prompt middleware puts text into the model's format, whole or not at all, and touches nothing else."""

import asyncio
import http.client
import json
from collections.abc import Iterable
from typing import Any

import pytest

from embedding_operator.podscripts import prompts
from embedding_operator.podscripts.prompts import Prompts
from tests.unit.podscripts.conftest import Serve, until

FORMAT = {"before": "<s>Be brief.\n", "after": "</s>\n", "specialTokens": False}
QUERY = {"before": "Instruct: X\nQuery:", "after": "", "specialTokens": True}
RANKING = {"instruction": "Judge."}


class Server:
    """What vLLM would be given: it remembers each body and head, and answers."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.heads: list[dict[str, str]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        assert not message.get("more_body")
        self.bodies.append(message["body"])
        self.heads.append({name.decode().lower(): value.decode() for name, value in scope["headers"]})
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"answered"})


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A server behind the middleware with these settings."""

    def made(settings: dict[str, Any]) -> tuple[Server, Prompts]:
        monkeypatch.setenv(prompts.SETTING, json.dumps(settings))
        server = Server()
        return server, Prompts(app=server)

    return made


async def post(port: int, body: bytes | Iterable[bytes], path: str = "/v1/embeddings") -> tuple[int, bytes]:
    def ask() -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.status, response.read()
        connection.close()
        return answer

    return await asyncio.to_thread(ask)


@pytest.mark.parametrize(
    ("settings", "given", "expected"),
    [
        (FORMAT, {"input": "hello"}, {"input": "<s>Be brief.\nhello</s>\n", "add_special_tokens": False}),
        (
            FORMAT,
            {"model": "m", "input": ["a", ""], "dimensions": 64},
            {
                "model": "m",
                "input": ["<s>Be brief.\na</s>\n", "<s>Be brief.\n</s>\n"],
                "dimensions": 64,
                "add_special_tokens": False,
            },
        ),
        (
            FORMAT,
            {"input": "你好 😀 </s> {0} \ud800", "add_special_tokens": True, "truncate_prompt_tokens": None},
            {
                "input": "<s>Be brief.\n你好 😀 </s> {0} \ud800</s>\n",
                "add_special_tokens": True,
                "truncate_prompt_tokens": None,
            },
        ),
        (QUERY, {"input": ["hello"]}, {"input": ["Instruct: X\nQuery:hello"]}),
    ],
)
async def test_text_is_put_into_the_format(
    serve: Serve, told: Any, settings: dict[str, Any], given: Any, expected: Any
) -> None:
    server, app = told(settings)
    assert await post(await serve(app), json.dumps(given).encode()) == (200, b"answered")
    assert json.loads(server.bodies[0]) == expected
    assert server.heads[0]["content-length"] == str(len(server.bodies[0]))
    assert server.heads[0]["content-type"] == "application/json"


@pytest.mark.parametrize(
    "body",
    [
        b'{"messages": [{"role": "user", "content": "hello"}]}',
        b'{ "input":[1,2] }',
        b'{"input": [[1, 2], [3]]}',
        b'{"input": ["a", 1]}',
        b'{"input": [{"role": "user", "content": "hello"}]}',
        b'{"input": []}',
        b'{"input": null}',
        b'{"input": [1], "truncate_prompt_tokens": 3}',
        b"{}",
        b"[]",
        b'"input"',
        b'{"input": ',
        b"\xff\x00",
        b"",
        b"[" * 100_000,
    ],
)
async def test_what_is_no_text_passes_as_it_came(serve: Serve, told: Any, body: bytes) -> None:
    server, app = told(FORMAT)
    assert await post(await serve(app), body) == (200, b"answered")
    assert server.bodies == [body]


@pytest.mark.parametrize("path", ["/v1/rerank", "/pooling", "/v1/embeddings/", "/x/v1/embeddings"])
async def test_other_paths_are_not_looked_at(serve: Serve, told: Any, path: str) -> None:
    server, app = told(FORMAT)
    body = b'{"input": "hello"}'
    await post(await serve(app), body, path)
    assert server.bodies == [body]


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank", "/v2/rerank", "/score", "/v1/score"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [({"query": "q"}, "Judge."), ({"instruction": None}, "Judge."), ({"instruction": "Own."}, "Own.")],
)
async def test_a_ranking_without_an_instruction_gets_the_services(
    serve: Serve, told: Any, path: str, given: dict[str, Any], expected: str
) -> None:
    server, app = told(RANKING)
    await post(await serve(app), json.dumps(given).encode(), path)
    assert json.loads(server.bodies[0]) == given | {"instruction": expected}


async def test_a_truncation_that_would_cut_the_format_is_refused(serve: Serve, told: Any) -> None:
    server, app = told(FORMAT)
    status, body = await post(await serve(app), b'{"input": "hello", "truncate_prompt_tokens": -1}')
    error = json.loads(body)["error"]
    assert (status, error["code"], error["type"]) == (400, 400, "BadRequestError")
    assert error["message"].endswith("leave it out and shorten the text")
    assert server.bodies == []


async def test_a_body_without_end_is_refused_and_not_kept(
    serve: Serve, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompts, "MAX_BODY", 1 << 20)
    server, app = told(FORMAT)
    status, body = await post(await serve(app), b'{"input": "' + b"x" * (1 << 20) + b'"}')
    assert (status, json.loads(body)["error"]["message"]) == (
        413,
        "a request may hold 1 MiB here: send fewer inputs at once",
    )
    assert server.bodies == []


async def test_the_whole_body_is_read_before_a_refusal(told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a connection that the answer closes is reset while its client still sends, and the answer is lost."""
    monkeypatch.setattr(prompts, "MAX_BODY", 10)
    server, app = told(FORMAT)
    piece = {"type": "http.request", "body": b"x" * 8, "more_body": True}
    parts = iter([*[piece] * 5, {"type": "http.request"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(parts)

    async def send(message: Any) -> None:
        assert next(parts, None) is None
        sent.append(message)

    await app({"type": "http", "method": "POST", "path": "/v1/embeddings", "headers": []}, receive, send)
    assert sent[0]["status"] == 413
    assert server.bodies == []


async def test_a_body_that_comes_in_pieces_is_read_to_its_end(told: Any) -> None:
    server, app = told(FORMAT)
    pieces = [b'{"inp', b'ut": "hel', b'lo"}']
    messages = [{"type": "http.request", "body": piece, "more_body": place < 2} for place, piece in enumerate(pieces)]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/root/v1/embeddings",
        "root_path": "/root",
        "headers": [(b"Transfer-Encoding", b"chunked")],
    }
    await app(scope, receive, send)
    assert json.loads(server.bodies[0])["input"] == "<s>Be brief.\nhello</s>\n"
    assert server.heads == [{"content-length": str(len(server.bodies[0]))}]
    assert sent[0]["status"] == 200


async def test_a_client_that_leaves_in_the_middle_costs_the_server_nothing(told: Any) -> None:
    server, app = told(FORMAT)
    messages = [{"type": "http.request", "body": b'{"in', "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        raise AssertionError("nobody is there to be answered")

    scope = {"type": "http", "method": "POST", "path": "/v1/embeddings", "headers": []}
    await app(scope, receive, send)
    assert server.bodies == []


async def test_a_client_that_hangs_up_is_heard_of_behind_it(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(prompts.SETTING, json.dumps(FORMAT))
    heard: list[str] = []

    async def listening(scope: Any, receive: Any, send: Any) -> None:
        while not heard or heard[-1] != "http.disconnect":
            heard.append((await receive())["type"])

    port = await serve(Prompts(listening))
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    body = b'{"input": "hello"}'
    writer.write(b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    await until(lambda: heard == ["http.request"])
    writer.close()
    await until(lambda: heard == ["http.request", "http.disconnect"])


async def test_without_a_setting_nothing_is_done(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(prompts.SETTING, raising=False)
    server = Server()
    port = await serve(Prompts(server))
    body = b'{"input": "hello"}'
    for path in ("/v1/embeddings", "/v1/rerank"):
        await post(port, body, path)
    assert server.bodies == [body, body]


async def test_what_is_no_request_passes(told: Any) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    _, middleware = told(FORMAT)
    middleware.app = app
    await middleware({"type": "lifespan"}, None, None)
    assert seen == ["lifespan"]


def test_a_setting_that_cannot_be_read_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the server would pass on text in another format than was asked for."""
    monkeypatch.setenv(prompts.SETTING, "{")
    with pytest.raises(ValueError, match="Expecting"):
        Prompts(Server())
