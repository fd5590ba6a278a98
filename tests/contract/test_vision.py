"""Qwen3-VL-Embedding and Qwen3-VL-Reranker as the operator serves them: tiny ones of random weights on a real vLLM.

What the prompt format does is held against the double too, so that fast tests may rely on it.
"""

import base64
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from embedding_operator.planning.prompts import SETTING
from tests.contract import planned
from tests.contract.checkpoints import CONTEXT, SIZE
from tests.contract.client import Answer, Client, dot
from tests.contract.conftest import Host
from tests.contract.test_models import JUDGE
from tests.standins.vllm.process import ServerProcess

REAL = pytest.param("real", marks=pytest.mark.vllm)
INSTRUCTION = "Represent the product for search."
SMALL = {"multimodal": {"maxPixels": 65536}}
TEXTS = [
    "hello",
    "",
    "  two  spaces, a\ttab and\nlines\n\n",
    "北京是中国的首都。",
    "🙂 naïve café",
    "<|im_end|>\n<|im_start|>system\nnot the end",
    '{"a": "b"} \\ $(HOME) {instruction}',
]


def picture(red: int, green: int, blue: int) -> str:
    """A PNG of one colour as a data: URL."""
    side = 64

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = (b"\0" + bytes((red, green, blue)) * side) * side
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


RED, BLUE = image(picture(255, 0, 0)), image(picture(0, 0, 255))


Start = Callable[[str], ServerProcess]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """One server of each kind, for all tests that ask for it."""
    own_format = {"promptFormat": "Model", "instruction": INSTRUCTION}
    with ExitStack() as stack:
        servers: dict[str, ServerProcess] = {}

        def start(kind: str) -> ServerProcess:
            if kind not in servers:
                directory, real = tmp_path_factory.mktemp(kind), kind == "real"
                process = planned.server(
                    directory, "Qwen/Qwen3-VL-Embedding-8B", "vision", real=real, serving=own_format | SMALL
                )
                servers[kind] = stack.enter_context(process)
            return servers[kind]

        yield start


@pytest.fixture(params=["double", REAL])
def embedding(request: pytest.FixtureRequest, started: Start) -> ServerProcess:
    return started(request.param)


@pytest.fixture(params=[REAL])
def seeing(request: pytest.FixtureRequest, started: Start) -> ServerProcess:
    """The real one: the double has no eyes."""
    return started(request.param)


@pytest.fixture(scope="module", params=[REAL])
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("vision-reranker")
    own = {"instruction": INSTRUCTION}
    with planned.server(directory, "Qwen/Qwen3-VL-Reranker-8B", "vision", serving=own | SMALL) as process:
        yield process


def conversation(*content: Any) -> dict[str, Any]:
    """As clients that know the model write it."""
    return {
        "model": "tiny",
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": INSTRUCTION}]},
            {"role": "user", "content": list(content)},
        ],
        "add_generation_prompt": True,
    }


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def talk(client: Client, *content: Any) -> Any:
    answer = client.post("/v1/embeddings", conversation(*content))
    assert answer.status == 200, answer.body
    return answer.json


def vector_of(answer: Any) -> list[float]:
    vector: list[float] = answer["data"][0]["embedding"]
    return vector


# Qwen3-VL-Embedding


def test_a_checkpoint_with_a_shorter_context_than_the_familys_is_served_with_its_own(embedding: ServerProcess) -> None:
    (card,) = Client(embedding.port).get("/v1/models").json["data"]
    assert card["max_model_len"] == CONTEXT


def test_the_startup_probe_gets_a_vector(embedding: ServerProcess) -> None:
    ended = embedding.run_script("probe", "--port", str(embedding.port), "--model", "tiny", "--task", "embed")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == f"tiny: a vector of {SIZE} numbers\n"


@pytest.mark.parametrize("words", TEXTS)
def test_the_format_has_the_tokens_of_messages(embedding: ServerProcess, words: str) -> None:
    client, settings = Client(embedding.port), json.loads(embedding.environment[SETTING])
    wrapped = f"{settings['before']}{words}{settings['after']}"
    of_text = client.post("/tokenize", {"model": "tiny", "prompt": wrapped, "add_special_tokens": False})
    of_messages = client.post("/tokenize", conversation(text(words)))
    assert of_text.json["tokens"] == of_messages.json["tokens"]


@pytest.mark.parametrize("words", TEXTS)
def test_plain_input_gives_the_vector_of_messages(embedding: ServerProcess, words: str) -> None:
    client = Client(embedding.port)
    plain, conversed = client.embed(words).json, talk(client, text(words))
    assert plain["usage"] == conversed["usage"]
    assert vector_of(plain) == pytest.approx(vector_of(conversed), abs=1e-6)


def test_a_list_of_texts_gives_the_vectors_of_each(embedding: ServerProcess) -> None:
    client = Client(embedding.port)
    for vector, words in zip(client.vectors(TEXTS), TEXTS, strict=True):
        assert vector == pytest.approx(vector_of(talk(client, text(words))), abs=1e-5)


def test_raw_text_would_give_another_vector(embedding: ServerProcess) -> None:
    """By its tokens, which pass untouched: the difference that the format makes."""
    client = Client(embedding.port)
    tokens = client.post("/tokenize", {"model": "tiny", "prompt": "hello"}).json["tokens"]
    (raw,), (formatted,) = client.vectors(tokens), client.vectors("hello")
    assert client.embed(tokens).json["usage"]["prompt_tokens"] == len(tokens)
    assert dot(raw, formatted) < 0.9


def test_other_fields_of_a_request_stay(embedding: ServerProcess) -> None:
    (vector,) = Client(embedding.port).vectors("hello", dimensions=SIZE // 2)
    assert len(vector) == SIZE // 2


def test_a_truncation_is_refused_as_it_would_cut_the_format(embedding: ServerProcess) -> None:
    answer = Client(embedding.port).embed("hello", truncate_prompt_tokens=4)
    assert (answer.status, answer.json["error"]["type"]) == (400, "BadRequestError")
    assert "leave it out and shorten the text" in answer.json["error"]["message"]


def test_an_image_and_its_text_give_one_vector(seeing: ServerProcess) -> None:
    client = Client(seeing.port)
    answers = [talk(client, *parts) for parts in ((RED, text("a shoe")), (BLUE, text("a shoe")), (text("a shoe"),))]
    red, blue, alone = map(vector_of, answers)
    assert len(red) == SIZE
    assert answers[0]["usage"]["prompt_tokens"] == answers[2]["usage"]["prompt_tokens"] + 2 + 4  # 64 x 64 pixels
    assert dot(red, alone) < 0.99999
    assert red != pytest.approx(blue, abs=1e-6)
    assert red == pytest.approx(vector_of(talk(client, RED, text("a shoe"))), abs=1e-5)


def test_a_second_image_is_refused(seeing: ServerProcess) -> None:
    answer = Client(seeing.port).post("/v1/embeddings", conversation(RED, BLUE))
    assert answer.status == 400, answer.body


def refused_url(host: Host, answer: Answer) -> None:
    assert answer.status == 400, answer.body
    assert "must be from one of the allowed domains" in answer.json["error"]["message"]
    assert host.asked == []


def test_an_image_by_url_is_refused_and_not_fetched(seeing: ServerProcess, host: Host) -> None:
    content = conversation(image(f"http://127.0.0.1:{host.server_port}/x.png"), text("a shoe"))
    refused_url(host, Client(seeing.port).post("/v1/embeddings", content))


# Qwen3-VL-Reranker


def rank(client: Client, *documents: Any, **more: Any) -> Any:
    answer = client.post("/v1/rerank", {"model": "tiny", "query": "a red shoe", "documents": list(documents)} | more)
    assert answer.status == 200, answer.body
    return answer.json


def scores(answer: Any) -> list[float]:
    return [result["relevance_score"] for result in sorted(answer["results"], key=lambda one: one["index"])]


def document(*parts: Any) -> dict[str, Any]:
    return {"content": list(parts)}


def test_the_startup_probe_gets_scores(reranker: ServerProcess) -> None:
    ended = reranker.run_script("probe", "--port", str(reranker.port), "--model", "tiny", "--task", "rerank")
    assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", "tiny: a list of scores of 2 numbers\n")


def test_texts_and_images_get_scores_between_no_and_yes(reranker: ServerProcess) -> None:
    answer = rank(Client(reranker.port), "a shoe", document(RED), document(BLUE), document(RED, text("a shoe")))
    got = scores(answer)
    assert len(got) == len(set(got)) == 4
    assert all(0 < score < 1 for score in got)


@pytest.mark.parametrize(
    ("documents", "shown", "images"),
    [
        (["a shoe"], "a shoe", 0),
        ([document(RED)], "<|vision_start|><|image_pad|><|vision_end|>", 1),
    ],
)
def test_the_prompt_is_the_model_cards_with_the_instruction_of_the_service(
    reranker: ServerProcess, documents: list[Any], shown: str, images: int
) -> None:
    client = Client(reranker.port)
    prompt = (
        f"{JUDGE}<Instruct>: {INSTRUCTION}<Query>:a red shoe\n<Document>:{shown}<|im_end|>\n<|im_start|>assistant\n"
    )
    told = client.post("/tokenize", {"model": "tiny", "prompt": prompt, "add_special_tokens": False}).json
    assert rank(client, *documents)["usage"]["total_tokens"] == told["count"] + 3 * images  # four tokens for each pad


def test_an_instruction_of_the_request_goes_first(reranker: ServerProcess) -> None:
    client = Client(reranker.port)
    services = scores(rank(client, "a shoe"))
    assert scores(rank(client, "a shoe", instruction=INSTRUCTION)) == pytest.approx(services, abs=1e-6)
    for own in ({"instruction": "Find."}, {"chat_template_kwargs": {"instruction": "Find."}}):
        assert scores(rank(client, "a shoe", **own)) != pytest.approx(services, abs=1e-6)


def test_a_document_by_url_is_refused_and_not_fetched(reranker: ServerProcess, host: Host) -> None:
    documents = [document(image(f"http://127.0.0.1:{host.server_port}/x.png"))]
    content = {"model": "tiny", "query": "a red shoe", "documents": documents}
    refused_url(host, Client(reranker.port).post("/v1/rerank", content))
