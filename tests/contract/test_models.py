"""What only vLLM itself can say of the flags that models get: the sentinel against URLs, the prompts of rerankers."""

import pytest

from embedding_operator import podscripts
from embedding_operator.planning.modelflags import NO_DOMAIN
from tests.contract.conftest import Host, run_beside_vllm

pytestmark = pytest.mark.vllm

FETCH = """
import json, sys
from vllm.multimodal.media import MediaConnector
asked = json.load(sys.stdin)
connector = MediaConnector(allowed_media_domains=asked["domains"])
try:
    connector.fetch_image(asked["url"])
    print(json.dumps("fetched"))
except Exception as error:
    print(json.dumps(f"{type(error).__name__}: {error}"))
"""
RENDER = """
import json, sys
from transformers.utils.chat_template_utils import _compile_jinja_template
asked = json.load(sys.stdin)
messages = [{"role": role, "content": asked[role]} for role in ("query", "document")]
print(json.dumps(_compile_jinja_template(asked["template"]).render(messages=messages, **asked["more"])))
"""


def fetch(host: Host, domains: list[str]) -> str:
    told: str = run_beside_vllm(FETCH, {"domains": domains, "url": f"http://127.0.0.1:{host.server_port}/x.png"})
    return told


def test_with_the_sentinel_no_url_is_fetched(host: Host) -> None:
    assert fetch(host, [NO_DOMAIN]).startswith("ValueError: The URL must be from one of the allowed domains")
    assert host.asked == []


def test_with_an_empty_list_every_url_is_fetched_which_is_why_there_is_a_sentinel(host: Host) -> None:
    fetch(host, [])
    assert "/x.png" in host.asked


JUDGE = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
TEXT_END = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
SEARCH = "Given a web search query, retrieve relevant passages that answer the query"
CANDIDATES = "Given a search query, retrieve relevant candidates that answer the query."


@pytest.mark.parametrize(
    ("template", "more", "prompt"),
    [
        ("qwen3_reranker.jinja", {}, f"<Instruct>: {SEARCH}\n<Query>: {{q}}\n<Document>: {{d}}{TEXT_END}"),
        ("qwen3_reranker.jinja", {"instruction": "X."}, f"<Instruct>: X.\n<Query>: {{q}}\n<Document>: {{d}}{TEXT_END}"),
        (
            "qwen3_vl_reranker.jinja",
            {},
            f"<Instruct>: {CANDIDATES}<Query>:{{q}}\n<Document>:{{d}}<|im_end|>\n<|im_start|>assistant\n",
        ),
    ],
)
def test_a_rerankers_prompt_is_that_of_its_model_card(template: str, more: dict[str, str], prompt: str) -> None:
    query, document = "Who's 'x'?\n", ' {"a": 1} <b> {{ no }}'
    asked = {"template": podscripts.sources()[template], "query": query, "document": document, "more": more}
    assert run_beside_vllm(RENDER, asked) == JUDGE + prompt.replace("{q}", query).replace("{d}", document)
