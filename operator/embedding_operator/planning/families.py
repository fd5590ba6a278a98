"""Which family a model is of, told by its name: what it was trained for, and what the server must be told of it.

The name is that of the repository, folder or file that the weights come from, else the served name, so weights in a
folder of another name are known by `servedName: Qwen3-VL-Embedding-8B`. A model of no known family is served as vLLM
finds it.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from embedding_operator.api.json import JsonObject
from embedding_operator.api.source import ModelSource

QWEN3_EMBEDDING = "Qwen3-Embedding"
QWEN3_RERANKER = "Qwen3-Reranker"
QWEN3_VL_EMBEDDING = "Qwen3-VL-Embedding"
QWEN3_VL_RERANKER = "Qwen3-VL-Reranker"
BERT = "BERT"  # and XLM-RoBERTa, as MiniLM, BGE and E5 are
BERT_RERANKER = "BERT-Reranker"


@dataclass(frozen=True, slots=True)
class PromptFormat:
    """What stands around each text that a model was trained with."""

    before: str  # with the instruction at its place
    after: str
    instruction: str  # that of the model card, where nobody says another
    special_tokens: bool  # whether the tokenizer adds its own, as it does to plain text


@dataclass(frozen=True, slots=True)
class Family:
    """Models that are served alike."""

    name: str
    pattern: re.Pattern[str]  # searched in the name, in lower case and with dashes
    ranks: bool = False  # made for Rerank alone
    vision: bool = False
    overrides: JsonObject = field(default_factory=dict)  # what config.json must say for it (`--hf-overrides`)
    template: str = ""  # script with the prompt of query and document, in a release that takes one
    prompt: PromptFormat | None = None  # of text to embed, where it is trained with one


def _family(name: str, pattern: str, **more: Any) -> Family:
    return Family(name, re.compile(pattern), **more)


def _yes_or_no(architecture: str) -> JsonObject:
    """A decoder that was trained to say yes or no, as a classifier of its two tokens."""
    return {
        "architectures": [architecture],
        "classifier_from_token": ["no", "yes"],
        "is_original_qwen3_reranker": True,
    }


# what the checkpoint's own chat template makes of a system and a user message and add_generation_prompt
_CONVERSATION = PromptFormat(
    before="<|im_start|>system\n{instruction}<|im_end|>\n<|im_start|>user\n",
    after="<|im_end|>\n<|im_start|>assistant\n",
    instruction="Represent the user's input.",
    special_tokens=False,
)
# of queries; documents have none. The tokenizer appends the token whose vector is taken.
_QUERY = PromptFormat(
    before="Instruct: {instruction}\nQuery:",
    after="",
    instruction="Given a web search query, retrieve relevant passages that answer the query",
    special_tokens=True,
)

# the first that matches; models built on large decoders (bge-reranker-v2-gemma, e5-mistral) are none of them, nor are
# rerankers that were converted to classifiers already (…-seq-cls)
FAMILIES = (
    _family(QWEN3_VL_EMBEDDING, r"qwen3-vl-embedding", vision=True, prompt=_CONVERSATION),
    _family(
        QWEN3_VL_RERANKER,
        r"qwen3-vl-reranker(?!.*seq-?cls)",
        ranks=True,
        vision=True,
        overrides=_yes_or_no("Qwen3VLForSequenceClassification"),
        template="qwen3_vl_reranker.jinja",
    ),
    _family(QWEN3_EMBEDDING, r"qwen3-embedding", prompt=_QUERY),
    _family(
        QWEN3_RERANKER,
        r"qwen3-reranker(?!.*seq-?cls)",
        ranks=True,
        overrides=_yes_or_no("Qwen3ForSequenceClassification"),
        template="qwen3_reranker.jinja",
    ),
    _family(BERT_RERANKER, r"bge-reranker-(base|large|v2-m3)|ms-marco-(minilm|tinybert|electra)", ranks=True),
    _family(BERT, r"minilm|\bbge-(small|base|large|m3)|\be5-(small|base|large)"),
)


def family_of(source: ModelSource, served_name: str | None) -> Family | None:
    """The family of a model from this source, or None."""
    return family_named(source.display, served_name or "")


def family_named(*names: str) -> Family | None:
    """The family of the first of these names that tells one."""
    for name in names:
        plain = name.lower().replace("_", "-")
        found = next((family for family in FAMILIES if family.pattern.search(plain)), None)
        if found is not None:
            return found
    return None
