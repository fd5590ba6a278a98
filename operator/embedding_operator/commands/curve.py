"""Draws latency over throughput, in SVG written by hand: what a sweep is made for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

from embedding_operator.api.benchmark import EmbeddingBenchmark, Result

_WIDTH: Final = 760
_HEIGHT: Final = 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 24, 64, 54
_LINES: Final = (("p99", "p99_milliseconds", "#dc2626"), ("median", "median_milliseconds", "#2563eb"))
_MARKS: Final = (1, 2, 2.5, 5, 10)
_GREY: Final = "#6b7280"
_TICKS: Final = 5
_HALO: Final = 'paint-order="stroke" stroke="#ffffff" stroke-width="3"'  # a label over a line can be read
_DASHES: Final = ("8 4", "2 4", "8 4 2 4")  # of the second load and those after it
_APART: Final = 12  # pixels between two words


def draw(benchmark: EmbeddingBenchmark) -> str:
    """For each load a line of the median and one of the p99, in the sweep's order; disturbed runs are hollow."""
    results = benchmark.status.results or ()
    across = _ticks(max((_number(one.requests_per_second) for one in results), default=1.0))
    up = _ticks(max((_number(one.p99_milliseconds) for one in results), default=1.0))
    frame = _Frame(across[-1], up[-1])
    shapes = [*_titles(benchmark, results), *_axes(frame, across, up)]
    for place, swept in enumerate(_swept(results)):
        for name, field, colour in _LINES:
            shapes += _line(frame, swept, name, field, f'stroke="{colour}" stroke-width="2"', colour, place)
    shapes += _labels(frame, results)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif">'
    return "\n".join([head, f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>', *shapes, "</svg>"]) + "\n"


def _swept(results: Sequence[Result]) -> list[list[Result]]:
    """Runs that differ in what was swept alone, together."""
    groups: dict[tuple[object, ...], list[Result]] = {}
    for one in results:
        load = one.load
        same = (load.name, load.dataset, load.input_tokens, load.inputs_per_request, load.prompts, load.file)
        groups.setdefault(same, []).append(one)
    return list(groups.values())


def _line(
    frame: _Frame, results: Sequence[Result], name: str, field: str, stroke: str, colour: str, place: int
) -> list[str]:
    points = [(frame.x(_number(one.requests_per_second)), frame.y(_number(getattr(one, field)))) for one in results]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashes = f' stroke-dasharray="{_DASHES[place % len(_DASHES)]}"' if place else ""
    shapes = [f'<polyline points="{path}" fill="none" {stroke}{dashes}/>']
    for one, (x, y) in zip(results, points, strict=True):
        fill = colour if one.valid else "#ffffff"
        said = escape(f"{_label(one)}: {one.requests_per_second} requests/s, {name} {getattr(one, field)} ms")
        circle = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}" {stroke}>'
        shapes.append(f"{circle}<title>{said}</title></circle>")
    return shapes


class _Frame:
    """Where a figure is in the picture."""

    def __init__(self, widest: float, highest: float) -> None:
        self._widest, self._highest = widest, highest

    def x(self, rate: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * rate / self._widest

    def y(self, latency: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * latency / self._highest


def _ticks(highest: float) -> list[float]:
    """Round numbers from 0 to above the highest."""
    rough = max(highest, 1e-9) / _TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = next(mark * power for mark in _MARKS if mark * power >= rough * (1 - 1e-9))
    return [step * number for number in range(math.ceil(highest / step - 1e-9) + 1)]


def _titles(benchmark: EmbeddingBenchmark, results: Sequence[Result]) -> list[str]:
    service = benchmark.spec.service_ref.name
    measured = results[0].service if results else None
    told = f"{measured.replicas} replicas, {measured.image}" if measured else ""
    legend = []
    for place, (name, _, colour) in enumerate(_LINES):
        x = _WIDTH - _RIGHT - 150 + 80 * place
        legend.append(f'<rect x="{x}" y="15" width="10" height="10" fill="{colour}"/>')
        legend.append(_text(x + 15, 24, name))
    return [_text(12, 24, f"Latency over throughput of {service}", size=15), _text(12, 44, told, colour=_GREY), *legend]


def _axes(frame: _Frame, across: Sequence[float], up: Sequence[float]) -> list[str]:
    shapes = []
    for value in up:
        y = frame.y(value)
        shapes.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}" stroke="#e5e7eb"/>')
        shapes.append(_text(_LEFT - 8, y + 4, f"{value:g}", anchor="end"))
    for value in across:
        x = frame.x(value)
        shapes.append(
            f'<line x1="{x:.1f}" y1="{_HEIGHT - _BOTTOM}" x2="{x:.1f}" y2="{_HEIGHT - _BOTTOM + 5}" stroke="{_GREY}"/>'
        )
        shapes.append(_text(x, _HEIGHT - _BOTTOM + 19, f"{value:g}", anchor="middle"))
    base = _HEIGHT - _BOTTOM
    shapes.append(f'<line x1="{_LEFT}" y1="{base}" x2="{_WIDTH - _RIGHT}" y2="{base}" stroke="{_GREY}"/>')
    shapes.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 14, "requests a second", anchor="middle"))
    middle = (_TOP + base) / 2
    turned = f'transform="rotate(-90 18 {middle:.1f})"'
    shapes.append(_text(18, middle, "latency, milliseconds", anchor="middle", more=turned))
    return shapes


def _labels(frame: _Frame, results: Sequence[Result]) -> list[str]:
    """What each point of the p99 stands for; where two would lie over each other, the later one is left out."""
    shapes: list[str] = []
    taken: list[tuple[float, float]] = []
    for one in results:
        x, y = frame.x(_number(one.requests_per_second)), frame.y(_number(one.p99_milliseconds))
        label = _label(one)
        width = 6.5 * len(label)
        if any(abs(x - other) < width + 4 and abs(y - at) < _APART for other, at in taken):
            continue
        taken.append((x, y))
        fits = x + 8 + width < _WIDTH
        where = (x + 8, "start") if fits else (x - 8, "end")
        shapes.append(_text(where[0], y - 7, label, anchor=where[1], colour=_GREY, more=_HALO))
    return shapes


def _label(one: Result) -> str:
    limits = [
        *([f"{one.load.max_concurrency} at a time"] if one.load.max_concurrency else []),
        *([f"{one.load.request_rate}/s"] if one.load.request_rate not in (None, "inf") else []),
    ]
    return " ".join([*([one.load.name] if one.load.name else []), *(limits or ["all at once"])])


def _number(text: str | None) -> float:
    return float(text or 0)


def _text(
    x: float, y: float, words: str, *, anchor: str = "start", size: int = 12, colour: str = "#111827", more: str = ""
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}" {more}>'
        f"{escape(words)}</text>"
    )
