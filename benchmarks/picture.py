"""Draws the runs as bars, in SVG written by hand: services per second until all are ready, and all children exist."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

from benchmarks.arms import BARE, OPERATOR
from benchmarks.report import Summary, children, ready

_WIDTH: Final = 760
_BAR: Final = 20
_LEFT: Final = 210
_COLORS: Final = {OPERATOR: "#2563eb", BARE: "#9ca3af"}


def draw(summaries: Sequence[Summary]) -> str:
    """One group of bars per number of services and milestone; longer is faster."""
    bars = []
    for summary in summaries:
        for label, value in (("all children", children), ("all ready", ready)):
            for arm in (OPERATOR, BARE):
                spread = summary.spread(arm, value)
                if spread is not None:
                    bars.append((f"{summary.services}: {label}, {arm}", arm, summary.services, spread.median))
    longest = max((services / seconds for _, _, services, seconds in bars), default=1.0)
    height = 60 + len(bars) * (_BAR + 6) + 10 * len(summaries)
    shapes = [_text(10, 24, "Services per second, until all children exist and until all are ready", size=15)]
    top, last = 44, 0
    for label, arm, services, seconds in bars:
        top += 10 if last not in (0, services) else 0
        last = services
        width = (_WIDTH - _LEFT - 170) * (services / seconds) / longest
        shapes.append(_text(_LEFT - 8, top + 15, label, anchor="end"))
        shapes.append(f'<rect x="{_LEFT}" y="{top}" width="{width:.1f}" height="{_BAR}" rx="2" fill="{_COLORS[arm]}"/>')
        shapes.append(_text(_LEFT + width + 6, top + 15, f"{services / seconds:.0f}/s ({seconds:.1f} s)"))
        top += _BAR + 6
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif">'
    background = f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>'
    return "\n".join([head, background, *shapes, "</svg>"]) + "\n"


def _text(x: float, y: float, words: str, *, anchor: str = "start", size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">{escape(words)}</text>'
