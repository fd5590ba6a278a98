"""From a benchmark's spec to its runs, and from a run to the words of `vllm bench serve`.

The words are those that vLLM 0.11 to 0.33 share. Each run and each repeat draws other inputs, for a server that caches
prefixes would answer the same ones faster the second time, and a second benchmark draws others than the first.
"""

from dataclasses import replace

from embedding_operator.api import names
from embedding_operator.api.benchmark import EmbeddingBenchmark, Load, Result
from embedding_operator.api.conditions import Reason
from embedding_operator.api.service import Task
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.releases import Version, parse_version, said

DEFAULT_REPEATS = 3
DEFAULT_WARMUP = 50
_SEEDS_OF_A_RUN = 1000  # repeats and warm-up of one run draw from these
_RERANK: Version = (0, 12, 0)  # https://github.com/vllm-project/vllm/pull/26602
_PERCENTILES = "50,90,99"


def loads(benchmark: EmbeddingBenchmark) -> tuple[Load, ...]:
    """All runs: each of the spec's with each value of the sweep."""
    spec = benchmark.spec
    seed = int(names.digest_of([benchmark.metadata.namespace, benchmark.metadata.name, benchmark.metadata.uid], 6), 16)
    written = [Load.from_dict({"seed": seed} | run.to_dict()) for run in spec.runs]
    if spec.sweep is not None and spec.sweep.max_concurrency is not None:
        written = [replace(one, max_concurrency=value) for one in written for value in spec.sweep.max_concurrency]
    if spec.sweep is not None and spec.sweep.request_rate is not None:
        written = [replace(one, request_rate=value) for one in written for value in spec.sweep.request_rate]
    return tuple(replace(one, seed=(one.seed or 0) + place * _SEEDS_OF_A_RUN) for place, one in enumerate(written))


def repeats_of(benchmark: EmbeddingBenchmark) -> int:
    """How often each run is measured."""
    return benchmark.spec.repeats or DEFAULT_REPEATS


def warmup_of(benchmark: EmbeddingBenchmark) -> int:
    """How many inputs go before each run."""
    wanted = benchmark.spec.warmup_prompts
    return DEFAULT_WARMUP if wanted is None else wanted


def refuse_load(load: Load, task: Task, version: str, service: str) -> None:
    """Raise PlanError for a load that this service cannot be given."""
    reranks = load.dataset == "random-rerank"
    if task == "Classify":
        raise PlanError(
            Reason.INVALID_SPEC,
            f"EmbeddingService {service} classifies, and vllm bench serve has no load for that: measure one that "
            "embeds or ranks",
        )
    if reranks != (task == "Rerank"):
        wanted = "random-rerank" if task == "Rerank" else "random or custom"
        raise PlanError(
            Reason.INVALID_SPEC,
            f"spec.runs has dataset {load.dataset}, and EmbeddingService {service} has task {task}: make a "
            f"benchmark with dataset {wanted}",
        )
    if reranks and parse_version(version) < _RERANK:
        raise PlanError(
            Reason.INVALID_SPEC,
            f"vllm bench serve has no load for reranking before {said(_RERANK)}, and EmbeddingService {service} runs "
            f"{version}: choose a newer version for it",
        )


def command(load: Load, *, model: str, tokenizer: str, url: str, files: str) -> list[str]:
    """The words of a load, without its number of prompts and its seed, which change from repeat to repeat."""
    reranks = load.dataset == "random-rerank"
    words = [
        *("vllm", "bench", "serve"),
        *("--backend", "vllm-rerank" if reranks else "openai-embeddings"),
        *("--base-url", url),
        *("--endpoint", "/v1/rerank" if reranks else "/v1/embeddings"),
        *("--model", model),
        *("--tokenizer", tokenizer),
        *("--dataset-name", load.dataset or "random"),
    ]
    if load.dataset == "custom":
        words += ["--dataset-path", f"{files}/{load.file}"]
    else:
        words += ["--random-input-len", str(load.input_tokens)]
    if (load.inputs_per_request or 1) > 1:
        words += ["--random-batch-size", str(load.inputs_per_request)]
    if load.request_rate is not None:
        words += ["--request-rate", load.request_rate]
    if load.max_concurrency is not None:
        words += ["--max-concurrency", str(load.max_concurrency)]
    return [
        *words,
        *("--percentile-metrics", "e2el"),
        *("--metric-percentiles", _PERCENTILES),
        *("--ready-check-timeout-sec", "60"),
        "--disable-tqdm",
    ]


def inputs(load: Load) -> str:
    """What one input is, in a few words that no other kind of input has."""
    if not load.input_tokens:
        return str(load.file)
    pair = "a pair of " if load.dataset == "random-rerank" else ""  # a query and a document
    return f"{pair}{load.input_tokens} tokens"


def told(load: Load) -> str:
    """A load in a few words, for conditions and tables."""
    named = f"{load.name}: " if load.name else ""
    size = f"{load.prompts} {'x' if load.input_tokens else 'of'} {inputs(load)}"
    grouped = f", {load.inputs_per_request} in a request" if (load.inputs_per_request or 1) > 1 else ""
    limits = [
        *([f"{load.request_rate} requests/s"] if load.request_rate not in (None, "inf") else []),
        *([f"{load.max_concurrency} at a time"] if load.max_concurrency else []),
    ]
    return f"{named}{size}{grouped}, {' and '.join(limits) if limits else 'all at once'}"


def best(results: tuple[Result, ...]) -> Result | None:
    """The one with the most requests a second, of those that nothing disturbed if there are any."""
    candidates = [one for one in results if one.valid] or list(results)
    return max(candidates, key=lambda one: float(one.requests_per_second or 0), default=None)
