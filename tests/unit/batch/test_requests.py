"""What is asked of the server, and what its answers come to."""

from __future__ import annotations

import base64
import json
import math
import struct
from typing import Any

import pytest

from embedding_operator.batch.errors import BatchError
from embedding_operator.batch.prompts import form_of
from embedding_operator.batch.requests import Asking, WrongAnswerError, halved, words
from embedding_operator.batch.rows import Row

from .serving import job, rows

VL = {"servedName": "Qwen/Qwen3-VL-Embedding-8B"}
PLAIN = {"model": "tiny", "encoding_format": "base64"}

BODIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "text as it is": ({}, PLAIN | {"input": ["a", "b"]}),
    "an instruction": (
        {"instruction": "Find it"},
        PLAIN | {"input": ["Instruct: Find it\nQuery:a", "Instruct: Find it\nQuery:b"]},
    ),
    "the model's own format": (
        {"promptFormat": "Model", "model": VL},
        PLAIN
        | {
            "model": VL["servedName"],
            "input": [
                "<|im_start|>system\nRepresent the user's input.<|im_end|>\n<|im_start|>user\n"
                f"{text}<|im_end|>\n<|im_start|>assistant\n"
                for text in "ab"
            ],
            "add_special_tokens": False,
        },
    ),
    "the model's own format, by the weights' repository": (
        {
            "promptFormat": "Model",
            "instruction": "Find it",
            "model": {"servedName": "text", "source": "Qwen/Qwen3-Embedding-0.6B"},
        },
        PLAIN | {"model": "text", "input": ["Instruct: Find it\nQuery:a", "Instruct: Find it\nQuery:b"]},
    ),
    "shorter vectors": (
        {"output": {"root": "/o", "format": "Npy", "dimensions": 8}},
        PLAIN | {"input": ["a", "b"], "dimensions": 8},
    ),
    "cut where it is asked for": ({"truncate": True}, PLAIN | {"input": ["a", "b"], "truncate_prompt_tokens": -1}),
    "not where a format ends behind the text": (
        {"truncate": True, "promptFormat": "Model", "model": VL, "instruction": ""},
        PLAIN
        | {
            "model": VL["servedName"],
            "input": [
                f"<|im_start|>system\n<|im_end|>\n<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
                for text in "ab"
            ],
            "add_special_tokens": False,
        },
    ),
}


@pytest.mark.parametrize(("fields", "expected"), BODIES.values(), ids=BODIES.keys())
def test_the_body_of_texts(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    spec = job(**fields)
    assert json.loads(Asking(spec, form_of(spec)).body(rows(["a", "b"]))) == expected


def test_the_body_of_pairs() -> None:
    spec = job("Rerank", instruction="Judge", truncate=True)
    pairs = [Row(n, n, query=f"q{n}", document=f"d{n}") for n in range(2)]
    assert json.loads(Asking(spec, form_of(spec)).body(pairs)) == {
        "model": "tiny",
        "text_1": ["q0", "q1"],
        "text_2": ["d0", "d1"],
        "instruction": "Judge",
        "truncate_prompt_tokens": -1,
    }


def test_half_floats_are_asked_for_in_this_machines_words() -> None:
    spec = job(output={"root": "/o", "format": "Npy", "dtype": "Float16"})
    body = json.loads(Asking(spec, half=True).body(rows(["a"])))
    assert (body["embed_dtype"], body["endianness"]) == ("float16", "little")


def test_a_format_that_nobody_knows_is_refused() -> None:
    with pytest.raises(BatchError, match="no format of tiny is known here, but those of Qwen3-VL-Embedding and"):
        form_of(job(promptFormat="Model"))


def answer(*vectors: tuple[int, list[float]], kind: str = "f") -> bytes:
    data = [
        {"index": index, "embedding": base64.b64encode(struct.pack(f"<{len(one)}{kind}", *one)).decode()}
        for index, one in vectors
    ]
    return json.dumps({"object": "list", "data": data, "usage": {"prompt_tokens": 5}}).encode()


def test_vectors_come_in_the_order_of_the_rows() -> None:
    got = Asking(job()).answer(answer((1, [3.0]), (0, [1.0])), 2)
    assert got.values == [struct.pack("<f", 1.0), struct.pack("<f", 3.0)]
    assert got.tokens == 5


def test_an_old_servers_floats_are_halved_here() -> None:
    spec = job(output={"root": "/o", "format": "Npy", "dtype": "Float16"})
    (value,) = Asking(spec).answer(answer((0, [0.1, -2.0])), 1).values
    assert struct.unpack("<2e", value) == pytest.approx((0.1, -2.0), abs=1e-4)


def test_what_is_too_big_for_half_a_float_becomes_infinite() -> None:
    assert struct.unpack("<3e", halved(struct.pack("<3f", 1e6, -1e6, 1.0))) == (math.inf, -math.inf, 1.0)


WRONG = {
    "no JSON": (b"<html>", "is not what /v1/embeddings answers"),
    "no data": (b"{}", "missing required field `data`"),
    "numbers where base64 was asked for": (
        json.dumps({"data": [{"index": 0, "embedding": [1.0]}]}).encode(),
        "is not what",
    ),
    "too few": (answer((0, [1.0])), "1 results came back for 2 rows"),
    "the same twice": (answer((0, [1.0]), (0, [1.0])), "indexes are not those of the rows"),
    "another size": (answer((0, [1.0]), (1, [1.0, 2.0])), "a vector has 8 bytes, others of this job 4"),
}


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_answer_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(WrongAnswerError, match=message):
        Asking(job(), width=4).answer(content, 2)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b'{"error": {"message": "too\\nlong", "code": 400}}', "too long"),
        (b'{"error": "plain"}', "plain"),
        (b'{"detail": "Not Found"}', "Not Found"),
        (b"<html>Bad Gateway</html>", "<html>Bad Gateway</html>"),
        (b"", "no reason was given"),
        (b"x" * 1000, "x" * 499 + "…"),
    ],
)
def test_the_servers_words_are_a_line(content: bytes, line: str) -> None:
    assert words(content) == line


def test_a_row_costs_what_it_brings() -> None:
    plain = Asking(job())
    assert plain.cost(Row(0, 0, text="aä")) == plain.cost(Row(0, 0, text="aaa"))
    assert plain.cost(Row(0, 0, query="a", document="b")) == plain.cost(Row(0, 0, text="ab"))
    assert plain.cost(Row(0, 0, text="a", image="data:")) > plain.cost(Row(0, 0, text="a" * 4000))
