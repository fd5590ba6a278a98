"""A plain HTTP client for the contract tests: what it sends is what the test says."""

import http.client
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

TIMEOUT = 120


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Each request on a connection of its own, but inside `keeping()`."""

    port: int
    tls: ssl.SSLContext | None = None
    key: str = ""
    kept: http.client.HTTPConnection | None = field(default=None, init=False)

    def connect(self) -> http.client.HTTPConnection:
        if self.tls:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=TIMEOUT, context=self.tls)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)

    @contextmanager
    def keeping(self) -> Iterator[http.client.HTTPConnection]:
        self.kept = self.connect()
        try:
            yield self.kept
        finally:
            self.kept.close()
            self.kept = None

    def send(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        connection = self.kept or self.connect()
        try:
            authorization = {"Authorization": f"Bearer {self.key}"} if self.key else {}
            connection.request(method, path, body, authorization | (headers or {}))
            response = connection.getresponse()
            lower = {name.lower(): content for name, content in response.getheaders()}
            return Answer(response.status, lower, response.read())
        finally:
            if connection is not self.kept:
                connection.close()

    def get(self, path: str) -> Answer:
        return self.send("GET", path)

    def post(self, path: str, content: Any) -> Answer:
        return self.send("POST", path, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def embed(self, text: Any, **fields: Any) -> Answer:
        return self.post("/v1/embeddings", {"model": "tiny", "input": text, **fields})

    def vectors(self, text: Any, **fields: Any) -> list[list[float]]:
        answer = self.embed(text, **fields)
        assert answer.status == 200, answer.body
        return [item["embedding"] for item in answer.json["data"]]


def dot(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))
