"""The first requests to a server: what it can, and whether text reaches its model as this job means it to.

Half floats are found out by asking for them. A server may put text into a prompt format of its own (a service with
`serving.promptFormat: Model`), which nothing on the wire tells; but lists of tokens it passes on as they are. So a
text in this job's form, as tokens, is what all text is held against: such vectors look right and spoil an index.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

import msgspec

from .errors import BatchError
from .jobspec import JobSpec
from .persistence import Persistent
from .prompts import form_of
from .requests import EMBEDDINGS, Asking, WrongAnswerError, unfit, words
from .rows import Row
from .server import Reply

TEXT = "An otter floats on its back and cracks a mussel upon a stone."
SAME = 0.999
"""Cosine of two vectors of one text; of a text with and without its prompt it is far less."""


@dataclass(frozen=True, slots=True)
class Met:
    """How to ask this server, and a request that it has answered."""

    asking: Asking
    probe: bytes


async def meet(job: JobSpec, line: Persistent) -> Met:
    """Ask a server for what the job will ask of it. Raises BatchError where it cannot do that."""
    if job.task == "Rerank":
        asking = Asking(job)
        probe = asking.body([Row(0, 0, query="otter", document=TEXT)])
        _values(asking, await line.reply(asking.path, probe, "the first request"))
        return Met(asking, probe)
    return await _embedding(job, line)


async def _embedding(job: JobSpec, line: Persistent) -> Met:
    form = form_of(job)
    plain = Asking(job.model_copy(update={"truncate": False}), form)
    vector = await _vector(line, plain, [form.around(TEXT)])
    wanted = job.output.dimensions
    if wanted is not None and len(vector) != 4 * wanted:
        raise unfit(job, f"output.dimensions is {wanted}, and its vectors have {len(vector) // 4}")
    if (tokens := await tokens_of(line, plain, TEXT)) is not None:
        meant = await _vector(line, plain, [tokens])
        if cosine(vector, meant) < SAME:
            form = replace(form, by_server=True)
            if cosine(await _vector(line, replace(plain, form=form), [TEXT]), meant) < SAME:
                raise BatchError(
                    "Refused",
                    f"{line.server.url} puts text into a prompt format of its own, and not into this job's: write "
                    "spec.instruction as the service's spec.serving.instruction; where its prompt format was changed, "
                    "make the job again",
                )
    half = plain.wants_half and await _gives_half(line, replace(plain, form=form, half=True), len(vector))
    asking = Asking(job, form, half=half, width=len(vector) // (2 if plain.wants_half else 1))
    return Met(asking, asking.body([Row(0, 0, text=TEXT)]))


async def _gives_half(line: Persistent, asking: Asking, width: int) -> bool:
    """Releases that do not know the field ignore it."""
    reply = await line.reply(EMBEDDINGS, asking.body([Row(0, 0, text=TEXT)]), "the first request")
    return reply.status == HTTPStatus.OK and len(_values(asking, reply)[0]) == width // 2


async def _vector(line: Persistent, asking: Asking, texts: list[Any]) -> bytes:
    """Of one text or list of tokens, in float32."""
    whole = asking.job.model_copy(update={"output": asking.job.output.model_copy(update={"dtype": "Float32"})})
    asking = replace(asking, job=whole)
    return _values(asking, await line.reply(EMBEDDINGS, asking.texts(texts), "the first request"))[0]


def _values(asking: Asking, reply: Reply) -> list[bytes]:
    if reply.status != HTTPStatus.OK:
        raise unfit(asking.job, words(reply.content))
    try:
        return asking.answer(reply.content, 1).values
    except WrongAnswerError as error:
        raise unfit(asking.job, str(error)) from None


class _Tokens(msgspec.Struct):
    tokens: list[int]
    max_model_len: int


async def tokens_of(line: Persistent, asking: Asking, text: str) -> list[int] | None:
    """A text in this job's form, as tokens; None where the way to the server leads to /v1 only."""
    told = await tokenized(line, asking, text)
    return None if told is None else told.tokens


async def tokenized(line: Persistent, asking: Asking, text: str) -> _Tokens | None:
    """The same, with how many there may be."""
    form = asking.form
    request = {
        "model": asking.job.model.served_name,
        "prompt": f"{form.before}{text}{form.after}",
        "add_special_tokens": form.special_tokens,
    }
    try:
        reply = await line.reply("/tokenize", msgspec.json.encode(request), "the first request")
        return msgspec.json.decode(reply.content, type=_Tokens) if reply.status == HTTPStatus.OK else None
    except (BatchError, msgspec.DecodeError):
        return None


def cosine(left: bytes, right: bytes) -> float:
    """Of two vectors in float32."""
    one, other = (struct.unpack(f"<{len(side) // 4}f", side) for side in (left, right))
    if len(one) != len(other):
        return 0.0
    size = math.sqrt(math.fsum(x * x for x in one) * math.fsum(x * x for x in other))
    return math.fsum(x * y for x, y in zip(one, other, strict=True)) / size if size else 0.0
