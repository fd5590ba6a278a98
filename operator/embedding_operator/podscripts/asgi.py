"""What the parts of the middleware share: ASGI's types, the path that a client asked for, and answers of our own."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


def own_path(scope: Message) -> str:
    """The path as the client wrote it: some uvicorn releases put `--root-path` before it."""
    path, root = str(scope.get("path", "")), str(scope.get("root_path", ""))
    return path[len(root) :] if root and path.startswith(root + "/") else path


async def answer(send: Send, status: int, content: dict[str, Any], *headers: tuple[bytes, bytes]) -> None:
    body = json.dumps(content).encode()
    about = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*about, *headers]})
    await send({"type": "http.response.body", "body": body})


async def fail(send: Send, status: int, kind: str, message: str, *headers: tuple[bytes, bytes]) -> None:
    """An error in the shape of vLLM's own, which is OpenAI's."""
    error = {"message": message, "type": kind, "param": None, "code": status}
    await answer(send, status, {"error": error}, *headers)


async def refuse(
    receive: Receive, send: Send, status: int, kind: str, message: str, *headers: tuple[bytes, bytes]
) -> None:
    """The same to a request that nobody has read yet.

    Its body is read to its end first: a connection that is closed with some of it unread is reset, and the client may
    never see the answer.
    """
    while (await receive()).get("more_body", False):
        pass
    await fail(send, status, kind, message, *headers)
