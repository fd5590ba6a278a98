"""Draws sampled stacks as a flame graph, in SVG written by hand: callers above, what they call below, time as width."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

_WIDTH: Final = 1200
_ROW: Final = 18
_TOP: Final = 34
_SMALLEST: Final = 0.004  # of all samples; what is smaller is not drawn
_LETTER: Final = 6.3  # pixels
_BELOW: Final = 12  # rows
_COLORS: Final = {
    "controllers": "#93c5fd",
    "planning": "#86efac",
    "api": "#bbf7d0",
    "kube": "#fcd34d",
    "kopf": "#f9a8d4",
    "": "#e5e7eb",  # libraries and Python itself
}
_UNSEEN: Final = ("asyncio", "built-in")  # the loop that calls everybody


@dataclass
class _Node:
    samples: int = 0
    children: dict[str, _Node] = field(default_factory=dict)


def stacks_of(path: Path) -> Counter[tuple[str, ...]]:
    """What benchmarks/sampled.py kept, without the loop's own frames above ours."""
    stacks: Counter[tuple[str, ...]] = Counter()
    for line in path.read_text().splitlines():
        text, _, number = line.rpartition(" ")
        frames = text.split(";")
        seen = [frame for frame in frames if frame.partition(":")[0] not in _UNSEEN and not _is_entry(frame)]
        stacks[tuple(seen) or (frames[-1],)] += int(number)
    return stacks


def draw(stacks: Counter[tuple[str, ...]], title: str) -> str:
    """One rectangle per function and callers; its width is the time spent in it and below."""
    root = _Node()
    for stack, number in stacks.items():
        node = root
        node.samples += number
        for frame in stack[:_BELOW]:
            node = node.children.setdefault(frame, _Node())
            node.samples += number
    shapes: list[str] = []
    rows = _place(root, shapes, 0.0, 0, root.samples)
    height = _TOP + rows * _ROW + 30
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="monospace">'
    words = f'<text x="6" y="22" font-size="15" font-family="sans-serif">{escape(title)}</text>'
    background = f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>'
    return "\n".join([head, background, words, *shapes, *_legend(height), "</svg>"]) + "\n"


def _place(node: _Node, shapes: list[str], left: float, depth: int, total: int) -> int:
    rows = depth
    for name, child in sorted(node.children.items(), key=lambda item: -item[1].samples):
        width = _WIDTH * child.samples / total
        if child.samples >= _SMALLEST * total:
            shapes.append(_rectangle(name, child.samples / total, left, _TOP + depth * _ROW, width))
            rows = max(rows, _place(child, shapes, left, depth + 1, total))
        left += width
    return rows if node.children else depth


def _rectangle(name: str, share: float, left: float, top: float, width: float) -> str:
    part, _, function = name.rpartition(":")
    short = f"{part.rpartition('.')[2]}.{function}"
    room = int((width - 6) / _LETTER)
    label = short if len(short) <= room else short[: max(room - 1, 0)] + "…" if room > 3 else ""
    return (
        f"<g><title>{escape(name)}: {share:.1%}</title>"
        f'<rect x="{left:.1f}" y="{top}" width="{max(width - 0.5, 0.3):.1f}" height="{_ROW - 1}" '
        f'fill="{_COLORS.get(_layer(part), _COLORS[""])}"/>'
        f'<text x="{left + 3:.1f}" y="{top + 12.5}" font-size="10.5">{escape(label)}</text></g>'
    )


def _legend(height: int) -> list[str]:
    names = {layer or "libraries, Python": color for layer, color in _COLORS.items()}
    shapes, left = [], 6
    for name, color in names.items():
        shapes.append(f'<rect x="{left}" y="{height - 20}" width="12" height="12" fill="{color}"/>')
        shapes.append(f'<text x="{left + 16}" y="{height - 10}" font-size="12">{name}</text>')
        left += 40 + 8 * len(name)
    return shapes


def _layer(part: str) -> str:
    names = part.split(".")
    return names[1] if names[0] == "embedding_operator" and len(names) > 1 else names[0]


def _is_entry(frame: str) -> bool:
    """What every stack begins with."""
    return frame.startswith("embedding_operator.cli:")
