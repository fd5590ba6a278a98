"""What is known to go wrong: refused, worked around or told, each with its reference, and never a reason to roll."""

import re
from typing import Any

import pytest

from embedding_operator.api.conditions import Reason
from embedding_operator.planning.commandline import flag_of
from embedding_operator.planning.plan import Plan
from embedding_operator.planning.problems import PROBLEMS, Problem, Situation, has_flag, problems_of
from embedding_operator.planning.releases import RELEASES, VOCABULARY
from tests.unit.planning import given

ASCEND_ISSUES = "https://github.com/vllm-project/vllm-ascend/issues"
OLD = "0.13.0"


def planned(repo: str = "Qwen/Qwen3-Embedding-8B", site: dict[str, Any] | None = None, **spec: Any) -> Plan:
    """A new service of this model; `site` replaces parts of the profiles."""
    spec.setdefault("runtime", {"profile": "ascend-910b"})
    spec.setdefault("task", "Rerank" if "Reranker" in repo else None)
    service = given.service(model={"source": {"modelScope": {"repo": repo}}}, **spec)
    return given.plan(service, given.seen(cache=given.cache(repo=repo), profiles=given.profiles(**(site or {}))))


def args(plan: Plan) -> list[str]:
    (revision,) = given.stored(plan)
    return list(revision.resolved["args"])


P310 = {
    "accelerator": {"type": "Ascend", "chip": "310P3", "resourceName": "huawei.com/Ascend310P"},
    "serving": {"dtype": "Float16"},
}


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.what[:40])
def test_every_row_has_a_reference_and_tells_what_to_do(problem: Problem) -> None:
    assert re.fullmatch(r"https://\S+", problem.reference)
    assert problem.cure or problem.flags
    assert bool(problem.flags) == (problem.action == "WorkAround")
    assert "\n" not in str(problem)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.what[:40])
def test_every_row_applies_somewhere_and_its_flags_are_known_there(problem: Problem) -> None:
    places = [
        Situation(str(release), ascend, chip, family, dtype, task="Embed")
        for release in (*RELEASES, "0.14.1")
        for ascend, chip in ((True, "910B"), (True, "310P"), (True, "950"), (False, ""))
        for family in ("Qwen3-VL-Embedding", "Qwen3-Embedding", "Qwen3-Reranker", "BERT", "")
        for dtype in ("float16", "bfloat16")
    ]
    assert any(problem.applies(place) for place in places)
    assert {flag_of(flag[0]) for flag in problem.flags} <= VOCABULARY


@pytest.mark.parametrize(
    ("repo", "site", "runtime", "words"),
    [
        ("Qwen/Qwen3-VL-Embedding-8B", {}, {"version": OLD}, "choose version 0.18.0 or newer"),
        ("Qwen/Qwen3-VL-Reranker-2B", {}, {"version": "0.14.1"}, "choose version 0.18.0 or newer"),
        ("Qwen/Qwen3-Embedding-8B", P310, {"version": "0.18.0"}, f"{ASCEND_ISSUES}/6471"),
        ("acme/encoder", P310, {"version": "0.18.0"}, "choose version 0.23.0 or newer"),
        ("Qwen/Qwen3-Embedding-8B", P310 | {"serving": {"dtype": "BFloat16"}}, {}, "serving.dtype: Float16"),
        ("Qwen/Qwen3-Embedding-8B", P310 | {"serving": {}}, {}, "serving.dtype: Float16"),
        ("Qwen/Qwen3-Reranker-8B", {}, {"version": "0.11.0"}, f"{ASCEND_ISSUES}/4481"),
        ("BAAI/bge-m3", {}, {"version": "0.11.0"}, "choose version 0.13.0 or newer"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reference_and_the_cure(
    repo: str, site: dict[str, Any], runtime: dict[str, str], words: str
) -> None:
    plan = planned(repo, site, runtime={"profile": "ascend-910b"} | runtime)
    status, reason, message = given.conditions(plan)["Stalled"]
    assert (status, reason) == ("True", Reason.KNOWN_PROBLEM)
    assert words in message
    assert "https://" in message
    assert plan.apply == ()


@pytest.mark.parametrize(
    ("repo", "site", "runtime", "flags"),
    [
        ("acme/encoder", {}, {"version": OLD}, ["--no-enable-prefix-caching"]),
        ("acme/encoder", {}, {"version": OLD}, ["--no-enable-chunked-prefill"]),
        ("Qwen/Qwen3-Embedding-8B", {}, {}, ["--hf-overrides", '{"is_matryoshka": true}']),
        ("Qwen/Qwen3-Embedding-8B", {}, {"profile": "cpu"}, ["--hf-overrides", '{"is_matryoshka": true}']),
        ("Qwen/Qwen3-VL-Reranker-8B", {}, {}, ["--max-model-len", "32768"]),
        ("Qwen/Qwen3-VL-Reranker-8B", P310, {}, ["--max-model-len", "1024"]),
        ("acme/encoder", P310, {}, ["--compilation-config", '{"cudagraph_capture_sizes": [1024, 512]}']),
    ],
)
def test_what_can_be_worked_around_is_and_the_condition_says_so(
    repo: str, site: dict[str, Any], runtime: dict[str, str], flags: list[str]
) -> None:
    serving = {"promptFormat": "Model"} if "Qwen3-Embedding" in repo else {}
    plan = planned(repo, site, runtime={"profile": "ascend-910b"} | runtime, serving=serving)
    got = args(plan)
    assert got[got.index(flags[0]) :][: len(flags)] == flags
    status, reason, message = given.conditions(plan)["KnownProblems"]
    assert (status, reason) == ("True", Reason.WORKED_AROUND)
    assert "worked around" in message


def test_what_does_not_go_wrong_is_not_mentioned() -> None:
    plan = planned("acme/encoder")
    assert "KnownProblems" not in given.conditions(plan)
    assert "--no-enable-prefix-caching" not in args(plan)


@pytest.mark.parametrize(
    ("spec", "flag", "values"),
    [
        ({"serving": {"maxModelLen": 8192}}, "--max-model-len", ["8192"]),
        ({"runtime": {"profile": "ascend-910b", "args": ["--max-model-len=512"]}}, "--max-model-len=512", []),
    ],
)
def test_who_says_how_long_inputs_may_be_is_heard(spec: dict[str, Any], flag: str, values: list[str]) -> None:
    plan = planned("Qwen/Qwen3-VL-Reranker-8B", **spec)
    lengths = [word for word in args(plan) if word.startswith("--max-model-len")]
    assert lengths == [flag]
    assert args(plan)[args(plan).index(flag) + 1 :][: len(values)] == values
    assert given.conditions(plan)["KnownProblems"][1] == Reason.WORKED_AROUND


VL_CAP, MASK_CAP = ("the checkpoint says a context of 262144", "the attention mask grows with")


@pytest.mark.parametrize(
    ("repo", "site", "context", "length", "told"),
    [
        ("Qwen/Qwen3-VL-Reranker-8B", {}, 262144, "32768", [VL_CAP]),
        ("Qwen/Qwen3-VL-Reranker-8B", {}, 32769, "32768", [VL_CAP]),
        ("Qwen/Qwen3-VL-Reranker-8B", {}, 32768, None, []),
        ("acme/Qwen3-VL-Reranker-short", {}, 4096, None, []),
        ("Qwen/Qwen3-VL-Reranker-8B", P310, 4096, "1024", [MASK_CAP]),
        ("acme/encoder", P310, 8192, "1024", [MASK_CAP]),
        ("intfloat/multilingual-e5-small", P310, 512, None, []),
    ],
)
def test_no_server_is_told_of_a_longer_input_than_its_checkpoint_allows(
    repo: str, site: dict[str, Any], context: int, length: str | None, told: list[str]
) -> None:
    service = given.service(
        model={"source": {"modelScope": {"repo": repo}}}, task="Rerank" if "Reranker" in repo else None
    )
    cache = given.cache(repo=repo, contextLength=context)
    plan = given.plan(service, given.seen(cache=cache, profiles=given.profiles(**site)))
    words = args(plan)
    lengths = [words[place + 1] for place, word in enumerate(words) if word == "--max-model-len"]
    assert lengths == ([length] if length else [])
    assert plan.status.resolved.context_length == context
    _, _, message = given.conditions(plan).get("KnownProblems", ("", "", ""))
    assert [one for one in (VL_CAP, MASK_CAP) if one in message] == told


def test_args_that_undo_a_workaround_are_followed_and_told() -> None:
    plan = planned(runtime={"profile": "ascend-910b", "version": OLD, "args": ["--enable_prefix_caching"]})
    assert "--no-enable-prefix-caching" not in args(plan)
    _, reason, message = given.conditions(plan)["KnownProblems"]
    assert reason == Reason.KNOWN_PROBLEM
    assert f"{ASCEND_ISSUES}/7145" in message
    assert "say otherwise than --no-enable-prefix-caching" in message


def test_without_chunks_the_longest_input_must_fit_into_a_step() -> None:
    sizes = {"maxModelLen": 8192, "maxBatchedTokens": 2048}
    plan = planned(runtime={"profile": "ascend-910b", "version": OLD}, serving=sizes)
    _, reason, message = given.conditions(plan)["Stalled"]
    assert reason == Reason.INVALID_SPEC
    assert message.endswith("write maxBatchedTokens: 8192 or more")
    assert "Stalled" not in given.conditions(planned(serving=sizes))


@pytest.mark.parametrize(
    ("repo", "words"),
    [
        ("Qwen/Qwen3-VL-Embedding-8B", ["gives other vectors", "let clients send messages with a system instruction"]),
        ("Qwen/Qwen3-Embedding-8B", ["finds 1 % to 5 % less", "a service for queries alone"]),
    ],
)
@pytest.mark.parametrize("serving", [{}, {"promptFormat": "Raw"}])
def test_a_warning_tells_what_it_costs_and_what_to_do(repo: str, words: list[str], serving: dict[str, str]) -> None:
    _, reason, message = given.conditions(planned(repo, serving=serving))["KnownProblems"]
    assert reason == Reason.KNOWN_PROBLEM
    for word in (*words, "write spec.serving.promptFormat: Model"):
        assert word in message


@pytest.mark.parametrize("repo", ["Qwen/Qwen3-VL-Embedding-8B", "Qwen/Qwen3-Embedding-8B"])
def test_in_its_own_format_a_model_is_not_warned_of(repo: str) -> None:
    plan = planned(repo, serving={"promptFormat": "Model"})
    assert given.conditions(plan)["KnownProblems"][1] == Reason.WORKED_AROUND


def test_of_an_embedding_model_that_ranks_the_format_of_its_vectors_is_not_spoken() -> None:
    told = given.conditions(planned("Qwen/Qwen3-Embedding-8B", task="Rerank"))["KnownProblems"]
    assert told[1] == Reason.WORKED_AROUND
    assert "promptFormat" not in told[2]


def test_that_nobody_says_whether_950_pools_is_told() -> None:
    _, reason, message = given.conditions(planned("acme/encoder", runtime={"profile": "ascend-950"}))["KnownProblems"]
    assert reason == Reason.KNOWN_PROBLEM
    assert "whether they work on 950 nobody says (https://github.com/vllm-project/vllm-ascend/" in message
    assert "compare vectors with those of another chip" in message


def live(**resolved: Any) -> list[Any]:
    """A revision as an operator with another table rendered it."""
    (stored,) = given.stored(planned(runtime={"profile": "ascend-910b", "version": OLD}))
    others = [word for word in stored.resolved["args"] if word != "--no-enable-prefix-caching"]
    stored.resolved.update({"args": others} | resolved)
    return [stored]


def test_a_row_that_is_new_rolls_no_pod_and_tells_of_those_that_run() -> None:
    service = given.service(
        model={"source": {"modelScope": {"repo": "Qwen/Qwen3-Embedding-8B"}}},
        runtime={"profile": "ascend-910b", "version": OLD},
    )
    revisions = live()
    seen = given.seen(cache=given.cache(repo="Qwen/Qwen3-Embedding-8B"), revisions=revisions)
    plan = given.plan(service, seen)
    assert given.stored(plan) == revisions
    assert given.child(plan, "Deployment")["spec"]["template"] == revisions[0].template
    _, reason, message = given.conditions(plan)["KnownProblems"]
    assert reason == Reason.KNOWN_PROBLEM
    assert "these pods lack --no-enable-prefix-caching, which the next change of the spec adds" in message


def test_a_refusal_that_is_new_stops_no_pod_that_runs() -> None:
    service = given.service(
        model={"source": {"modelScope": {"repo": "Qwen/Qwen3-Embedding-8B"}}},
        runtime={"profile": "ascend-910b", "version": OLD},
    )
    revisions = live(chip="310P", dtype="float16")
    plan = given.plan(service, given.seen(cache=given.cache(repo="Qwen/Qwen3-Embedding-8B"), revisions=revisions))
    assert given.stored(plan) == revisions
    assert "Stalled" not in given.conditions(plan)
    assert f"{ASCEND_ISSUES}/6471" in given.conditions(plan)["KnownProblems"][2]


def test_of_a_revision_that_says_little_little_is_known() -> None:
    (stored,) = live()
    for field in ("chip", "family"):
        stored.resolved.pop(field, None)
    seen = given.seen(cache=given.cache(), revisions=[stored])
    service = given.service(
        model={"source": {"modelScope": {"repo": "Qwen/Qwen3-Embedding-8B"}}},
        runtime={"profile": "ascend-910b", "version": OLD},
    )
    assert "dimensions" not in given.conditions(given.plan(service, seen))["KnownProblems"][2]


@pytest.mark.parametrize(
    ("args", "flag", "has"),
    [
        (["--a", "--no-x"], ["--no-x"], True),
        (["--x"], ["--no-x"], False),
        (["--n", "512"], ["--n", "1024"], True),
        (["--n=512"], ["--n", "1024"], True),
        (["--j", '{"a": 1, "b": 2}'], ["--j", '{"a": 1}'], True),
        (['--j={"a": 1}'], ["--j", '{"a": 1}'], True),
        (["--j", '{"a": 2}'], ["--j", '{"a": 1}'], False),
        (["--j", '{"a": 1}', "--j", "{}"], ["--j", '{"a": 1}'], False),
        (["--j", "{"], ["--j", '{"a": 1}'], False),
        (["--j"], ["--j", '{"a": 1}'], False),
    ],
)
def test_whether_arguments_say_what_a_flag_says(args: list[str], flag: list[str], has: bool) -> None:
    assert has_flag(args, flag) is has


def test_the_table_is_asked_in_its_order() -> None:
    found = problems_of(Situation("0.23.0", True, "310P", "Qwen3-VL-Embedding", "float16"))
    lengths = [flag[1] for problem in found for flag in problem.flags if flag[0] == "--max-model-len"]
    assert lengths == ["1024", "32768"]
