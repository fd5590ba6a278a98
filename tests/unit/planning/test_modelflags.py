"""What a model and its task need to be told: overrides, prompt, pooling, and what else than text may come."""

import json
from typing import Any

import pytest

from embedding_operator.api.conditions import Reason
from embedding_operator.planning import scripts
from embedding_operator.planning.plan import Plan
from tests.unit.planning import given


def plan(repo: str = "acme/encoder", version: str = "0.23.0", **spec: Any) -> Plan:
    service = given.service(
        model={"source": {"modelScope": {"repo": repo}}},
        runtime={"profile": "ascend-910b", "version": version},
        **spec,
    )
    return given.plan(service, given.seen(cache=given.cache(repo=repo)))


def flag(planned: Plan, name: str) -> Any:
    """The value of a flag that is given once, read as JSON where it is that; None without it."""
    args = list(planned.status.resolved.args or ())
    assert args, given.conditions(planned)
    if name not in args:
        return None
    (place,) = (index for index, word in enumerate(args) if word == name)
    value = args[place + 1]
    return json.loads(value) if value.startswith("{") else value


@pytest.mark.parametrize(
    ("repo", "architecture", "template"),
    [
        ("Qwen/Qwen3-Reranker-0.6B", "Qwen3ForSequenceClassification", "qwen3_reranker.jinja"),
        ("Qwen/Qwen3-VL-Reranker-2B", "Qwen3VLForSequenceClassification", "qwen3_vl_reranker.jinja"),
    ],
)
def test_a_qwen3_reranker_is_told_that_it_is_a_classifier_and_its_prompt(
    repo: str, architecture: str, template: str
) -> None:
    planned = plan(repo, task="Rerank")
    assert flag(planned, "--hf-overrides") == {
        "architectures": [architecture],
        "classifier_from_token": ["no", "yes"],
        "is_original_qwen3_reranker": True,
    }
    assert flag(planned, "--chat-template") == scripts.script_path(template)


def test_before_the_release_that_takes_a_prompt_none_is_given_and_that_is_told() -> None:
    planned = plan("Qwen/Qwen3-Reranker-0.6B", "0.13.0", task="Rerank")
    assert flag(planned, "--chat-template") is None
    assert (
        "choose version 0.18.0 or newer, or let clients write that prompt"
        in given.conditions(planned)["KnownProblems"][2]
    )


@pytest.mark.parametrize(
    "repo", ["BAAI/bge-reranker-v2-m3", "cross-encoder/ms-marco-MiniLM-L-6-v2", "acme/Qwen3-Reranker-4B-seq-cls"]
)
def test_a_reranker_that_is_a_classifier_already_is_told_nothing(repo: str) -> None:
    planned = plan(repo, task="Rerank")
    assert (flag(planned, "--hf-overrides"), flag(planned, "--chat-template")) == (None, None)


@pytest.mark.parametrize("repo", ["Qwen/Qwen3-Reranker-8B", "Qwen/Qwen3-VL-Reranker-8B", "BAAI/bge-reranker-base"])
@pytest.mark.parametrize("task", [None, "Embed", "Classify"])
def test_a_reranker_gives_no_vectors_and_that_is_said_at_once(repo: str, task: str | None) -> None:
    planned = plan(repo, task=task)
    _, reason, message = given.conditions(planned)["Stalled"]
    assert reason == Reason.INVALID_SPEC
    assert message.endswith("write spec.task: Rerank")


@pytest.mark.parametrize("task", ["Embed", "Rerank", "Classify"])
def test_the_startup_request_is_the_tasks_and_the_status_says_which(task: str) -> None:
    planned = plan(task=task)
    (container,) = given.child(planned, "Deployment")["spec"]["template"]["spec"]["containers"]
    command = container["startupProbe"]["exec"]["command"]
    assert command[command.index("--task") + 1] == task.lower()
    assert planned.status.resolved.task == task


@pytest.mark.parametrize(
    ("version", "pooler"),
    [
        ("0.11.0", {"dimensions": 256, "pooling_type": "CLS", "normalize": False}),
        ("0.13.0", {"dimensions": 256, "pooling_type": "CLS", "normalize": False}),
        ("0.18.0", {"dimensions": 256, "pooling_type": "CLS", "use_activation": False}),
        ("0.33.0", {"dimensions": 256, "pooling_type": "CLS", "use_activation": False}),
    ],
)
def test_pooling_is_said_in_the_words_of_the_release(version: str, pooler: dict[str, Any]) -> None:
    planned = plan(version=version, serving={"dimensions": 256, "pooling": {"type": "Cls", "normalize": False}})
    assert flag(planned, "--pooler-config") == pooler
    assert flag(planned, "--hf-overrides") == {"is_matryoshka": True}


def test_between_two_releases_that_say_it_otherwise_nothing_is_guessed() -> None:
    planned = plan(version="0.15.0", serving={"pooling": {"normalize": True}})
    _, reason, message = given.conditions(planned)["Stalled"]
    assert reason == Reason.INVALID_SPEC
    assert "leave it out, or choose one of these versions" in message


@pytest.mark.parametrize("field", [{"dimensions": 64}, {"pooling": {"type": "Mean"}}])
def test_scores_are_not_pooled(field: dict[str, Any]) -> None:
    planned = plan("BAAI/bge-reranker-base", task="Rerank", serving=field)
    assert flag(planned, "--pooler-config") is None


@pytest.mark.parametrize("repo", ["acme/encoder", "Qwen/Qwen3-VL-Embedding-8B", "BAAI/bge-m3"])
def test_no_url_is_fetched_where_nobody_names_a_host(repo: str) -> None:
    planned = plan(repo)
    assert flag(planned, "--allowed-media-domains") == "/"
    (container,) = given.child(planned, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert {"name": "VLLM_MEDIA_URL_ALLOW_REDIRECTS", "value": "0"} in container["env"]


def test_hosts_that_are_named_are_words_of_their_own() -> None:
    """vLLM takes `a,b` for one host, which no URL has."""
    domains = {"allowedMediaDomains": ["a.example.com", "b.example.com"]}
    args = list(plan(serving={"multimodal": domains}).status.resolved.args or ())
    assert args[args.index("--allowed-media-domains") + 1 :][:2] == ["a.example.com", "b.example.com"]


def test_an_empty_list_of_hosts_allows_none() -> None:
    assert flag(plan(serving={"multimodal": {"allowedMediaDomains": []}}), "--allowed-media-domains") == "/"


@pytest.mark.parametrize(
    ("repo", "task", "multimodal", "limits", "kwargs"),
    [
        ("acme/encoder", "Embed", {}, None, None),
        ("Qwen/Qwen3-VL-Embedding-8B", "Embed", {}, {"image": 1, "video": 0}, {"max_pixels": 1843200}),
        ("Qwen/Qwen3-VL-Reranker-8B", "Rerank", {}, {"image": 2, "video": 0}, {"max_pixels": 1843200}),
        (
            "Qwen/Qwen3-VL-Embedding-8B",
            "Embed",
            {"imagesPerPrompt": 4, "maxPixels": 65536},
            {"image": 4, "video": 0},
            {"max_pixels": 65536},
        ),
        ("acme/encoder", "Embed", {"videosPerPrompt": 1}, {"video": 1}, None),
    ],
)
def test_what_an_input_may_hold(repo: str, task: str, multimodal: Any, limits: Any, kwargs: Any) -> None:
    planned = plan(repo, task=task, serving={"multimodal": multimodal})
    assert flag(planned, "--limit-mm-per-prompt") == limits
    assert flag(planned, "--mm-processor-kwargs") == kwargs


@pytest.mark.parametrize(
    "args",
    [
        ["--hf-overrides", '{"num_labels": 1}'],
        ["--hf_overrides", '{"num_labels": 1}'],
        ['--hf-overrides={"num_labels": 1}'],
    ],
)
def test_who_overrides_one_setting_of_a_model_keeps_the_others(args: list[str]) -> None:
    service = given.service(
        model={"source": {"modelScope": {"repo": "Qwen/Qwen3-Reranker-8B"}}},
        task="Rerank",
        runtime={"profile": "ascend-910b", "args": args},
    )
    planned = given.plan(service, given.seen(cache=given.cache(repo="Qwen/Qwen3-Reranker-8B")))
    words = [word for word in planned.status.resolved.args or () if "num_labels" in word]
    assert len(words) == 1
    assert json.loads(words[0].partition("=")[2] or words[0]) == {
        "architectures": ["Qwen3ForSequenceClassification"],
        "classifier_from_token": ["no", "yes"],
        "is_original_qwen3_reranker": True,
        "num_labels": 1,
    }
    assert [word for word in planned.status.resolved.args or () if "Qwen3ForSequence" in word] == words


def test_a_workaround_that_is_merged_into_args_is_one() -> None:
    service = given.service(
        model={"source": {"modelScope": {"repo": "Qwen/Qwen3-Embedding-8B"}}},
        runtime={"profile": "ascend-910b", "args": ["--hf-overrides", '{"num_labels": 1}']},
        serving={"promptFormat": "Model"},
    )
    planned = given.plan(service, given.seen(cache=given.cache(repo="Qwen/Qwen3-Embedding-8B")))
    assert flag(planned, "--hf-overrides") == {"is_matryoshka": True, "num_labels": 1}
    assert given.conditions(planned)["KnownProblems"][1] == Reason.WORKED_AROUND
