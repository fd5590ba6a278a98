"""The typed view of EmbeddingBenchmark: a load on a service, and the figures that came of it.

Figures are decimal numbers as text, as quantities are: an API server and its clients do not agree on what a float is.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from embedding_operator.api.codec import Quantity, View
from embedding_operator.api.conditions import Condition
from embedding_operator.api.meta import LocalReference, ObjectMeta

Dataset: TypeAlias = Literal["random", "random-rerank", "custom"]


@dataclass(frozen=True, slots=True)
class Run(View):
    """One load, as it is written."""

    dataset: Dataset
    prompts: int
    name: str | None = None
    input_tokens: int | None = None
    inputs_per_request: int | None = None
    request_rate: Quantity | None = None
    max_concurrency: int | None = None
    seed: int | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Sweep(View):
    """What each run is done with, one after the other."""

    max_concurrency: tuple[int, ...] | None = None
    request_rate: tuple[Quantity, ...] | None = None


@dataclass(frozen=True, slots=True)
class Input(View):
    """Where files of prompts are."""

    claim_name: str


@dataclass(frozen=True, slots=True)
class Output(View):
    """Where vLLM's own results are kept."""

    claim_name: str
    path: str | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingBenchmarkSpec(View):
    """Which service, and which load."""

    service_ref: LocalReference
    runs: tuple[Run, ...]
    sweep: Sweep | None = None
    repeats: int | None = None
    warmup_prompts: int | None = None
    input: Input | None = None
    output: Output | None = None


@dataclass(frozen=True, slots=True)
class Figures(View):
    """What was measured: by one repeat, or by all of a run."""

    requests: int | None = None
    failed: int | None = None
    tokens: int | None = None
    duration: str | None = None
    requests_per_second: str | None = None
    tokens_per_second: str | None = None
    mean_milliseconds: str | None = None
    median_milliseconds: str | None = None
    p90_milliseconds: str | None = None
    p99_milliseconds: str | None = None


@dataclass(frozen=True, slots=True)
class Load(View):
    """What was sent: a run with the sweep's value in it."""

    name: str | None = None
    dataset: str | None = None
    input_tokens: int | None = None
    inputs_per_request: int | None = None
    prompts: int | None = None
    request_rate: Quantity | None = None
    max_concurrency: int | None = None
    seed: int | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Measured(View):
    """The service as it was when a run began."""

    generation: int | None = None
    revision: str | None = None
    weights: str | None = None
    digest: str | None = None
    image: str | None = None
    vllm: str | None = None
    profile: str | None = None
    chip: str | None = None
    dtype: str | None = None
    replicas: int | None = None
    args: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Figures):
    """The medians of a run's repeats, and all that they belong to."""

    run: int
    valid: bool
    disturbed: str | None = None
    finished_at: str | None = None
    load: Load = Load()
    service: Measured = Measured()
    repeats: tuple[Figures, ...] | None = None


@dataclass(frozen=True, slots=True)
class Best(View):
    """The run with the most requests a second."""

    run: int | None = None
    requests_per_second: str | None = None
    tokens_per_second: str | None = None
    p99_milliseconds: str | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingBenchmarkStatus(View):
    """How far the runs are, and their figures."""

    observed_generation: int | None = None
    conditions: tuple[Condition, ...] = ()
    progress: str | None = None
    best: Best = Best()
    results: tuple[Result, ...] | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingBenchmark(View):
    """A stored EmbeddingBenchmark."""

    metadata: ObjectMeta
    spec: EmbeddingBenchmarkSpec
    status: EmbeddingBenchmarkStatus = EmbeddingBenchmarkStatus()
