"""The model's own prompt format: who is given it, what it is, and what is refused because it would do nothing."""

import json
from typing import Any

import pytest

from embedding_operator.api.conditions import Reason
from embedding_operator.planning.plan import Plan
from tests.unit.planning import given

VL, TEXT = "Qwen/Qwen3-VL-Embedding-8B", "Qwen/Qwen3-Embedding-8B"
RERANKER, VL_RERANKER = "Qwen/Qwen3-Reranker-8B", "Qwen/Qwen3-VL-Reranker-8B"
SEARCH = "Given a web search query, retrieve relevant passages that answer the query"
SETTING = "EMBEDDING_OPERATOR_PROMPT"


def plan(repo: str, version: str = "0.23.0", task: str | None = None, **serving: Any) -> Plan:
    service = given.service(
        model={"source": {"modelScope": {"repo": repo}}},
        runtime={"profile": "ascend-910b", "version": version},
        task=task or ("Rerank" if "Reranker" in repo else None),
        serving=serving,
    )
    return given.plan(service, given.seen(cache=given.cache(repo=repo)))


def environment(planned: Plan) -> dict[str, str]:
    (container,) = given.child(planned, "Deployment")["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable["value"] for variable in container["env"]}


def stalled(planned: Plan) -> str:
    assert planned.apply == ()
    _, reason, message = given.conditions(planned)["Stalled"]
    assert reason == Reason.INVALID_SPEC
    return message


@pytest.mark.parametrize(
    ("repo", "serving", "settings"),
    [
        (
            VL,
            {"promptFormat": "Model"},
            {
                "before": "<|im_start|>system\nRepresent the user's input.<|im_end|>\n<|im_start|>user\n",
                "after": "<|im_end|>\n<|im_start|>assistant\n",
                "specialTokens": False,
            },
        ),
        (
            VL,
            {"promptFormat": "Model", "instruction": "Find the product."},
            {
                "before": "<|im_start|>system\nFind the product.<|im_end|>\n<|im_start|>user\n",
                "after": "<|im_end|>\n<|im_start|>assistant\n",
                "specialTokens": False,
            },
        ),
        (
            TEXT,
            {"promptFormat": "Model"},
            {
                "before": f"Instruct: {SEARCH}\nQuery:",
                "after": "",
                "specialTokens": True,
            },
        ),
        (
            TEXT,
            {"promptFormat": "Model", "instruction": "X {before} $(HOME)"},
            {"before": "Instruct: X {before} $(HOME)\nQuery:", "after": "", "specialTokens": True},
        ),
        (RERANKER, {"instruction": "Judge."}, {"instruction": "Judge."}),
        (VL_RERANKER, {"instruction": "Judge."}, {"instruction": "Judge."}),
    ],
)
def test_the_middleware_is_told_what_stands_around_a_text(
    repo: str, serving: dict[str, str], settings: dict[str, Any]
) -> None:
    planned = plan(repo, **serving)
    assert json.loads(environment(planned)[SETTING]) == settings
    assert planned.status.resolved.prompt_format == serving.get("promptFormat")


def test_the_kubelet_finds_no_reference_to_a_variable_in_an_instruction() -> None:
    assert "$" not in environment(plan(TEXT, promptFormat="Model", instruction="$(HOME) $$"))[SETTING]


@pytest.mark.parametrize("repo", [VL, TEXT, "BAAI/bge-m3", "acme/encoder"])
def test_what_is_passed_on_as_it_comes_costs_a_pod_nothing(repo: str) -> None:
    raw = plan(repo, promptFormat="Raw")
    assert SETTING not in environment(raw)
    assert environment(plan(repo)) == environment(raw)
    assert plan(repo).status.resolved.args == raw.status.resolved.args


@pytest.mark.parametrize(("repo", "called"), [("BAAI/bge-m3", "models of the family BERT"), ("acme/x", "a model of")])
def test_a_format_that_is_not_known_is_said_not_to_be(repo: str, called: str) -> None:
    message = stalled(plan(repo, promptFormat="Model"))
    assert f"no format of {called}" in message
    assert "those of Qwen3-VL-Embedding and Qwen3-Embedding" in message
    assert message.endswith("name one of these in spec.model.servedName where the weights are its own")


@pytest.mark.parametrize(
    ("repo", "version", "task", "serving", "words"),
    [
        (VL, "0.23.0", None, {"instruction": "X."}, "write spec.serving.promptFormat: Model beside it, or remove it"),
        (VL, "0.23.0", None, {"instruction": "X.", "promptFormat": "Raw"}, "promptFormat: Model beside it"),
        ("acme/x", "0.23.0", "Classify", {"instruction": "X."}, "remove it, as task Classify has none"),
        (VL_RERANKER, "0.23.0", None, {"promptFormat": "Model"}, "remove it, or write spec.task: Embed"),
        (RERANKER, "0.18.0", None, {"instruction": "X."}, "remove it, or choose version 0.23.0 or newer"),
        ("BAAI/bge-reranker-base", "0.23.0", "Rerank", {"instruction": "X."}, "Qwen3-VL-Reranker and Qwen3-Reranker"),
    ],
)
def test_an_instruction_that_would_reach_nothing_is_refused_with_what_to_write(
    repo: str, version: str, task: str | None, serving: dict[str, str], words: str
) -> None:
    assert words in stalled(plan(repo, version, task, **serving))
