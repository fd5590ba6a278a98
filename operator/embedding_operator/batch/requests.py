"""What is asked of a vLLM server, and what its answers hold: rows become JSON, and JSON becomes the bytes of values.

Pure. Vectors come as base64, the fastest of vLLM's encodings as a whole: its `bytes` spare the client little and cost
the server a hop between threads for every vector. No number of a vector becomes a Python float on its way, but where
an old server has no half floats.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from .errors import BatchError
from .jobspec import JobSpec
from .prompts import PLAIN, Form
from .rows import Row

EMBEDDINGS = "/v1/embeddings"
SCORES = "/score"
# Of a row beside its text: special tokens, in the estimate of what it costs.
ROW_BYTES = 8
# What an image comes to, before the server has told; a tile of 16 x 16 pixels, merged by four, is a token.
IMAGE_BYTES = 4096


class WrongAnswerError(Exception):
    """An answer of another shape than this API's, or than this job's."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for some rows, in their order."""

    values: list[bytes]
    tokens: int


class _Item(msgspec.Struct):
    index: int
    embedding: bytes  # msgspec reads base64


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0


class _Embeddings(msgspec.Struct):
    data: list[_Item]
    usage: _Usage = msgspec.field(default_factory=_Usage)


class _Score(msgspec.Struct):
    index: int
    score: float


class _Scores(msgspec.Struct):
    data: list[_Score]
    usage: _Usage = msgspec.field(default_factory=_Usage)


_encode = msgspec.json.Encoder().encode
_embeddings = msgspec.json.Decoder(_Embeddings).decode
_scores = msgspec.json.Decoder(_Scores).decode


@dataclass(frozen=True, slots=True)
class Asking:
    """How this server is asked for what this job wants."""

    job: JobSpec
    form: Form = PLAIN
    half: bool = False
    """The server gives half floats, and they are asked for."""
    width: int | None = None
    """Bytes of the values of a row, once that is known."""

    @property
    def path(self) -> str:
        return SCORES if self.job.task == "Rerank" else EMBEDDINGS

    @property
    def cuts(self) -> bool:
        """Whether the server may shorten a text that is too long: it would cut off what stands behind it."""
        return self.job.truncate and not self.form.after and not self.form.by_server

    def body(self, rows: Sequence[Row]) -> bytes:
        """The request for these rows: any number with text, or one with an image."""
        if self.job.task == "Rerank":
            return _encode(self._scoring(rows))
        if rows[0].image is not None:
            (row,) = rows
            return _encode(self._common() | {"messages": self._messages(row), "add_generation_prompt": True})
        form = self.form
        texts = [row.text for row in rows] if form is PLAIN else [form.around(row.text or "") for row in rows]
        return self.texts(texts)

    def texts(self, texts: Sequence[Any]) -> bytes:
        """The same for texts as they are, or lists of tokens."""
        request = self._common() | {"input": texts}
        if not self.form.special_tokens and not self.form.by_server:
            request["add_special_tokens"] = False
        return _encode(request)

    def answer(self, content: bytes, rows: int) -> Answer:
        """What the server gave for so many rows."""
        try:
            if self.job.task == "Rerank":
                scores = _scores(content)
                return Answer([struct.pack("<f", one.score) for one in ordered(scores.data, rows)], _used(scores))
            given = _embeddings(content)
        except (msgspec.DecodeError, OverflowError) as error:
            raise WrongAnswerError(f"an answer is not what {self.path} answers: {error}") from None
        values = [one.embedding for one in ordered(given.data, rows)]
        if self.wants_half and not self.half:
            values = [halved(value) for value in values]
        return Answer([self._checked(value) for value in values], _used(given))

    @property
    def wants_half(self) -> bool:
        return self.job.task == "Embed" and self.job.output.dtype == "Float16"

    def cost(self, row: Row) -> int:
        """A row's size in bytes, before anybody has counted its tokens."""
        size = ROW_BYTES + len(self.form.before) + len(self.form.after)
        for text in (row.text, row.query, row.document):
            if text is not None:
                size += len(text) if text.isascii() else len(text.encode(errors="replace"))
        return size + (IMAGE_BYTES if row.image is not None else 0)

    def _common(self) -> dict[str, Any]:
        fields: dict[str, Any] = {"model": self.job.model.served_name, "encoding_format": "base64"}
        if self.half:
            fields |= {"embed_dtype": "float16", "endianness": "little"}
        if self.job.output.dimensions is not None:
            fields["dimensions"] = self.job.output.dimensions
        if self.cuts:
            fields["truncate_prompt_tokens"] = -1
        return fields

    def _scoring(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Pairs are named as all releases take them: the first of these with the first of those, and so on."""
        fields: dict[str, Any] = {
            "model": self.job.model.served_name,
            "text_1": [row.query for row in rows],
            "text_2": [row.document for row in rows],
        }
        if self.job.instruction is not None:
            fields["instruction"] = self.job.instruction
        if self.job.truncate:
            fields["truncate_prompt_tokens"] = -1
        return fields

    def _messages(self, row: Row) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": row.image}}]
        if row.text:
            parts.append({"type": "text", "text": row.text})
        said = self.form.instruction
        system = [{"role": "system", "content": [{"type": "text", "text": said}]}] if said is not None else []
        return [*system, {"role": "user", "content": parts}]

    def _checked(self, value: bytes) -> bytes:
        if self.width is not None and len(value) != self.width:
            raise WrongAnswerError(f"a vector has {len(value)} bytes, others of this job {self.width}")
        return value


def ordered(items: Sequence[Any], count: int) -> Sequence[Any]:
    """By their index, which says to which row each belongs."""
    if len(items) != count:
        raise WrongAnswerError(f"{len(items)} results came back for {count} rows")
    if any(item.index != place for place, item in enumerate(items)):
        items = sorted(items, key=lambda item: int(item.index))
        if any(item.index != place for place, item in enumerate(items)):
            raise WrongAnswerError("the results' indexes are not those of the rows")
    return items


def halved(value: bytes) -> bytes:
    """Float32 as float16, where the server cannot; what is too big becomes infinite, as it does there."""
    numbers = struct.unpack(f"<{len(value) // 4}f", value)
    try:
        return struct.pack(f"<{len(numbers)}e", *numbers)
    except OverflowError:
        limit = 65504.0
        bounded = [number if abs(number) <= limit else math.copysign(math.inf, number) for number in numbers]
        return struct.pack(f"<{len(numbers)}e", *bounded)


def words(content: bytes) -> str:
    """Why a request was refused, as the server tells it, in one line."""
    try:
        told: Any = msgspec.json.decode(content)
    except msgspec.DecodeError:
        told = content.decode(errors="replace")
    if isinstance(told, dict):
        error = told.get("error", told)
        told = (error.get("message") or error.get("detail")) if isinstance(error, dict) else error
    line = " ".join(str(told or "no reason was given").split())
    return line if len(line) <= 500 else f"{line[:499]}…"


def unfit(job: JobSpec, what: str) -> BatchError:
    """The server cannot do what the job asks for, whichever row it is."""
    return BatchError("Refused", f"the server of {job.model.served_name} refuses what this job asks for: {what}")


def _used(answer: _Embeddings | _Scores) -> int:
    return answer.usage.prompt_tokens
