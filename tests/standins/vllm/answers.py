"""What the double answers, and how vLLM words what it refuses."""

import http
import json
from typing import Any, NamedTuple


class RequestError(Exception):
    """A request that vLLM refuses, with the error object's fields."""

    def __init__(self, status: int, kind: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.kind, self.param = status, kind, param


def malformed(message: str, param: str | None = None) -> RequestError:
    """Refused by the request's schema, before the server looks at it; vLLM names that another way."""
    return RequestError(400, http.HTTPStatus.BAD_REQUEST.phrase, message, param)


def bad_request(message: str, param: str | None = None) -> RequestError:
    return RequestError(400, "BadRequestError", message, param)


class Answer(NamedTuple):
    status: int = 200
    content: Any = None  # JSON, or text for /metrics
    media_type: str = "application/json"

    def body(self) -> bytes:
        if self.content is None:
            return b""
        return self.content.encode() if isinstance(self.content, str) else json.dumps(self.content).encode()


def error_answer(error: RequestError) -> Answer:
    fields = {"message": str(error), "type": error.kind, "param": error.param, "code": error.status}
    return Answer(error.status, {"error": fields})
