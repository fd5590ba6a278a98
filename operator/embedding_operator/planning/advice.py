"""How many replicas a rate needs, from what benchmarks have measured: the share that one replica was seen to do.

It rests on points that were measured and on nothing between or beyond them: latency over load is no line. That replicas
do the same each is the one thing that is taken for granted, and said.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from embedding_operator.api.benchmark import EmbeddingBenchmark, Measured, Result
from embedding_operator.planning.benchloads import inputs, told


class AdviceError(Exception):
    """Why nothing can be said, and what to measure first, in one line."""


@dataclass(frozen=True, slots=True)
class Point:
    """One run, as one replica's share."""

    benchmark: str
    result: Result

    @property
    def replicas(self) -> int:
        return self.result.service.replicas or 0

    @property
    def share(self) -> float:
        """Requests a second of one replica."""
        return float(self.result.requests_per_second or 0) / self.replicas

    def needed(self, rate: float) -> int:
        """So many replicas do a rate if each does its share. Not in floats: they make one more of a whole number."""
        return math.ceil(Fraction(str(rate)) * self.replicas / Fraction(self.result.requests_per_second or 0))

    @property
    def p99(self) -> float:
        return float(self.result.p99_milliseconds or 0)

    @property
    def settings(self) -> Measured:
        """What it was measured with, but for how many and when."""
        return replace(self.result.service, replicas=None, generation=None, revision=None)

    @property
    def same(self) -> tuple[Measured, int, str, int | None]:
        """What points have in common that are one measured again."""
        load = self.result.load
        return self.settings, self.replicas, load.request_rate or "inf", load.max_concurrency


@dataclass(frozen=True, slots=True)
class Advice:
    """So many replicas, by this point; `points` are all of its settings, `others` the best of each other. `doubt` is a
    point of more replicas of the same settings, which each did less, so that it would take more."""

    replicas: int
    point: Point
    points: tuple[Point, ...]
    others: tuple[tuple[int, Point], ...]
    doubt: Point | None = None


def advise(benchmarks: Sequence[EmbeddingBenchmark], rate: float, p99: float) -> Advice:
    """The fewest replicas for `rate` requests a second of which 99 in 100 are answered within `p99` milliseconds.

    Raises AdviceError where the points do not say.
    """
    points = _points(benchmarks)
    _refuse_several_loads(points)
    again: dict[object, list[Point]] = {}
    for point in points:
        again.setdefault(point.same, []).append(point)
    # of what was measured several times the worst counts: the best would be chance as often as not
    fast = [min(same, key=lambda one: one.share) for same in again.values() if all(one.p99 <= p99 for one in same)]
    if not fast:
        best = min((max(same, key=lambda one: one.p99) for same in again.values()), key=lambda one: one.p99)
        raise AdviceError(
            f"no point has a p99 of at most {p99:g} ms: the lowest is {best.p99:g} ms ({describe(best)}); measure with "
            "less at a time, or with other settings"
        )
    by_settings = {point.settings: _most(one for one in fast if one.settings == point.settings) for point in fast}
    ranked = sorted((point.needed(rate), point.p99, at) for at, point in enumerate(by_settings.values()))
    chosen = list(by_settings.values())
    needed, _, first = ranked[0]
    return Advice(
        needed,
        chosen[first],
        tuple(point for point in points if point.settings == chosen[first].settings),
        tuple((count, chosen[at]) for count, _, at in ranked[1:]),
        _doubt(fast, chosen[first], needed, rate),
    )


def _doubt(fast: Sequence[Point], chosen: Point, needed: int, rate: float) -> Point | None:
    more = [one for one in fast if one.settings == chosen.settings and one.replicas > chosen.replicas]
    if needed <= chosen.replicas or not more:
        return None
    best = _most(more)
    return best if best.needed(rate) > needed else None


def _points(benchmarks: Sequence[EmbeddingBenchmark]) -> list[Point]:
    every = [Point(one.metadata.name, result) for one in benchmarks for result in one.status.results or ()]
    usable = [point for point in every if point.result.valid and point.replicas and point.share]
    if not usable:
        names = ", ".join(one.metadata.name for one in benchmarks)
        why = "all of its figures are worthless" if every else "it has no figures yet"
        raise AdviceError(f"nothing to go by in {names}: {why}; measure first")
    return usable


def _refuse_several_loads(points: Sequence[Point]) -> None:
    loads = dict.fromkeys(_inputs(point) for point in points)
    if len(loads) > 1:
        raise AdviceError(
            f"the points have different inputs ({'; '.join(loads)}): name benchmarks of one kind of input"
        )


def _inputs(point: Point) -> str:
    """The load without what a sweep changes; another number of the same inputs is the same load."""
    load, of = point.result.load, inputs(point.result.load)
    return f"{of}, {load.inputs_per_request} in a request" if (load.inputs_per_request or 1) > 1 else of


def _most(points: Iterable[Point]) -> Point:
    return max(points, key=lambda point: point.share)


def describe(point: Point) -> str:
    """Where a point is from."""
    return f"run {point.result.run} of {point.benchmark}: {told(point.result.load)}"
