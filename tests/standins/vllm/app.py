"""The double's HTTP API as one ASGI application: routes, request checks and answers in vLLM's shapes."""

import asyncio
import base64
import json
import os
import signal
import struct
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from tests.standins.vllm import metrics
from tests.standins.vllm.answers import Answer, RequestError, bad_request, error_answer, malformed
from tests.standins.vllm.engine import Engine, EngineStoppedError
from tests.standins.vllm.model import Model


class Api:
    """An ASGI application."""

    def __init__(self, *, model: Model, names: list[str], engine: Engine, version: str, tracks_load: bool) -> None:
        self.model, self.names, self.engine, self.version = model, names, engine, version
        self.tracks_load = tracks_load
        self.knows_half = tuple(int(part) for part in version.split(".")[:2]) >= (0, 13)  # `embed_dtype`
        self.dies_at = b""
        """A text that ends the process, as a segmentation fault does, when its engine is given it."""
        self.load = 0
        self.created = int(time.time())
        self.http: Counter[tuple[str, str, str]] = Counter()
        self.routes: dict[str, dict[str, Callable[[bytes], Awaitable[Answer]]]] = {
            "/health": {"GET": self.health},
            "/ping": {"GET": self.health, "POST": self.health},
            "/version": {"GET": self.show_version},
            "/load": {"GET": self.show_load},
            "/metrics": {"GET": self.show_metrics},
            "/v1/models": {"GET": self.models},
            "/v1/rerank": {"POST": self.rerank},
            "/rerank": {"POST": self.rerank},
            "/v1/score": {"POST": self.score},
            "/score": {"POST": self.score},
            "/tokenize": {"POST": self.tokenize},
        }
        of_model = {"/classify": self.classify} if model.classes else {"/v1/embeddings": self.embeddings}
        self.routes |= {path: {"POST": handler} for path, handler in of_model.items()}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        path, method = scope["path"], scope["method"]
        answer = await self.unless_gone(receive, self.answer(path, method, body))
        if answer is None:  # the client is gone
            return
        if path not in metrics.NOT_COUNTED:
            handler = path if path in self.routes else "none"
            self.http[handler, method, f"{answer.status // 100}xx"] += 1
        content = answer.body()
        headers = [(b"content-length", b"%d" % len(content)), (b"content-type", answer.media_type.encode())]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    @staticmethod
    async def unless_gone(receive: Any, work: Awaitable[Answer]) -> Answer | None:
        """The answer; None when the client hung up first, which cancels the work."""
        working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(receive())
        try:
            await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else None
        finally:
            working.cancel()
            leaving.cancel()

    async def answer(self, path: str, method: str, body: bytes) -> Answer:
        if self.dies_at and self.dies_at in body and path != "/tokenize":
            os._exit(128 + signal.SIGSEGV)  # no signal: the first process of a container gets none from itself
        try:
            if path not in self.routes:  # these two are the web framework's answers, not vLLM's
                return Answer(404, {"detail": "Not Found"})
            if method not in self.routes[path]:
                return Answer(405, {"detail": "Method Not Allowed"})
            return await self.routes[path][method](body)
        except RequestError as error:
            return error_answer(error)
        except EngineStoppedError as error:
            return error_answer(RequestError(500, "InternalServerError", str(error)))

    async def health(self, body: bytes) -> Answer:
        return Answer()

    async def show_version(self, body: bytes) -> Answer:
        return Answer(content={"version": self.version})

    async def show_load(self, body: bytes) -> Answer:
        return Answer(content={"server_load": self.load if self.tracks_load else 0})

    async def show_metrics(self, body: bytes) -> Answer:
        return Answer(content=metrics.text(self.engine, self.names[0], self.http), media_type="text/plain")

    async def models(self, body: bytes) -> Answer:
        cards: list[dict[str, Any]] = [
            {
                "id": name, "object": "model", "created": self.created, "owned_by": "vllm",
                "root": self.model.path, "parent": None, "max_model_len": self.model.max_model_len,
                "permission": [],
            }
            for name in self.names
        ]  # fmt: skip
        return Answer(content={"object": "list", "data": cards})

    async def embeddings(self, body: bytes) -> Answer:
        request = self.request(body)
        inputs = self.inputs(request)
        dimensions = self.dimensions(request)
        if request.get("encoding_format", "float") not in ("float", "base64"):
            raise bad_request("the double knows encoding_format float and base64", "encoding_format")
        await self.work(inputs)
        vectors = [self.model.embed(tokens, dimensions) for tokens in inputs]
        if request.get("encoding_format") == "base64":
            kind = "e" if request.get("embed_dtype") == "float16" and self.knows_half else "f"
            data: list[Any] = [
                base64.b64encode(struct.pack(f"<{len(numbers)}{kind}", *numbers)).decode() for numbers in vectors
            ]
        else:
            data = vectors
        used = sum(len(tokens) for tokens in inputs)
        return Answer(
            content={
                "id": f"embd-{uuid.uuid4().hex}",
                "object": "list",
                "created": int(time.time()),
                "model": self.names[0],
                "data": [{"index": index, "object": "embedding", "embedding": item} for index, item in enumerate(data)],
                "usage": {
                    "prompt_tokens": used,
                    "total_tokens": used,
                    "completion_tokens": 0,
                    "prompt_tokens_details": None,
                },
            }
        )

    async def rerank(self, body: bytes) -> Answer:
        request = self.request(body)
        query, documents = request.get("query"), request.get("documents")
        if not isinstance(query, str) or not isinstance(documents, list) or not documents:
            raise malformed("query: a text, and documents: a list of texts, are required", "documents")
        await self.work([self.model.tokenize(f"{query} {document}") for document in documents])
        scores = [(self.model.score(query, document), index) for index, document in enumerate(documents)]
        best = sorted(scores, key=lambda scored: -scored[0])[: request.get("top_n") or len(documents)]
        return Answer(
            content={
                "id": f"score-{uuid.uuid4().hex}",
                "model": self.names[0],
                "results": [
                    {"index": index, "document": {"text": documents[index]}, "relevance_score": score}
                    for score, index in best
                ],
            }
        )

    async def score(self, body: bytes) -> Answer:
        request = self.request(body)
        sides = [
            request.get(one, request.get(other)) for one, other in (("text_1", "queries"), ("text_2", "documents"))
        ]
        left, right = ([side] if isinstance(side, str) else side for side in sides)
        if not isinstance(left, list) or not isinstance(right, list) or not left or len(left) not in (1, len(right)):
            raise malformed("queries and documents: one and many, or as many of each, are required", "queries")
        left = left * (len(right) // len(left))
        pairs = [
            self.truncated(self.model.tokenize(f"{query} {document}"), request.get("truncate_prompt_tokens"))
            for query, document in zip(left, right, strict=True)
        ]
        await self.work(pairs)
        scores = [self.model.score(query, document) for query, document in zip(left, right, strict=True)]
        used = sum(len(tokens) for tokens in pairs)
        return Answer(
            content={
                "id": f"score-{uuid.uuid4().hex}",
                "object": "list",
                "created": int(time.time()),
                "model": self.names[0],
                "data": [{"index": index, "object": "score", "score": score} for index, score in enumerate(scores)],
                "usage": {"prompt_tokens": used, "total_tokens": used},
            }
        )

    async def classify(self, body: bytes) -> Answer:
        inputs = self.inputs(self.request(body))
        await self.work(inputs)
        rows = [self.model.probabilities(tokens) for tokens in inputs]
        data = [
            {"index": index, "label": f"LABEL_{row.index(max(row))}", "probs": row, "num_classes": len(row)}
            for index, row in enumerate(rows)
        ]
        return Answer(content={"id": f"classify-{uuid.uuid4().hex}", "object": "list", "data": data})

    async def work(self, inputs: list[list[int]]) -> None:
        """Take the time that these inputs take."""
        self.load += 1
        try:
            await self.engine.run(inputs)
        finally:
            self.load -= 1

    async def tokenize(self, body: bytes) -> Answer:
        request = self.request(body)
        chat = "messages" in request
        prompt = chat_text(request) if chat else request.get("prompt")
        if not isinstance(prompt, str):
            raise malformed("prompt: a string is required", "prompt")
        tokens = self.model.tokenize(prompt, request.get("add_special_tokens", not chat))
        return Answer(
            content={
                "count": len(tokens),
                "max_model_len": self.model.max_model_len,
                "tokens": tokens,
                "token_strs": None,
            }
        )

    def request(self, body: bytes) -> dict[str, Any]:
        """The body, for a model that is served here."""
        try:
            request = json.loads(body)
        except ValueError as error:
            raise malformed(f"the body is not JSON: {error}") from error
        if not isinstance(request, dict):
            raise malformed("the body must be a JSON object")
        if request.get("model") not in (None, *self.names):
            message = f"The model `{request['model']}` does not exist."
            raise RequestError(404, "NotFoundError", message, "model")
        return request

    def inputs(self, request: dict[str, Any]) -> list[list[int]]:
        """Token lists of `input` (text, texts, tokens, token lists) or of `messages`."""
        chat = "messages" in request
        given: Any = [chat_text(request)] if chat else request.get("input")
        special = request.get("add_special_tokens", not chat)
        if isinstance(given, str) or (isinstance(given, list) and given and is_token(given[0])):
            given = [given]
        if not isinstance(given, list) or not given:
            raise malformed("input: a text, a list of texts, or lists of tokens are required", "input")
        inputs = []
        for item in given:
            if isinstance(item, list) and item and all(is_token(token) for token in item):
                tokens = item
            elif isinstance(item, str):
                tokens = self.model.tokenize(item, special)
            else:
                raise malformed("input: neither a text nor a list of tokens", "input")
            inputs.append(self.truncated(tokens, request.get("truncate_prompt_tokens")))
        return inputs

    def truncated(self, tokens: list[int], limit: int | None) -> list[int]:
        longest = self.model.max_model_len
        if limit is not None:
            return tokens[: longest if limit == -1 else limit]
        if len(tokens) > longest:
            raise bad_request(
                f"This model's maximum context length is {longest} tokens, the input has {len(tokens)}",
                "input_tokens",
            )
        return tokens

    def dimensions(self, request: dict[str, Any]) -> int | None:
        wanted: int | None = request.get("dimensions")
        if wanted is not None and not self.model.matryoshka:
            raise bad_request("the model does not support matryoshka representation, so no `dimensions`")
        if wanted is not None and not 0 < wanted <= self.model.hidden_size:
            raise bad_request(f"dimensions must be between 1 and {self.model.hidden_size}")
        return wanted


def is_token(item: Any) -> bool:
    return type(item) is int and item >= 0


def chat_text(request: dict[str, Any]) -> str:
    """A conversation in the form of Qwen's chat template; of what is no text the double sees nothing."""
    messages, text = request["messages"], ""
    for message in messages if isinstance(messages, list) else []:
        content = message.get("content", "")
        parts = [{"text": content}] if isinstance(content, str) else content
        said = "".join(part.get("text", "") for part in parts)
        text += f"<|im_start|>{message.get('role')}\n{said}<|im_end|>\n"
    if not text:
        raise malformed("messages: a list of messages is required", "messages")
    return text + ("<|im_start|>assistant\n" if request.get("add_generation_prompt") else "")
