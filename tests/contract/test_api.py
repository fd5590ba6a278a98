"""What the operator, its users and its dashboards rely on in vLLM's HTTP API: shapes, statuses, identities."""

import base64
import math
import re
import struct
from typing import Any

import pytest

from tests.contract.client import Client, dot
from tests.contract.conftest import NAMES, RELEASE, Kind
from tests.standins.vllm.process import ServerProcess

QUESTIONS = ["What is the capital of China?", "Explain gravity"]
PASSAGES = [
    "The capital of China is Beijing.",
    "Gravity is a force that attracts two bodies towards each other.",
]


def test_health_is_empty_and_200(client: Client) -> None:
    answer = client.get("/health")
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_ping_is_health(client: Client, method: str) -> None:
    assert client.send(method, "/ping").status == 200


def test_version_is_the_release(client: Client) -> None:
    assert client.get("/version").json["version"].split("+")[0] == RELEASE


def test_models_are_the_served_names_with_the_weights_path(client: Client, server: ServerProcess, kind: Kind) -> None:
    listing = client.get("/v1/models").json
    assert listing["object"] == "list"
    assert [card["id"] for card in listing["data"]] == NAMES
    assert {card["root"] for card in listing["data"]} == {str(server.model)}
    assert {card["max_model_len"] for card in listing["data"]} == {kind.max_model_len}
    assert {card["object"] for card in listing["data"]} == {"model"}


def test_an_embedding_has_openais_shape(client: Client, kind: Kind) -> None:
    answer = client.embed("hello").json
    assert set(answer) >= {"id", "object", "created", "model", "data", "usage"}
    assert answer["object"] == "list"
    assert answer["id"].startswith("embd-")
    (item,) = answer["data"]
    assert (item["index"], item["object"]) == (0, "embedding")
    assert len(item["embedding"]) == kind.dimensions
    usage = answer["usage"]
    assert usage["prompt_tokens"] == usage["total_tokens"] == 3  # the text between two special tokens
    assert usage["completion_tokens"] == 0


def test_vectors_have_norm_one(client: Client) -> None:
    (vector,) = client.vectors("hello")
    assert math.isclose(dot(vector, vector), 1, abs_tol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_served_and_the_first_one_is_echoed(client: Client, name: str) -> None:
    assert client.embed("hello", model=name).json["model"] == NAMES[0]


def test_many_texts_give_as_many_vectors_in_their_order(client: Client) -> None:
    data = client.embed(QUESTIONS).json["data"]
    assert [item["index"] for item in data] == [0, 1]
    alone = [client.vectors(question)[0] for question in QUESTIONS]
    for item, vector in zip(data, alone, strict=True):
        assert dot(item["embedding"], vector) > 0.999


def test_the_same_text_gives_the_same_vector_and_another_another(client: Client) -> None:
    (first,), (again,), (other,) = (client.vectors(text) for text in ("hello", "hello", "goodbye"))
    assert dot(first, again) > 0.9999
    assert dot(first, other) < 0.99


def test_a_question_is_nearest_to_its_answer(client: Client) -> None:
    vectors = client.vectors([*QUESTIONS, *PASSAGES])
    scores = [[dot(question, passage) for passage in vectors[2:]] for question in vectors[:2]]
    assert scores[0][0] > scores[0][1]
    assert scores[1][1] > scores[1][0]


def test_tokens_give_the_vector_of_their_text(client: Client) -> None:
    tokens = client.post("/tokenize", {"model": "tiny", "prompt": QUESTIONS[0]}).json["tokens"]
    (of_text,) = client.vectors(QUESTIONS[0])
    (of_tokens,) = client.vectors(tokens)
    (of_list,) = client.vectors([tokens])
    assert dot(of_text, of_tokens) > 0.999
    assert dot(of_text, of_list) > 0.999


def test_tokenize_counts_what_an_embedding_uses(client: Client, kind: Kind) -> None:
    answer = client.post("/tokenize", {"model": "tiny", "prompt": QUESTIONS[0]}).json
    assert answer["count"] == len(answer["tokens"])
    assert answer["count"] == client.embed(QUESTIONS[0]).json["usage"]["prompt_tokens"]
    assert answer["max_model_len"] == kind.max_model_len


def test_base64_is_the_same_vector_as_little_endian_floats(client: Client, kind: Kind) -> None:
    (text,) = (item["embedding"] for item in client.embed("hello", encoding_format="base64").json["data"])
    numbers = struct.unpack(f"<{kind.dimensions}f", base64.b64decode(text))
    (vector,) = client.vectors("hello")
    assert list(numbers) == pytest.approx(vector, abs=1e-6)


def test_base64_has_half_floats_for_who_asks(client: Client, kind: Kind) -> None:
    fields = {"encoding_format": "base64", "embed_dtype": "float16", "endianness": "little"}
    (text,) = (item["embedding"] for item in client.embed("hello", **fields).json["data"])
    numbers = struct.unpack(f"<{kind.dimensions}e", base64.b64decode(text))
    (vector,) = client.vectors("hello")
    assert list(numbers) == pytest.approx(vector, abs=1e-3)


def test_truncation_makes_a_long_text_fit(client: Client, kind: Kind) -> None:
    answer = client.embed("word " * 2 * kind.max_model_len, truncate_prompt_tokens=-1)
    assert answer.status == 200
    assert answer.json["usage"]["prompt_tokens"] <= kind.max_model_len


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "another model": ({"model": "other", "input": "x"}, 404, "NotFoundError"),
    "too long a text": ({"model": "tiny", "input": "word " * 600}, 400, "BadRequestError"),
    "other dimensions": ({"model": "tiny", "input": "x", "dimensions": 8}, 400, "BadRequestError"),
    "no input": ({"model": "tiny"}, 400, "Bad Request"),
    "a number as input": ({"model": "tiny", "input": 1.5}, 400, "Bad Request"),
    "an object in the list": ({"model": "tiny", "input": [{}]}, 400, "Bad Request"),
}


@pytest.mark.parametrize(("content", "status", "kind_of_error"), REFUSED.values(), ids=REFUSED.keys())
def test_a_bad_request_is_refused_with_an_error_object(
    client: Client, content: dict[str, Any], status: int, kind_of_error: str
) -> None:
    answer = client.post("/v1/embeddings", content)
    error = answer.json["error"]
    assert (answer.status, error["code"], error["type"]) == (status, status, kind_of_error)
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]


def test_a_body_that_is_not_json_is_a_bad_request(client: Client) -> None:
    answer = client.send("POST", "/v1/embeddings", b"{", {"Content-Type": "application/json"})
    assert (answer.status, answer.json["error"]["type"]) == (400, "Bad Request")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/nothing", 404), ("GET", "/v1/embeddings", 405)])
def test_wrong_paths_and_methods_get_the_frameworks_answer(client: Client, method: str, path: str, status: int) -> None:
    answer = client.send(method, path)
    assert answer.status == status
    assert set(answer.json) == {"detail"}


def test_generating_is_not_served(client: Client) -> None:
    assert client.post("/v1/chat/completions", {"model": "tiny", "messages": []}).status == 404


def metric(text: str, name: str, **labels: str) -> float | None:
    """The value of a series that has these labels among its own."""
    for line in text.splitlines():
        found = re.fullmatch(rf"{re.escape(name)}{{(.*)}} (\S+)", line)
        if found and all(f'{label}="{value}"' in found[1].split(",") for label, value in labels.items()):
            return float(found[2])
    return None


def test_metrics_carry_the_first_name_and_move(client: Client) -> None:
    def read(name: str, **labels: str) -> float | None:
        return metric(client.get("/metrics").body.decode(), name, **labels)

    assert read("vllm:num_requests_running", model_name=NAMES[0], engine="0") == 0
    assert read("vllm:num_requests_waiting", model_name=NAMES[0]) == 0
    client.vectors("hello")
    tokens = read("vllm:prompt_tokens_total", model_name=NAMES[0])
    done = read("vllm:request_success_total", model_name=NAMES[0], finished_reason="stop")
    http = read("http_requests_total", handler="/v1/embeddings", method="POST", status="2xx")
    client.vectors(QUESTIONS)
    assert tokens is not None
    assert done is not None
    assert http is not None
    assert (read("vllm:prompt_tokens_total", model_name=NAMES[0]) or 0) > tokens
    # One engine request per text, one HTTP request for both.
    assert read("vllm:request_success_total", model_name=NAMES[0], finished_reason="stop") == done + 2
    assert read("http_requests_total", handler="/v1/embeddings", method="POST", status="2xx") == http + 1


def test_metrics_are_prometheus_text(client: Client) -> None:
    assert client.get("/metrics").headers["content-type"].startswith("text/plain")


def test_load_of_an_idle_server_is_nil(client: Client) -> None:
    assert client.get("/load").json == {"server_load": 0}


def test_documents_are_ranked_with_a_score_each(client: Client) -> None:
    answer = client.post("/v1/rerank", {"model": NAMES[0], "query": QUESTIONS[0], "documents": PASSAGES}).json
    results = answer["results"]
    assert sorted(result["index"] for result in results) == [0, 1]
    scores = [result["relevance_score"] for result in results]
    assert scores == sorted(scores, reverse=True)
    assert results[0]["index"] == 0
    assert results[0]["document"]["text"] == PASSAGES[0]


@pytest.mark.parametrize("names", [("text_1", "text_2"), ("queries", "documents")])
def test_pairs_are_scored_as_they_are_ranked(client: Client, names: tuple[str, str]) -> None:
    given = dict(zip(names, (QUESTIONS, PASSAGES), strict=True))
    answer = client.post("/score", {"model": NAMES[0], **given}).json
    assert [item["index"] for item in answer["data"]] == [0, 1]
    assert answer["usage"]["prompt_tokens"] > 0
    for question, passage, item in zip(QUESTIONS, PASSAGES, answer["data"], strict=True):
        ranked = client.post("/v1/rerank", {"model": NAMES[0], "query": question, "documents": [passage]}).json
        assert item["score"] == pytest.approx(ranked["results"][0]["relevance_score"], abs=1e-4)


def test_a_pair_that_is_too_long_is_refused(client: Client, kind: Kind) -> None:
    long = "word " * 2 * kind.max_model_len
    answer = client.post("/score", {"model": NAMES[0], "text_1": ["x"], "text_2": [long]})
    assert (answer.status, "context length" in answer.json["error"]["message"]) == (400, True)


def test_an_embedding_model_classifies_nothing(client: Client) -> None:
    answer = client.post("/classify", {"model": NAMES[0], "input": "hello"})
    assert answer.status == 404


def test_the_startup_probe_of_ranking_is_content(server: ServerProcess) -> None:
    ended = server.run_script("probe", "--port", str(server.port), "--model", NAMES[0], "--task", "rerank")
    assert (ended.returncode, ended.stdout) == (0, f"{NAMES[0]}: a list of scores of 2 numbers\n")
