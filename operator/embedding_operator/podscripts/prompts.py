"""Part of the middleware: puts text into the model's prompt format, where the service asks for it.

vLLM puts a conversation (`messages`) into the format that the model was trained with, plain text (`input`) not. This
does it for text sent to /v1/embeddings, and names the service's instruction to a reranker where a request has none.
The format is in EMBEDDING_OPERATOR_PROMPT, so that it can be read in the pod's manifest; without it nothing is done.

What is no text (tokens, conversations, broken JSON) passes through as it came, for vLLM to judge. It must never let
text through in another format than was asked for: such vectors look right and spoil an index. What it cannot do
faithfully it refuses, with vLLM's own form of an error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any, Optional

from embedding_operator.podscripts.asgi import App, Message, Receive, Send, fail, own_path

Request = dict[str, Any]
Rewrite = Callable[[Request, Request], Optional[Request]]  # noqa: UP045  (evaluated, and Python 3.9 has no `|` of types)

SETTING = "EMBEDDING_OPERATOR_PROMPT"
# A body is held in memory here before anybody has looked at it; vLLM holds all of it too.
MAX_BODY = 64 << 20


class RefusedError(Exception):
    """Why a request cannot be put into the format, with its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def embedding(request: Request, prompt: dict[str, Any]) -> Request | None:
    """The request with its text in the model's format; None where it has no text."""
    given = request.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        return None
    if request.get("truncate_prompt_tokens") is not None:
        raise RefusedError(
            400,
            "truncate_prompt_tokens would cut the prompt format that this server puts around the text: leave it out "
            "and shorten the text",
        )
    wrapped = [f"{prompt['before']}{text}{prompt['after']}" for text in texts]
    changed = {**request, "input": wrapped[0] if isinstance(given, str) else wrapped}
    if not prompt["specialTokens"]:
        changed.setdefault("add_special_tokens", False)  # as vLLM does with `messages`
    return changed


def ranking(request: Request, prompt: dict[str, Any]) -> Request | None:
    """The request with the service's instruction; None where it brings its own, which also goes first in vLLM."""
    return None if request.get("instruction") is not None else {**request, "instruction": prompt["instruction"]}


EMBEDDING_PATHS = frozenset({"/v1/embeddings"})
RANKING_PATHS = frozenset({"/rerank", "/v1/rerank", "/v2/rerank", "/score", "/v1/score"})


class Prompts:
    """Innermost: who may not ask, or waits in vain, costs no reading of a body."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.prompt: dict[str, Any] = json.loads(os.environ.get(SETTING) or "{}")
        self.paths, self.rewrite = what_to_do(self.prompt)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope.get("method") != "POST" or own_path(scope) not in self.paths:
            await self.app(scope, receive, send)
            return
        try:
            body = await read_body(receive)
            if body is None:  # the client is gone
                return
            changed = self.rewritten(body)
        except RefusedError as error:
            await fail(send, error.status, "BadRequestError", str(error))
            return
        if changed is not None:
            scope, body = with_length(scope, len(changed)), changed
        await self.app(scope, replaying(body, receive), send)

    def rewritten(self, body: bytes) -> bytes | None:
        """The new body; None where the old one stays."""
        try:
            request = json.loads(body)
        except (ValueError, RecursionError):
            return None
        changed = self.rewrite(request, self.prompt) if isinstance(request, dict) else None
        return None if changed is None else json.dumps(changed).encode()


def what_to_do(prompt: dict[str, Any]) -> tuple[frozenset[str], Rewrite]:
    """On which paths, and what there."""
    if "before" in prompt:
        return EMBEDDING_PATHS, embedding
    return (RANKING_PATHS if "instruction" in prompt else frozenset()), ranking


async def read_body(receive: Receive) -> bytes | None:
    """The whole body; None when the client hung up before its end.

    One that is too big is read to its end as well, and not kept: see asgi.refuse.
    """
    body, size = bytearray(), 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size <= MAX_BODY:
            body += part
        else:
            body.clear()
        more = message.get("more_body", False)
    if size > MAX_BODY:
        raise RefusedError(413, f"a request may hold {MAX_BODY >> 20} MiB here: send fewer inputs at once")
    return bytes(body)


def replaying(body: bytes, receive: Receive) -> Receive:
    """`receive` that gives the body once more, then what really comes: the client's hang-up, say."""
    given = False

    async def replaying_receive() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replaying_receive


def with_length(scope: Message, length: int) -> Message:
    """The request's head, for a body of another length that comes in one piece."""
    replaced = (b"content-length", b"transfer-encoding")
    kept = [header for header in scope["headers"] if header[0].lower() not in replaced]
    return {**scope, "headers": [*kept, (b"content-length", str(length).encode())]}
