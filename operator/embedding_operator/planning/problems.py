"""What is known to go wrong where: model family, version and chip, each row with its upstream reference.

A row refuses (no pod is made), works around (flags are added unless somebody says otherwise), or warns. A change here
never rolls a pod: flags are added when a template is rendered anyway, and of pods that run, the condition
`KnownProblems` tells what the table of today knows of them. A new problem is one new row.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

from embedding_operator.planning import families as known
from embedding_operator.planning.commandline import as_object, flag_of, name_of, object_at, positive
from embedding_operator.planning.releases import Version, parse_version

Action: TypeAlias = Literal["Refuse", "WorkAround", "Warn"]

_ASCEND_ISSUES = "https://github.com/vllm-project/vllm-ascend/issues"
_ASCEND_DOCS = "https://github.com/vllm-project/vllm-ascend/blob/v0.23.0/docs/source"
_VL = frozenset({known.QWEN3_VL_EMBEDDING, known.QWEN3_VL_RERANKER})
_BERT = frozenset({known.BERT, known.BERT_RERANKER})
_310P = frozenset({"310P"})
_950 = frozenset({"950"})


@dataclass(frozen=True, slots=True)
class Situation:
    """What a row looks at; of pods that run, as their revision recorded it."""

    version: str
    ascend: bool
    chip: str = ""
    family: str = ""
    dtype: str = ""
    prompt_format: str = ""
    context: int = 0  # of the checkpoint in tokens; nil where unknown
    task: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """One row. An empty set means any."""

    action: Action
    what: str  # what goes wrong
    reference: str
    cure: str = ""  # for a person: what to do about it
    flags: tuple[tuple[str, ...], ...] = ()  # what works around it
    families: frozenset[str] = frozenset()
    chips: frozenset[str] = frozenset()
    ascend: bool = False  # on Ascend devices only
    since: Version = (0, 0, 0)
    before: Version | None = None
    unless_dtype: str = ""
    task: str = ""
    unless_prompt_format: str = ""
    unless_context: int = 0  # known, and no longer than this

    def applies(self, situation: Situation) -> bool:
        """Whether this is such a case."""
        version = parse_version(situation.version)
        return (
            (not self.families or situation.family in self.families)
            and (not self.chips or situation.chip in self.chips)
            and (situation.ascend or not self.ascend)
            and (not self.task or situation.task == self.task)
            and self.since <= version
            and (self.before is None or version < self.before)
            and (not self.unless_dtype or situation.dtype != self.unless_dtype)
            and (not self.unless_prompt_format or situation.prompt_format != self.unless_prompt_format)
            and not 0 < situation.context <= self.unless_context
        )

    def __str__(self) -> str:
        return f"{self.what} ({self.reference})"


PROBLEMS = (
    Problem(
        "Refuse",
        "Qwen3-VL-Embedding and -Reranker need vLLM 0.14, and the first stable vllm-ascend after it is 0.18.0",
        f"{_ASCEND_DOCS}/user_guide/support_matrix/supported_models.md",
        cure="choose version 0.18.0 or newer",
        families=_VL,
        before=(0, 18, 0),
    ),
    Problem(
        "Refuse",
        "every request to a pooling server on 310P fails with NotImplementedError, while /health answers 200",
        f"{_ASCEND_ISSUES}/6471",
        cure="choose version 0.23.0 or newer",
        chips=_310P,
        before=(0, 23, 0),
    ),
    Problem(
        "Refuse",
        "310P computes in float16 alone",
        f"{_ASCEND_DOCS}/tutorials/hardwares/310p.md",
        cure="write serving.dtype: Float16, in the service or in its profile",
        chips=_310P,
        unless_dtype="float16",
    ),
    Problem(
        "Refuse",
        "Qwen3-Reranker crashes before vllm-ascend 0.13",
        f"{_ASCEND_ISSUES}/4481",
        cure="choose version 0.13.0 or newer",
        families=frozenset({known.QWEN3_RERANKER}),
        ascend=True,
        before=(0, 13, 0),
    ),
    Problem(
        "Refuse",
        "vllm-ascend serves BERT and XLM-RoBERTa models since 0.13",
        f"{_ASCEND_DOCS}/user_guide/support_matrix/supported_models.md",
        cure="choose version 0.13.0 or newer",
        families=_BERT,
        ascend=True,
        before=(0, 13, 0),
    ),
    Problem(
        "WorkAround",
        "on 310P the attention mask grows with the square of the context: the model's own limit may not fit",
        f"{_ASCEND_DOCS}/tutorials/hardwares/310p.md",
        cure="write spec.serving.maxModelLen for another length",
        flags=(("--max-model-len", "1024"),),
        chips=_310P,
        unless_context=1024,
    ),
    Problem(
        "WorkAround",
        "310P lacks the fused kernels and graph resources that are used by default",
        f"{_ASCEND_DOCS}/tutorials/hardwares/310p.md",
        flags=(
            ("--compilation-config", '{"cudagraph_capture_sizes": [1024, 512]}'),
            ("--additional-config", '{"ascend_compilation_config": {"fuse_norm_quant": false}}'),
        ),
        chips=_310P,
    ),
    Problem(
        "WorkAround",
        "the checkpoint says a context of 262144 tokens, of which the model is made for 32768",
        "https://github.com/QwenLM/Qwen3-VL-Embedding#model-specifications",
        cure="write spec.serving.maxModelLen for another length",
        flags=(("--max-model-len", "32768"),),
        families=_VL,
        unless_context=32768,
    ),
    Problem(
        "WorkAround",
        "pooling with prefix caching gives wrong vectors before vllm-ascend 0.18",
        f"{_ASCEND_ISSUES}/7145",
        flags=(("--no-enable-prefix-caching",),),
        ascend=True,
        before=(0, 18, 0),
    ),
    Problem(
        "WorkAround",
        "a chunk of a prompt attends to itself alone in pooling before vllm-ascend 0.18",
        f"{_ASCEND_ISSUES}/7192",
        flags=(("--no-enable-chunked-prefill",),),
        ascend=True,
        before=(0, 18, 0),
    ),
    Problem(
        "WorkAround",
        "requests with dimensions are refused, since the checkpoint does not say that its vectors may be cut",
        "https://github.com/QwenLM/Qwen3-Embedding/issues/85",
        flags=(("--hf-overrides", '{"is_matryoshka": true}'),),
        families=frozenset({known.QWEN3_EMBEDDING, known.QWEN3_VL_EMBEDDING}),
    ),
    Problem(
        "Warn",
        "embedding and reranking crashed on the first request on 910B2 with 0.14.1",
        "https://github.com/gpustack/gpustack/issues/4363",
        cure="choose 0.13.0, or 0.18.0 and newer",
        ascend=True,
        since=(0, 14, 0),
        before=(0, 15, 0),
    ),
    Problem(
        "Warn",
        "no vllm-ascend of this version was known when this operator was made: its image may not exist, and nothing "
        "here was held against it",
        "https://github.com/vllm-project/vllm-ascend/blob/main/docs/source/community/versioning_policy.md",
        cure="choose 0.23.0, or an image of your own",
        ascend=True,
        since=(0, 26, 0),
    ),
    Problem(
        "Warn",
        "vllm-ascend lists pooling models for A2, A3 and 310P: whether they work on 950 nobody says",
        f"{_ASCEND_DOCS}/user_guide/support_matrix/supported_models.md",
        cure="compare vectors with those of another chip before you rely on them",
        chips=_950,
    ),
    Problem(
        "Warn",
        "text that is sent as input gets neither chat template nor instruction, with which the model was trained, and "
        "gives other vectors",
        "https://github.com/QwenLM/Qwen3-VL-Embedding#usage",
        cure="write spec.serving.promptFormat: Model, or let clients send messages with a system instruction and "
        "add_generation_prompt: true",
        families=frozenset({known.QWEN3_VL_EMBEDDING}),
        task="Embed",
        unless_prompt_format="Model",
    ),
    Problem(
        "Warn",
        "a query that is sent as input without its instruction finds 1 % to 5 % less, as the model's makers measured",
        "https://github.com/QwenLM/Qwen3-Embedding#readme",
        cure="let clients send queries as `Instruct: <task>\\nQuery:<query>` and documents as they are, or write "
        "spec.serving.promptFormat: Model in a service for queries alone",
        families=frozenset({known.QWEN3_EMBEDDING}),
        task="Embed",
        unless_prompt_format="Model",
    ),
    Problem(
        "Warn",
        "vLLM before 0.18 joins query and document without the prompt that Qwen3-Reranker was trained with",
        "https://github.com/vllm-project/vllm/tree/v0.18.0/examples/pooling/score/template",
        cure="choose version 0.18.0 or newer, or let clients write that prompt",
        families=frozenset({known.QWEN3_RERANKER}),
        before=(0, 18, 0),
    ),
)


@lru_cache(maxsize=256)
def problems_of(situation: Situation) -> tuple[Problem, ...]:
    """The rows that apply, in the table's order."""
    return tuple(problem for problem in PROBLEMS if problem.applies(situation))


def refused_by(problems: Iterable[Problem]) -> Problem | None:
    """The first row that lets no pod be made."""
    return next((problem for problem in problems if problem.action == "Refuse"), None)


def situation_of(resolved: Mapping[str, object]) -> Situation:
    """Of what a revision recorded; one that an older operator made says less, and less is known of it."""

    def text(field: str) -> str:
        value = resolved.get(field)
        return value if isinstance(value, str) else ""

    context = resolved.get("contextLength")
    return Situation(
        version=text("vllm"),
        ascend=bool(text("resourceName")),
        chip=text("chip"),
        family=text("family"),
        dtype=text("dtype"),
        prompt_format=text("promptFormat"),
        context=context if isinstance(context, int) else 0,
        task=text("task") or "Embed",
    )


@lru_cache(maxsize=256)
def told(problems: tuple[Problem, ...], args: tuple[str, ...]) -> tuple[bool, str]:
    """Whether all is worked around by the arguments that run, and what there is to say, in one line."""
    lines = [_line(problem, args) for problem in problems]
    return all(done for done, _ in lines), "; ".join(line for _, line in lines)


def _line(problem: Problem, args: Sequence[str]) -> tuple[bool, str]:
    if problem.action != "WorkAround":
        return False, f"{problem}: {problem.cure}"
    missing = [flag for flag in problem.flags if not has_flag(args, flag)]
    if not missing:
        return True, f"{problem}: worked around" + (f"; {problem.cure}" if problem.cure else "")
    words = " ".join(word for flag in missing for word in flag)
    if any(positive(flag[0]) in map(flag_of, args) for flag in missing):
        return False, f"{problem}: args of the service or its profile say otherwise than {words}"
    return False, f"{problem}: these pods lack {words}, which the next change of the spec adds"


def has_flag(args: Sequence[str], flag: Sequence[str]) -> bool:
    """Whether arguments say what a flag says: a switch as it is, a JSON object with its items, a number at all."""
    name, *values = flag
    places = [place for place, word in enumerate(args) if name_of(word) == name]
    if not places or not values:
        return bool(places)
    wanted = as_object(values[0])
    if wanted is None:
        return True
    said = object_at(args, places[-1])
    return said is not None and wanted.items() <= said.items()
