"""What is different between two benchmarks: the load, what was measured, and the figures, held against the noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

from embedding_operator.api.benchmark import EmbeddingBenchmark, Measured, Result
from embedding_operator.commands.figures import kind_of_load
from embedding_operator.commands.terminal import GREEN, RED, YELLOW, Screen
from embedding_operator.planning.benchloads import told

RULE = (
    "beyond the noise: no repeat of one lies among those of the other, and the medians are further apart than the "
    "repeats of either"
)
_FIGURES = (  # figure, its name, and whether more is better
    ("requests_per_second", "req/s", True),
    ("tokens_per_second", "tok/s", True),
    ("mean_milliseconds", "mean ms", False),
    ("median_milliseconds", "median ms", False),
    ("p90_milliseconds", "p90 ms", False),
    ("p99_milliseconds", "p99 ms", False),
)
_NOT_SETTINGS = ("generation", "revision", "args")
BETTER, WORSE, SAME, UNKNOWN = "better", "worse", "within the noise", "noise unknown"
WORTHLESS = "worthless"  # something disturbed one of both
_COLOURS = {BETTER: GREEN, WORSE: RED, SAME: "", UNKNOWN: YELLOW, WORTHLESS: YELLOW}


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure in both."""

    figure: str
    before: float
    after: float
    verdict: str

    @property
    def percent(self) -> float | None:
        return (self.after / self.before - 1) * 100 if self.before else None


def verdict(before: Sequence[float], after: Sequence[float], middles: tuple[float, float], more_is_better: bool) -> str:
    """Whether a figure is better, worse, or what the next repeat might show as well (see RULE)."""
    if len(before) < 2 or len(after) < 2:
        return UNKNOWN
    apart = max(before) < min(after) or max(after) < min(before)
    spread = max(max(before) - min(before), max(after) - min(after))
    if not apart or abs(middles[1] - middles[0]) <= spread:
        return SAME
    return BETTER if (middles[1] > middles[0]) == more_is_better else WORSE


def differences(before: Result, after: Result) -> list[Difference]:
    """All figures of one load. Where something disturbed one of both runs, nothing is better or worse."""
    found = []
    valid = before.valid and after.valid
    for field, name, more_is_better in _FIGURES:
        middles = (_number(getattr(before, field)), _number(getattr(after, field)))
        samples = [[_number(getattr(repeat, field)) for repeat in one.repeats or ()] for one in (before, after)]
        means = verdict(samples[0], samples[1], middles, more_is_better) if valid else WORTHLESS
        found.append(Difference(name, *middles, means))
    return found


def _number(text: str | None) -> float:
    return float(text or 0)


def pairs(before: EmbeddingBenchmark, after: EmbeddingBenchmark) -> list[tuple[Result, Result]]:
    """Runs of the same load, each once."""
    left = list(after.status.results or ())
    found = []
    for one in before.status.results or ():
        other = next((other for other in left if kind_of_load(other.load) == kind_of_load(one.load)), None)
        if other is not None:
            left.remove(other)
            found.append((one, other))
    return found


def alone(
    before: EmbeddingBenchmark, after: EmbeddingBenchmark, matching: Sequence[tuple[Result, Result]]
) -> Iterator[tuple[str, Result]]:
    """Runs that the other benchmark has none of the same load for, or none yet, each with the name of its own."""
    for which, benchmark in enumerate((before, after)):
        compared_with = [pair[which] for pair in matching]
        for one in benchmark.status.results or ():
            if one not in compared_with:
                yield benchmark.metadata.name, one


def settings(before: Measured, after: Measured) -> Iterator[str]:
    """What was measured differently: versions, weights, replicas, and arguments of the servers."""
    for field in fields(Measured):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if field.name not in _NOT_SETTINGS and old != new:
            yield f"{field.name}: {old or 'unset'} -> {new or 'unset'}"
    old_flags, new_flags = _flags(before.args or ()), _flags(after.args or ())
    for flag in dict.fromkeys((*old_flags, *new_flags)):
        if old_flags.get(flag) != new_flags.get(flag):
            yield f"{flag}: {_said(old_flags.get(flag))} -> {_said(new_flags.get(flag))}"


def _flags(words: Sequence[str]) -> dict[str, str]:
    """Flags with their values; what stands before the first is the path of the weights, which is told already."""
    flags: dict[str, str] = {}
    flag = ""
    for word in words:
        if word.startswith("--"):
            flag, _, value = word.partition("=")
            flags[flag] = value
        elif flag:
            flags[flag] = f"{flags[flag]} {word}".strip()
    return flags


def _said(value: str | None) -> str:
    return "unset" if value is None else value or "set"


def compared(before: EmbeddingBenchmark, after: EmbeddingBenchmark, screen: Screen) -> list[str]:
    """All of it, as lines."""
    names = (before.metadata.name, after.metadata.name)
    matching = pairs(before, after)
    lines = [*_changed(before, after, matching), ""]
    for one, other in matching:
        lines += [f"{kind_of_load(one.load)}: run {one.run} of {names[0]}, run {other.run} of {names[1]}"]
        lines += screen.table(["FIGURE", "BEFORE", "AFTER", "CHANGE", ""], _rows(one, other, screen))
        for name, result in zip(names, (one, other), strict=True):
            if not result.valid:
                lines += screen.told(f"run {result.run} of {name} is worthless: {result.disturbed}", RED)
        lines.append("")
    for name, one in alone(before, after, matching):
        lines += screen.told(f"not compared: run {one.run} of {name}, {told(one.load)}", YELLOW, indent="")
    return [*lines, *screen.told(RULE, indent="")]


def changes(
    before: EmbeddingBenchmark, after: EmbeddingBenchmark, matching: Sequence[tuple[Result, Result]]
) -> Iterator[str]:
    """What is not the same in both, but for figures: the service, where prompts of a file come from, all settings."""
    old, new = before.spec.service_ref.name, after.spec.service_ref.name
    if old != new:
        yield f"service: {old} -> {new}"
    claims = [one.spec.input.claim_name for one in (before, after) if one.spec.input is not None]
    if any(one.load.file for one, _ in matching) and len(set(claims)) > 1:
        yield f"claim of the prompts: {claims[0]} -> {claims[1]}"
    yield from dict.fromkeys(line for one, other in matching for line in settings(one.service, other.service))


def _changed(
    before: EmbeddingBenchmark, after: EmbeddingBenchmark, matching: Sequence[tuple[Result, Result]]
) -> list[str]:
    lines = list(changes(before, after, matching))
    return ["changed:", *(f"  {line}" for line in lines)] if lines else ["nothing was changed: both measured the same"]


def _rows(one: Result, other: Result, screen: Screen) -> list[list[str]]:
    rows = []
    for found in differences(one, other):
        percent = "" if found.percent is None else f"{found.percent:+.1f} %"
        verdict_shown = screen.paint(_COLOURS[found.verdict], found.verdict)
        rows.append([found.figure, f"{found.before:.2f}", f"{found.after:.2f}", percent, verdict_shown])
    return rows


def described(before: EmbeddingBenchmark, after: EmbeddingBenchmark) -> dict[str, object]:
    """The same as JSON."""
    matching = pairs(before, after)
    return {
        "before": before.metadata.name,
        "after": after.metadata.name,
        "changed": list(changes(before, after, matching)),
        "rule": RULE,
        "notCompared": [
            {"benchmark": name, "run": one.run, "load": told(one.load)} for name, one in alone(before, after, matching)
        ],
        "runs": [
            {
                "load": kind_of_load(one.load),
                "runs": [one.run, other.run],
                "valid": one.valid and other.valid,
                "figures": [
                    {
                        "figure": found.figure,
                        "before": found.before,
                        "after": found.after,
                        "percent": None if found.percent is None else round(found.percent, 2),
                        "verdict": found.verdict,
                    }
                    for found in differences(one, other)
                ],
            }
            for one, other in matching
        ],
    }
