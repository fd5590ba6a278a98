"""A Qwen3-Reranker on a real vLLM with the flags that the operator gives it: a tiny one of random weights."""

from collections.abc import Iterator

import pytest

from tests.contract import planned
from tests.contract.client import Client
from tests.contract.test_models import JUDGE, SEARCH, TEXT_END
from tests.standins.vllm.process import ServerProcess

pytestmark = pytest.mark.vllm

QUERY, DOCUMENTS = "What is the capital of China?", ["Beijing.", "Gravity is a force."]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("reranker")
    with planned.server(directory, "Qwen/Qwen3-Reranker-8B", "text", serving={"maxModelLen": 1024}) as process:
        yield process


@pytest.fixture
def client(server: ServerProcess) -> Client:
    return Client(server.port)


def test_the_startup_probe_is_content(server: ServerProcess) -> None:
    ended = server.run_script("probe", "--port", str(server.port), "--model", "tiny", "--task", "rerank")
    assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", "tiny: a list of scores of 2 numbers\n")


def test_plain_documents_get_scores_between_no_and_yes(client: Client) -> None:
    answer = client.post("/v1/rerank", {"model": "tiny", "query": QUERY, "documents": DOCUMENTS})
    assert answer.status == 200, answer.body
    scores = [result["relevance_score"] for result in answer.json["results"]]
    assert len(scores) == 2
    assert all(0 < score < 1 for score in scores)
    assert len(set(scores)) == 2


def test_the_prompt_of_the_model_card_is_put_around_them(client: Client) -> None:
    """By its tokens: they are those of the whole prompt."""
    asked = client.post("/v1/rerank", {"model": "tiny", "query": QUERY, "documents": DOCUMENTS[:1]}).json
    prompt = f"{JUDGE}<Instruct>: {SEARCH}\n<Query>: {QUERY}\n<Document>: {DOCUMENTS[0]}{TEXT_END}"
    told = client.post("/tokenize", {"model": "tiny", "prompt": prompt, "add_special_tokens": False}).json
    assert asked["usage"]["total_tokens"] == told["count"]


def test_it_gives_no_vectors(client: Client) -> None:
    assert client.post("/v1/embeddings", {"model": "tiny", "input": QUERY}).status == 404
