"""The figures of benchmarks as people read them: the table that vLLM prints, and one with a line for each run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from embedding_operator.api.benchmark import EmbeddingBenchmark, Load, Measured, Result
from embedding_operator.commands.terminal import GREEN, RED, Screen
from embedding_operator.planning.benchloads import told

_WIDTH = 50
_LEFT_OUT = frozenset({"REQUESTS", "FAILED", "TOK/S", "MEAN MS", "P90"})  # where there is no room for all


def shown(benchmark: EmbeddingBenchmark, screen: Screen) -> list[str]:
    """All that came of a benchmark; of a single run in the form in which `vllm bench serve` tells it."""
    results = benchmark.status.results or ()
    if not results:
        return [f"embbench/{benchmark.metadata.name} has no figures yet"]
    lines = [] if len(results) == 1 else [*runs(results, screen), ""]
    if len(results) == 1:
        lines += [*block(results[0]), ""]
    lines += _belonging(benchmark.spec.service_ref.name, results)
    for one in results:
        if not one.valid:
            lines += screen.told(f"run {one.run} is worthless: {one.disturbed}", RED, indent="")
    return lines


def block(one: Result) -> list[str]:
    """One run, in the shape of vLLM's own table; latencies and rates are the medians of the repeats."""
    repeats = len(one.repeats or ())
    return [
        f"{' Serving Benchmark Result ':=^{_WIDTH}}",
        *(_row(name, value) for name, value in _rows(one, repeats)),
        f"{'End-to-end Latency':-^{_WIDTH}}",
        _row("Mean E2EL (ms):", one.mean_milliseconds),
        _row("Median E2EL (ms):", one.median_milliseconds),
        _row("P90 E2EL (ms):", one.p90_milliseconds),
        _row("P99 E2EL (ms):", one.p99_milliseconds),
        "=" * _WIDTH,
    ]


def _rows(one: Result, repeats: int) -> Iterator[tuple[str, object]]:
    load = one.load
    yield "Successful requests:", one.requests
    yield "Failed requests:", one.failed
    if load.max_concurrency:
        yield "Maximum request concurrency:", load.max_concurrency
    if load.request_rate not in (None, "inf"):
        yield "Request rate configured (RPS):", load.request_rate
    if repeats > 1:
        yield "Repeats (figures are their medians):", repeats
    yield "Benchmark duration (s):", one.duration
    yield "Total input tokens:", one.tokens
    yield "Request throughput (req/s):", one.requests_per_second
    yield "Total token throughput (tok/s):", one.tokens_per_second


def _row(name: str, value: object) -> str:
    return f"{name:<40} {'-' if value is None else value}"


def runs(results: Sequence[Result], screen: Screen) -> list[str]:
    """A line for each run; where the terminal is too narrow, without what is missed the least: not without its load."""
    header = [
        "RUN",
        "REQUESTS",
        "FAILED",
        "REQ/S",
        "TOK/S",
        "MEAN MS",
        "MEDIAN",
        "P90",
        "P99",
        "NOISE",
        "VALID",
        "LOAD",
    ]
    rows = [_line(one, screen) for one in results]
    if screen.is_too_narrow(header, rows):
        kept = [place for place, name in enumerate(header) if name not in _LEFT_OUT]
        header, *rows = [[row[place] for place in kept] for row in (header, *rows)]
    return screen.table(header, rows)


def _line(one: Result, screen: Screen) -> list[str]:
    return [
        str(one.run),
        str(one.requests or 0),
        str(one.failed or 0),
        one.requests_per_second or "",
        one.tokens_per_second or "",
        one.mean_milliseconds or "",
        one.median_milliseconds or "",
        one.p90_milliseconds or "",
        one.p99_milliseconds or "",
        noise(one),
        screen.paint(GREEN, "yes") if one.valid else screen.paint(RED, "no"),
        told(one.load),
    ]


def noise(one: Result) -> str:
    """How far the repeats' requests a second lie from their median, at most; nothing is known of a single one."""
    rates = [float(repeat.requests_per_second or 0) for repeat in one.repeats or ()]
    middle = float(one.requests_per_second or 0)
    if len(rates) < 2 or not middle:
        return "?"
    return f"{max(abs(rate - middle) for rate in rates) / middle * 100:.1f} %"


def _belonging(service: str, results: Sequence[Result]) -> list[str]:
    """What was measured: once, if it was the same in all runs."""
    lines: list[str] = []
    before: Measured | None = None
    for one in results:
        if one.service != before:
            which = "" if all(one.service == other.service for other in results) else f" from run {one.run} on"
            lines.append(f"measured{which}: {_subject(service, one.service)}")
        before = one.service
    return lines


def _subject(service: str, measured: Measured) -> str:
    parts = [
        f"emb/{service} generation {measured.generation}",
        f"{measured.replicas} replica{'' if measured.replicas == 1 else 's'}",
        f"image {measured.image}",
        f"weights {measured.weights or ''} {measured.digest or ''}".rstrip(),
        *([f"chip {measured.chip}"] if measured.chip else []),
    ]
    return ", ".join(parts)


def kind_of_load(load: Load) -> str:
    """What two runs must have in common to be compared: all but name and seed."""
    return told(
        Load.from_dict({field: value for field, value in load.to_dict().items() if field not in ("name", "seed")})
    )
