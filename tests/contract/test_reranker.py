"""A Qwen3-Reranker on a real vLLM with the flags that the operator gives it: a tiny one of random weights."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from embedding_operator.planning import scripts
from images.vllm_cpu import recipe
from tests.contract.client import Client
from tests.contract.conftest import RELEASE, run_beside_vllm, vllm_executable
from tests.standins.vllm.process import ServerProcess
from tests.unit.planning.combinations import planned

pytestmark = pytest.mark.vllm

QUERY, DOCUMENTS = "What is the capital of China?", ["Beijing.", "Gravity is a force."]
MAKE = """
import json, sys
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

directory = json.load(sys.stdin)
bytes_of = pre_tokenizers.ByteLevel
words = Tokenizer(models.BPE())
words.pre_tokenizer, words.decoder = bytes_of(add_prefix_space=False), decoders.ByteLevel()
special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
learning = trainers.BpeTrainer(vocab_size=600, special_tokens=special, initial_alphabet=bytes_of.alphabet())
words.train_from_iterator(["yes no"] * 50, learning)
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<|im_end|>", pad_token="<|endoftext|>")
assert all(len(tokenizer.encode(word)) == 1 for word in ("yes", "no"))
torch.manual_seed(0)
config = Qwen3Config(
    vocab_size=640, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
    num_key_value_heads=1, head_dim=32, max_position_embeddings=1024, tie_word_embeddings=True,
)
Qwen3ForCausalLM(config).save_pretrained(directory)
tokenizer.save_pretrained(directory)
print(json.dumps("made"))
"""
# what the process that the tests start says itself
ITS_OWN = ("--served-model-name", "--runner", "--port", "--middleware")


def flags(script_directory: Path) -> list[str]:
    """Those of a pod, with its templates where they are here."""
    plan = planned("CPU", "Qwen/Qwen3-Reranker-8B", RELEASE, serving={"maxModelLen": 1024})
    args = list(plan.status.resolved.args or ())[3:]
    for name in ITS_OWN:
        place = args.index(name)
        del args[place : place + 2]
    return [word.replace(scripts.MOUNT_PATH, str(script_directory)) for word in args]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("reranker")
    model = directory / "Qwen3-Reranker-tiny"
    assert run_beside_vllm(MAKE, str(model)) == "made"
    state = directory / "server"
    process = ServerProcess(
        state,
        model,
        ["tiny"],
        vllm=vllm_executable(),
        flags=flags(state / "scripts"),
        environment={**recipe.SERVER_ENV, "HOME": str(directory)},
        start_timeout=300,
    )
    with process:
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
    prompt = (
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
        'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
        "<Instruct>: Given a web search query, retrieve relevant passages that answer the query\n"
        f"<Query>: {QUERY}\n<Document>: {DOCUMENTS[0]}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    )
    told = client.post("/tokenize", {"model": "tiny", "prompt": prompt, "add_special_tokens": False}).json
    assert asked["usage"]["total_tokens"] == told["count"]


def test_it_gives_no_vectors(client: Client) -> None:
    assert client.post("/v1/embeddings", {"model": "tiny", "input": QUERY}).status == 404
